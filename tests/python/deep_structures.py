# What holds itself a hundred thousand times over is freed, shown, compared and kept without an end of the stack.
import copy, itertools, json, pickle

DEEP = 100_000


def nested(wrap):
    x = None
    for _ in range(DEEP):
        x = wrap(x)
    return x


class Node:
    def __init__(self, next):
        self.next = next


class Slot:
    __slots__ = ("next",)

    def __init__(self, next):
        self.next = next


def generator(x):
    yield x


def begun(x):
    made = generator(x)
    next(made)
    return made


def error(x):
    made = ValueError()
    made.__cause__ = x
    return made


#> freed
for wrap in (
    lambda x: (x,), lambda x: [x], lambda x: {1: x}, lambda x: {2: (x,)}, Node, Slot,
    lambda x: lambda: x, begun, error, lambda x: itertools.chain(x or ()), lambda x: map(None, x or ()),
):
    x = nested(wrap)
    x = None
print("freed")

#> repr RecursionError
#> equal RecursionError
#> json RecursionError
#> pickle RecursionError
#> deepcopy RecursionError
deep, other = nested(lambda x: [x]), nested(lambda x: [x])
for name, do in {
    "repr": lambda: repr(deep), "equal": lambda: deep == other, "json": lambda: json.dumps(deep),
    "pickle": lambda: pickle.dumps(deep), "deepcopy": lambda: copy.deepcopy(deep),
}.items():
    try:
        do()
        print(name)
    except RecursionError:
        print(name, "RecursionError")
del deep, other

#> printed on the way out
#> over
def deeper(left=[]):
    try:
        deeper()
    except RecursionError:
        left.append(1)
        if len(left) == 20:
            print("printed on the way out")
        raise


try:
    deeper()
except RecursionError:
    print("over")
