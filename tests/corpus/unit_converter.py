# Converts units through a graph of factors.
from collections import deque
from fractions import Fraction

factors = [("km", "m", 1000), ("m", "cm", 100), ("in", "cm", Fraction("2.54")), ("ft", "in", 12), ("mi", "ft", 5280), ("h", "min", 60), ("min", "s", 60)]
edges = {}
for a, b, factor in factors:
    edges.setdefault(a, {})[b] = Fraction(factor)
    edges.setdefault(b, {})[a] = 1 / Fraction(factor)

def convert(amount, source, target):
    queue, seen = deque([(source, Fraction(amount))]), {source}
    while queue:
        unit, value = queue.popleft()
        if unit == target:
            return value
        for other, factor in edges[unit].items():
            if other not in seen:
                seen.add(other)
                queue.append((other, value * factor))
    raise ValueError(f"{source} is no {target}")

for amount, source, target in ((1, "mi", "km"), (180, "cm", "ft"), (2, "h", "s"), (1, "km", "h")):
    try:
        value = convert(amount, source, target)
        print(f"{amount} {source} = {float(value):.6g} {target} ({value})")
    except ValueError as error:
        print(error)
