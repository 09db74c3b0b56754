# Continued fractions and good approximations.
from fractions import Fraction
from math import e, pi

def expand(x, n):
    terms = []
    for _ in range(n):
        whole = int(x)
        terms.append(whole)
        if x == whole:
            break
        x = 1 / (x - whole)
    return terms

def convergents(terms):
    for n in range(1, len(terms) + 1):
        value = Fraction(terms[n - 1])
        for term in reversed(terms[: n - 1]):
            value = term + 1 / value
        yield value

print(expand(Fraction(415, 93), 10), expand(pi, 5), expand(e, 9))
print([str(f) for f in convergents(expand(pi, 5))], Fraction(pi).limit_denominator(1000))
print(sum(Fraction(1, n) for n in range(1, 11)), Fraction("0.125") + Fraction(1, 8), Fraction(7, 3).__floor__(), round(Fraction(5, 2)))
