# The shortest way through a maze, by breadth first.
from collections import deque

maze = """
#########
#S..#...#
##.##.#.#
#.....#E#
#########""".strip().splitlines()
start = next((r, c) for r, row in enumerate(maze) for c, x in enumerate(row) if x == "S")
queue, came = deque([start]), {start: None}
while queue:
    r, c = at = queue.popleft()
    if maze[r][c] == "E":
        break
    for dr, dc in ((0, 1), (1, 0), (0, -1), (-1, 0)):
        near = (r + dr, c + dc)
        if maze[near[0]][near[1]] != "#" and near not in came:
            came[near] = at
            queue.append(near)
path = []
while at:
    path.append(at)
    at = came[at]
for r, row in enumerate(maze):
    print("".join("o" if (r, c) in path and x == "." else x for c, x in enumerate(row)))
print(len(path) - 1, "steps")
