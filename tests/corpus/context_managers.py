# Context managers: nested, with suppressed and with changed exceptions.
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
import io

@contextmanager
def resource(name, fails=False):
    print("open", name)
    try:
        yield name.upper()
    except ZeroDivisionError as error:
        raise RuntimeError(f"{name} broke") from error
    finally:
        print("close", name)

with resource("a") as a, resource("b") as b:
    print(a, b)
with suppress(KeyError):
    {}["missing"]
with ExitStack() as stack:
    names = [stack.enter_context(resource(str(n))) for n in range(3)]
    stack.callback(print, "called last but first out")
    print(names)
try:
    with resource("c"):
        1 / 0
except RuntimeError as error:
    print(error, "because of", repr(error.__cause__))
with redirect_stdout(io.StringIO()) as out:
    print("hidden")
print(repr(out.getvalue()))
