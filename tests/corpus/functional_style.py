# Composition, partial application, reduce, currying and closures.
from functools import partial, partialmethod, reduce
from operator import attrgetter, itemgetter, methodcaller

def compose(*functions):
    return reduce(lambda f, g: lambda x: f(g(x)), functions)

clean = compose("-".join, sorted, set, str.split, str.lower)
print(clean("The the quick THE Fox"))

def curry(function, n):
    return lambda x: function(x) if n == 1 else curry(partial(function, x), n - 1)

print(curry(lambda a, b, c: a + b * c, 3)(1)(2)(3), list(map(partial(pow, exp=2), [1, 2, 3])))

class Door:
    def set(self, value):
        self.state = value
        return self

    open = partialmethod(set, "open")

print(attrgetter("state")(Door().open()), itemgetter(1, -1)("abc"), methodcaller("split", ",")("a,b"))

def counter():
    n = 0

    def up(by=1):
        nonlocal n
        n += by
        return n

    return up

up, other = counter(), counter()
print(up(), up(5), other(), [f() for f in [lambda n=n: n * n for n in range(4)]])
