# Islands of a map, by union and find.
grid = ["##..#", "#...#", "..#..", ".##.."]
parent = {}

def find(x):
    while parent[x] != x:
        parent[x] = parent[parent[x]]
        x = parent[x]
    return x

for y, row in enumerate(grid):
    for x, c in enumerate(row):
        if c == "#":
            parent[x, y] = (x, y)
            for near in ((x - 1, y), (x, y - 1)):
                if near in parent:
                    parent[find(near)] = find((x, y))
islands = {}
for cell in parent:
    islands.setdefault(find(cell), []).append(cell)
print(len(islands), sorted(map(len, islands.values())))
for number, cells in enumerate(sorted(islands.values()), 1):
    print(number, cells)
