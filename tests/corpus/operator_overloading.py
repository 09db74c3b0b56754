# Vectors and polynomials with operators.
from functools import total_ordering
from math import hypot

@total_ordering
class Vector:
    __slots__ = ("x", "y")

    def __init__(self, x, y):
        self.x, self.y = x, y

    def __add__(self, other):
        return Vector(self.x + other.x, self.y + other.y)

    def __mul__(self, factor):
        if isinstance(factor, Vector):
            return self.x * factor.x + self.y * factor.y
        return Vector(self.x * factor, self.y * factor)

    __rmul__ = __mul__

    def __neg__(self):
        return -1 * self

    def __abs__(self):
        return hypot(self.x, self.y)

    def __eq__(self, other):
        return (self.x, self.y) == (other.x, other.y)

    def __lt__(self, other):
        return abs(self) < abs(other)

    def __hash__(self):
        return hash((self.x, self.y))

    def __iter__(self):
        yield from (self.x, self.y)

    def __bool__(self):
        return any(self)

    def __repr__(self):
        return f"<{self.x}, {self.y}>"

v, w = Vector(3, 4), Vector(1, -1)
print(v + w, v * w, 2 * v, -w, abs(v), v >= w, sum([v, w], Vector(0, 0)), bool(Vector(0, 0)), {v, Vector(3, 4)}, [*w])
try:
    v.z = 1
except AttributeError:
    print("no attribute z")
