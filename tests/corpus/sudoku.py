# Solves a sudoku by trying the field with the fewest choices.
puzzle = "530070000600195000098000060800060003400803001700020006060000280000419005000080079"
cells = [int(c) for c in puzzle]
tried = 0

def choices(at):
    row, column = divmod(at, 9)
    seen = set(cells[row * 9 : row * 9 + 9]) | set(cells[column::9])
    corner = row // 3 * 27 + column // 3 * 3
    for line in range(3):
        seen |= set(cells[corner + line * 9 : corner + line * 9 + 3])
    return [n for n in range(1, 10) if n not in seen]

def solve():
    global tried
    empty = [(len(choices(at)), at) for at in range(81) if not cells[at]]
    if not empty:
        return True
    _, at = min(empty)
    for n in choices(at):
        tried += 1
        cells[at] = n
        if solve():
            return True
    cells[at] = 0
    return False

print(solve(), tried)
for row in range(9):
    print(*cells[row * 9 : row * 9 + 9])
