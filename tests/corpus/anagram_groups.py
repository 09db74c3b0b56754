# Groups words that are anagrams of each other.
from collections import defaultdict

words = "listen silent enlist google elgoog abc cab bca dusty study night thing".split()
groups = defaultdict(list)
for word in words:
    groups["".join(sorted(word))].append(word)
for key, group in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])):
    if len(group) > 1:
        print(key, "->", ", ".join(sorted(group)))
