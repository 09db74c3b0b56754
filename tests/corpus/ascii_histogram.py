# A histogram of a normal distribution in letters.
import random
from collections import Counter

dice = random.Random(2024)
values = [dice.gauss(50, 10) for _ in range(2000)]
bins = Counter(int(value // 5) * 5 for value in values)
most = max(bins.values())
for start in range(min(bins), max(bins) + 5, 5):
    print(f"{start:>3}-{start + 4:<3} {'█' * round(bins[start] / most * 40)} {bins[start]}")
