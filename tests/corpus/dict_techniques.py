# Dictionaries: merging, inverting, nested defaults, ordering, views.
from collections import defaultdict

stock = {"apple": 3, "pear": 0, "plum": 7}
print({v: k for k, v in stock.items()}, stock | {"pear": 5}, dict(sorted(stock.items(), key=lambda i: -i[1])))
print(stock.get("kiwi", "none"), stock.setdefault("kiwi", 1), stock.pop("pear"), "pear" in stock, list(stock)[-1])
tree = lambda: defaultdict(tree)
animals = tree()
animals["mammal"]["cat"]["legs"] = 4
animals["bird"]["owl"]["legs"] = 2
plain = lambda t: {k: plain(v) for k, v in t.items()} if isinstance(t, dict) else t
print(plain(animals))
a, b = {"x": 1, "y": 2}, {"y": 3, "z": 4}
print(a.keys() & b.keys(), sorted(a.keys() ^ b.keys()), a.items() <= (a | b).items(), dict.fromkeys("abc", 0), dict(zip("ab", (1, 2))))
try:
    for key in stock:
        stock[key + "s"] = 1
except RuntimeError as error:
    print(error)
print(next(reversed(a)), dict([["k", "v"]]), {1: "a", True: "b", 1.0: "c"}, hash((1, 2)) == hash((1, 2)))
