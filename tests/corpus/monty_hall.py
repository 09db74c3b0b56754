# Probability by simulation and by counting, which agree.
import random
from fractions import Fraction
from itertools import product

wins = {"stay": 0, "switch": 0}
cases = 0
for prize, choice in product(range(3), repeat=2):
    doors = [d for d in range(3) if d not in (prize, choice)]
    for opened in doors:
        weight = Fraction(1, 9 * len(doors))
        other = ({0, 1, 2} - {choice, opened}).pop()
        wins["stay"] += weight * (choice == prize)
        wins["switch"] += weight * (other == prize)
print(wins)
dice = random.Random(99)
switched = sum(dice.randrange(3) != dice.randrange(3) for _ in range(3000))
print(abs(switched / 3000 - 2 / 3) < 0.03)
different = Fraction(1)
for n in range(1, 40):
    different *= Fraction(365 - n + 1, 365)
    if different < Fraction(1, 2):
        print("birthdays:", n, f"{float(1 - different):.4f}")
        break
