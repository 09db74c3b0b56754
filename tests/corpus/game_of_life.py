# Conway's game on an infinite board.
from collections import Counter

def step(cells):
    near = Counter((x + dx, y + dy) for x, y in cells for dx in (-1, 0, 1) for dy in (-1, 0, 1) if dx or dy)
    return {cell for cell, n in near.items() if n == 3 or (n == 2 and cell in cells)}

def show(cells):
    for y in range(5):
        print("".join("#" if (x, y) in cells else "." for x in range(7)))
    print()

glider = {(1, 0), (2, 1), (0, 2), (1, 2), (2, 2)}
for generation in range(3):
    show(glider)
    glider = step(glider)
for _ in range(97):
    glider = step(glider)
print(len(glider), min(glider))
