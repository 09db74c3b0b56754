# Evolves a text towards a target, with a seed.
import random
import string

target, dice = "durable code", random.Random(12)
letters = string.ascii_lowercase + " "

def fitness(text):
    return sum(a == b for a, b in zip(text, target))

population = ["".join(dice.choices(letters, k=len(target))) for _ in range(60)]
for generation in range(500):
    population.sort(key=fitness, reverse=True)
    best = population[0]
    if best == target:
        break
    parents = population[:15]
    children = []
    while len(children) < 58:
        a, b = dice.sample(parents, 2)
        cut = dice.randrange(1, len(target))
        child = list(a[:cut] + b[cut:])
        if dice.random() < 0.6:
            child[dice.randrange(len(child))] = dice.choice(letters)
        children.append("".join(child))
    population = population[:2] + children
print(best == target, generation < 500, fitness("durable cake"))
