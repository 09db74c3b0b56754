# Orders are matched with stock, first in first out, with a report.
from collections import deque

lots = {"bolt": deque([(100, 0.10), (50, 0.12)]), "nut": deque([(30, 0.05)])}
orders = [("bolt", 80), ("nut", 10), ("bolt", 60), ("nut", 25), ("gear", 1)]
for name, wanted in orders:
    if sum(count for count, _ in lots.get(name, ())) < wanted:
        print(f"{name:5} {wanted:>3} short by {wanted - sum(count for count, _ in lots.get(name, ()))}")
        continue
    cost, left = 0, wanted
    while left:
        count, price = lots[name].popleft()
        used = min(count, left)
        cost, left = cost + used * price, left - used
        if used < count:
            lots[name].appendleft((count - used, price))
    print(f"{name:5} {wanted:>3} cost {cost:.2f}")
print({name: list(lot) for name, lot in lots.items()})
