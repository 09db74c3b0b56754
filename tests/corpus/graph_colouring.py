# Colours a map with few colours, and looks for cliques.
from itertools import combinations

borders = "WA-NT WA-SA NT-SA NT-Q SA-Q SA-NSW SA-V Q-NSW NSW-V".split()
near = {}
for border in borders:
    a, b = border.split("-")
    near.setdefault(a, set()).add(b)
    near.setdefault(b, set()).add(a)
near["T"] = set()

def colour(order, colours, done=None):
    done = done or {}
    if len(done) == len(order):
        return done
    place = order[len(done)]
    for each in colours:
        if all(done.get(other) != each for other in near[place]):
            found = colour(order, colours, {**done, place: each})
            if found:
                return found
    return None

order = sorted(near, key=lambda p: (-len(near[p]), p))
for count in (2, 3):
    print(count, colour(order, "rgb"[:count]))
cliques = [c for n in (3, 4) for c in combinations(sorted(near), n) if all(b in near[a] for a, b in combinations(c, 2))]
print(cliques, {p: len(n) for p, n in sorted(near.items())})
