# Moving averages and crossings of a series.
from collections import deque

prices = [10, 11, 12, 11, 10, 9, 8, 9, 11, 13, 14, 15, 14, 12, 10]

def simple(values, n):
    window = deque(maxlen=n)
    for value in values:
        window.append(value)
        yield sum(window) / n if len(window) == n else None

def exponential(values, n):
    mean, weight = values[0], 2 / (n + 1)
    for value in values:
        mean += weight * (value - mean)
        yield mean

above = None
for day, (price, slow, fast) in enumerate(zip(prices, simple(prices, 4), exponential(prices, 3)), 1):
    note = ""
    if slow is not None:
        if above is not None and (fast > slow) != above:
            note = "buy" if fast > slow else "sell"
        above = fast > slow
    print(f"{day:>2} {price:>3} {'' if slow is None else f'{slow:.2f}':>6} {fast:6.2f} {note}".rstrip())
