# A pivot table of rows without pandas.
from collections import defaultdict
from operator import itemgetter

rows = [("2024", "Q1", "tea", 5), ("2024", "Q1", "milk", 3), ("2024", "Q2", "tea", 7), ("2023", "Q1", "tea", 2), ("2023", "Q4", "milk", 9), ("2024", "Q2", "tea", 1)]

def pivot(rows, down, across, value, fold=sum):
    cells = defaultdict(list)
    for row in rows:
        cells[down(row), across(row)].append(value(row))
    left, top = (sorted({key[n] for key in cells}) for n in (0, 1))
    yield ["", *top]
    for name in left:
        yield [" ".join(name) if isinstance(name, tuple) else name, *(fold(cells[name, column]) if (name, column) in cells else "-" for column in top)]

for table in (pivot(rows, itemgetter(0, 1), itemgetter(2), itemgetter(3)), pivot(rows, itemgetter(2), itemgetter(0), itemgetter(3), len)):
    for line in table:
        print("".join(f"{cell!s:>9}" for cell in line))
