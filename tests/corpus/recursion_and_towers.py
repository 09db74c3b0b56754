# Hanoi, Ackermann and permutations by hand.
import sys

def hanoi(n, a, b, c):
    if n:
        yield from hanoi(n - 1, a, c, b)
        yield f"{a}{c}"
        yield from hanoi(n - 1, b, a, c)

def ackermann(m, n):
    if m == 0:
        return n + 1
    return ackermann(m - 1, 1 if n == 0 else ackermann(m, n - 1))

def arrangements(items):
    if not items:
        yield []
    for i, item in enumerate(items):
        for rest in arrangements(items[:i] + items[i + 1 :]):
            yield [item, *rest]

moves = list(hanoi(5, "A", "B", "C"))
print(len(moves), *moves[:7])
print(ackermann(2, 3), ["".join(x) for x in arrangements("abc")])

def depth(n=0):
    try:
        return depth(n + 1)
    except RecursionError:
        return n

print(depth() > 500, sys.getrecursionlimit() >= 500)
