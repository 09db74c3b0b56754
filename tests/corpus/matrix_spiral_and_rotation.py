# Turns, transposes and reads matrices in a spiral.
matrix = [[r * 4 + c for c in range(4)] for r in range(3)]

def spiral(m):
    m = [list(row) for row in m]
    while m:
        yield from m.pop(0)
        m = [list(row) for row in zip(*m)][::-1]

print(*matrix, sep="\n")
print(list(spiral(matrix)))
print([list(row) for row in zip(*matrix)], [list(row) for row in zip(*matrix[::-1])])
print([[sum(a * b for a, b in zip(row, column)) for column in zip(*[[1, 0], [0, 1], [1, 1], [2, 0]])] for row in matrix])
pascal = [[1]]
while len(pascal) < 6:
    pascal.append([a + b for a, b in zip([0, *pascal[-1]], [*pascal[-1], 0])])
print("\n".join(" ".join(map(str, row)).center(20).rstrip() for row in pascal))
