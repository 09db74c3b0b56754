import contextlib, io, contextvars

@contextlib.contextmanager
def told(name):
    print("enter", name)
    try:
        yield name
    finally:
        print("leave", name)

with contextlib.ExitStack() as stack:
    for name in "ab":
        stack.enter_context(told(name))
out = io.StringIO()
with contextlib.redirect_stdout(out):
    print("caught")
print(repr(out.getvalue()), [x async for x in (y async for y in (lambda: agen())())] if False else "-")

def counter():
    got = yield 1
    yield got * 2

it = counter()
print(next(it), it.send(21))
var = contextvars.ContextVar("var", default=0)
print(var.get(), contextvars.copy_context().run(lambda: (var.set(3), var.get())[1]), var.get())
#> enter a
#> enter b
#> leave b
#> leave a
#> 'caught\n' -
#> 1 42
#> 0 3 0
