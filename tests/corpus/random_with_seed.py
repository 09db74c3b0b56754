# Random numbers with a seed are the same everywhere.
import random

dice = random.Random(42)
print([dice.randint(1, 6) for _ in range(10)])
print(round(dice.random(), 12), round(dice.gauss(0, 1), 12), dice.choice("abcdef"))
deck = list(range(10))
dice.shuffle(deck)
print(deck, dice.sample(range(1000), 4), dice.choices("xyz", weights=[5, 1, 1], k=8))
inside = sum(dice.random() ** 2 + dice.random() ** 2 < 1 for _ in range(5000))
print("pi is about", 4 * inside / 5000)
state = dice.getstate()
first = dice.random()
dice.setstate(state)
print(first == dice.random(), dice.getrandbits(40))
