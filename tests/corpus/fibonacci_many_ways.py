# Fibonacci numbers in five ways that agree.
from functools import cache, reduce
from itertools import islice

@cache
def recursive(n):
    return n if n < 2 else recursive(n - 1) + recursive(n - 2)

def endless():
    a, b = 0, 1
    while True:
        yield a
        a, b = b, a + b

def doubling(n):
    if n == 0:
        return 0, 1
    a, b = doubling(n // 2)
    c, d = a * (2 * b - a), a * a + b * b
    return (d, c + d) if n % 2 else (c, d)

def matrix(n):
    def times(x, y):
        return (x[0] * y[0] + x[1] * y[2], x[0] * y[1] + x[1] * y[3], x[2] * y[0] + x[3] * y[2], x[2] * y[1] + x[3] * y[3])
    return reduce(times, [(1, 1, 1, 0)] * n, (1, 0, 0, 1))[1]

def rounded(n):
    return round(((1 + 5**0.5) / 2) ** n / 5**0.5)

print(list(islice(endless(), 15)))
for n in (10, 50, 70):
    print(n, {recursive(n), next(islice(endless(), n, None)), doubling(n)[0], matrix(n), rounded(n)})
print(str(doubling(1000)[0])[:20], len(str(doubling(1000)[0])))
