# Converts currencies over cross rates, and looks for arbitrage.
import math
from itertools import permutations

rates = {"EUR": 1.0, "USD": 1.0825, "JPY": 163.2, "CHF": 0.956}
print(f"{'':4}" + "".join(f"{c:>10}" for c in rates))
for a in rates:
    print(f"{a:4}" + "".join(f"{rates[b] / rates[a]:>10.4f}" for b in rates))
market = {(a, b): rates[b] / rates[a] for a in rates for b in rates if a != b}
market["USD", "CHF"] *= 1.01
for route in permutations(rates, 3):
    gain = math.prod(market[a, b] for a, b in zip(route, route[1:] + route[:1]))
    if gain > 1.001 and route[0] == min(route):
        print("->".join(route), f"{gain - 1:+.3%}")
