# Books seats next to each other, with a map of the hall.
class Hall:
    def __init__(self, rows, seats):
        self.rows = [["."] * seats for _ in range(rows)]

    def find(self, count):
        best = None
        middle = (len(self.rows[0]) - 1) / 2
        for r, row in enumerate(self.rows):
            for start in range(len(row) - count + 1):
                if all(seat == "." for seat in row[start : start + count]):
                    away = abs(start + (count - 1) / 2 - middle) + r
                    if best is None or away < best[0]:
                        best = (away, r, start)
        return best and best[1:]

    def book(self, name, count):
        place = self.find(count)
        if place is None:
            return f"{name}: no {count} seats together"
        r, start = place
        self.rows[r][start : start + count] = name[0] * count
        return f"{name}: row {'ABCDEF'[r]}, seats {start + 1}-{start + count}"

    def __str__(self):
        return "\n".join(f"{'ABCDEF'[r]} {''.join(row)}" for r, row in enumerate(self.rows))

hall = Hall(3, 8)
for name, count in (("ada", 2), ("bob", 4), ("cy", 3), ("dee", 8), ("eve", 5), ("fay", 2)):
    print(hall.book(name, count))
print(hall)
