# Warnings are caught, and tracebacks are shown as text.
import traceback
import warnings

def old():
    warnings.warn("old() goes away", DeprecationWarning, stacklevel=2)
    return 1

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    old()
    warnings.warn("careful")
print([(w.category.__name__, str(w.message)) for w in caught])
with warnings.catch_warnings():
    warnings.simplefilter("error")
    try:
        old()
    except DeprecationWarning as error:
        print("raised:", error)

def level(n):
    if n == 0:
        raise LookupError("deep")
    level(n - 1)

try:
    try:
        level(2)
    except LookupError as error:
        raise ValueError("wrapped") from error
except ValueError as error:
    lines = traceback.format_exception(error)
    print(len(traceback.extract_tb(error.__cause__.__traceback__)), lines[-1].strip(), any("direct cause" in line for line in lines))
    print([frame.name for frame in traceback.extract_tb(error.__cause__.__traceback__)])
try:
    exec("def f(:\n  pass")
except SyntaxError as error:
    print(type(error).__name__, error.lineno)
