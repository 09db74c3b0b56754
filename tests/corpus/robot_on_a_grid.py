# A robot follows orders on a torus, and marks where it was.
import re

orders = "F3 R F2 L F1 R F2 R F6 U F1"
x = y = 0
heading = 1j
position, seen = 0j, [0j]
for turn, steps in re.findall(r"([FRLU])(\d*)", orders):
    if turn == "F":
        for _ in range(int(steps)):
            position += heading
            position = complex(position.real % 7, position.imag % 5)
            seen.append(position)
    else:
        heading *= {"R": -1j, "L": 1j, "U": -1}[turn]
marks = {(int(p.real), int(p.imag)): n for n, p in enumerate(seen)}
for row in reversed(range(5)):
    print(" ".join(f"{marks[column, row]:>2}" if (column, row) in marks else " ." for column in range(7)))
twice = sorted({(int(p.real), int(p.imag)) for p in seen if seen.count(p) > 1})
print(len(seen), twice, position, abs(position))
