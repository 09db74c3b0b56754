# Shows a time in columns of bits, and gray-coded angles.
from datetime import datetime, timedelta

def columns(at):
    digits = f"{at:%H%M%S}"
    return ["".join("o" if int(d) >> bit & 1 else "." for d in digits) for bit in (3, 2, 1, 0)]

at = datetime(2024, 1, 1, 23, 59, 58)
for _ in range(3):
    print(f"{at:%H:%M:%S}", *columns(at), sep="\n")
    at += timedelta(seconds=1)
hands = [(h * 30 + m / 2, m * 6) for h, m in ((3, 0), (6, 30), (9, 45))]
print([min(abs(a - b), 360 - abs(a - b)) for a, b in hands])
