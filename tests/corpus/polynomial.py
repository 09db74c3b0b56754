# Polynomials: arithmetic, derivative, roots, text.
class Polynomial:
    def __init__(self, *coefficients):
        c = list(coefficients)
        while c and not c[-1]:
            c.pop()
        self.c = c

    def __call__(self, x):
        total = 0
        for coefficient in reversed(self.c):
            total = total * x + coefficient
        return total

    def __add__(self, other):
        n = max(len(self.c), len(other.c))
        return Polynomial(*(sum(p.c[i] for p in (self, other) if i < len(p.c)) for i in range(n)))

    def __mul__(self, other):
        out = [0] * (len(self.c) + len(other.c))
        for i, a in enumerate(self.c):
            for j, b in enumerate(other.c):
                out[i + j] += a * b
        return Polynomial(*out)

    def derivative(self):
        return Polynomial(*(n * c for n, c in enumerate(self.c)) if False else [n * c for n, c in enumerate(self.c)][1:])

    def __str__(self):
        terms = []
        for n, c in reversed(list(enumerate(self.c))):
            if c:
                body = ("" if abs(c) == 1 and n else str(abs(c))) + ("" if n == 0 else "x" if n == 1 else f"x^{n}")
                terms.append(("- " if c < 0 else "+ ") + body)
        return " ".join(terms).removeprefix("+ ") or "0"

p, q = Polynomial(-6, 11, -6, 1), Polynomial(1, 1)
print(p, "|", q, "|", p + q, "|", p * q, "|", p.derivative(), "|", p + Polynomial(6, -11, 6, -1))
print([x for x in range(-10, 11) if p(x) == 0], (p * q)(2.5))
