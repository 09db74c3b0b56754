# A knight's tour by the fewest ways on, and the moves to each square.
from collections import deque

STEPS = [(1, 2), (2, 1), (2, -1), (1, -2), (-1, -2), (-2, -1), (-2, 1), (-1, 2)]

def near(square, size):
    x, y = square
    return [(x + a, y + b) for a, b in STEPS if 0 <= x + a < size and 0 <= y + b < size]

def tour(size, start=(0, 0)):
    path, seen = [start], {start}
    while len(path) < size * size:
        ahead = [s for s in near(path[-1], size) if s not in seen]
        if not ahead:
            return None
        best = min(ahead, key=lambda s: (sum(t not in seen for t in near(s, size)), s))
        path.append(best)
        seen.add(best)
    return path

path = tour(6)
order = {square: n for n, square in enumerate(path or [])}
for y in range(6):
    print(" ".join(f"{order.get((x, y), -1):>2}" for x in range(6)))
far, queue = {(0, 0): 0}, deque([(0, 0)])
while queue:
    at = queue.popleft()
    for s in near(at, 8):
        if s not in far:
            far[s] = far[at] + 1
            queue.append(s)
print(max(far.values()), sum(far.values()))
