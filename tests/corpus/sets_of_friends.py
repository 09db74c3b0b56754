# Friends in common, with sets.
from itertools import combinations

friends = {"ada": {"bob", "cy"}, "bob": {"ada", "cy", "dee"}, "cy": {"ada", "bob", "dee"}, "dee": {"bob", "cy"}, "eve": set()}
for a, b in combinations(sorted(friends), 2):
    common = friends[a] & friends[b]
    if common:
        print(a, b, sorted(common), "friends" if b in friends[a] else "strangers")
everyone = set(friends)
print({name: sorted(everyone - theirs - {name}) for name, theirs in friends.items() if len(theirs) < 3})
print(frozenset("abc") <= set("abcd"), {1, 2} ^ {2, 3}, {1}.isdisjoint({2}), set().union(*friends.values()) == everyone - {"eve"})
