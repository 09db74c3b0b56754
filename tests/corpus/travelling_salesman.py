# A round trip: exact by dynamic programming, and by the nearest neighbour.
from functools import cache
from itertools import permutations
from math import dist

towns = {"A": (0, 0), "B": (4, 1), "C": (1, 5), "D": (6, 6), "E": (2, 2), "F": (7, 0)}
names = list(towns)

def length(tour):
    return sum(dist(towns[a], towns[b]) for a, b in zip(tour, tour[1:]))

@cache
def shortest(at, left):
    if not left:
        return dist(towns[at], towns["A"]), ("A",)
    return min((dist(towns[at], towns[n]) + shortest(n, left - {n})[0], (n, *shortest(n, left - {n})[1])) for n in sorted(left))

best, tour = shortest("A", frozenset(names[1:]))
print(f"{best:.4f}", "A" + "".join(tour))
print(f"{min(length(('A', *order, 'A')) for order in permutations(names[1:])):.4f}")
greedy, left = ["A"], set(names[1:])
while left:
    greedy.append(min(sorted(left), key=lambda n: dist(towns[greedy[-1]], towns[n])))
    left.remove(greedy[-1])
print(f"{length(greedy + ['A']):.4f}", "".join(greedy))
