# Places queens, with a generator that recurs.
def place(n, queens=()):
    if len(queens) == n:
        yield queens
        return
    for column in range(n):
        if all(column != c and abs(column - c) != len(queens) - r for r, c in enumerate(queens)):
            yield from place(n, queens + (column,))

for n in range(4, 8):
    print(n, sum(1 for _ in place(n)))
for column in next(place(6)):
    print(". " * column + "Q " + ". " * (5 - column))
