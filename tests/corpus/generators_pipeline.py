# A pipeline of generators over numbers, lazily.
from itertools import count, islice, takewhile

pulled = []

def numbers():
    for n in count(1):
        pulled.append(n)
        yield n

def odd(source):
    return (n for n in source if n % 2)

def squares(source):
    for n in source:
        yield n * n

print(list(takewhile(lambda n: n < 200, squares(odd(numbers())))))
print("pulled", len(pulled))

def running_mean():
    total = n = 0
    mean = None
    while True:
        value = yield mean
        total, n = total + value, n + 1
        mean = total / n

means = running_mean()
next(means)
print([means.send(value) for value in (10, 20, 60)])
print(list(islice(count(5, 5), 4)))
