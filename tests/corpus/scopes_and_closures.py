# Names: global, nonlocal, class bodies, late binding, unbound locals.
x = "global"

def outer():
    x = "outer"

    def inner():
        nonlocal x
        x = "changed"
        return [x for _ in range(1)], "x" in globals()

    return inner(), x

class Body:
    x = "class"
    copies = [x for _ in range(2)]
    first = (lambda: x)()

def unbound():
    try:
        print(x)
        x = 1
    except UnboundLocalError as error:
        return type(error).__name__

def local():
    global made
    made = 1
    a = b = 2
    return sorted(locals())

print(outer(), x, Body.copies, Body.first, unbound(), local(), made)
print([f() for f in [lambda: i for i in range(3)]], (lambda *a, k=1, **kw: (a, k, kw))(1, 2, k=3, z=4))

def positional(a, b=2, /, c=3, *, d, **rest):
    return a, b, c, d, rest

print(positional(1, d=4, a=5))
try:
    positional(a=1, d=2)
except TypeError as error:
    print("TypeError")
