# A report that is built as a stream of rows, in constant memory, with checks.
import csv
import io
from itertools import islice

def readings():
    value = 1
    for n in range(1, 100_001):
        value = value * 1103515245 + 12345 & 0x7FFFFFFF
        yield n, value % 1000

def lines(rows):
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    for row in rows:
        writer.writerow(row)
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()

print("".join(islice(lines(readings()), 3)), end="")
size = total = 0
for line in lines(islice(readings(), 20_000)):
    size += len(line)
    total += int(line.split(",")[1])
print(size, total)
low, high = float("inf"), float("-inf")
for _, value in islice(readings(), 20_000):
    low, high = min(low, value), max(high, value)
print(low, high)
