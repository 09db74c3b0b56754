import traceback

def inner():
    raise ValueError("deep")

def outer():
    try:
        inner()
    except ValueError as error:
        raise RuntimeError("outer") from error

try:
    outer()
except RuntimeError as error:
    text = traceback.format_exc()
    print(type(error.__cause__).__name__, text.count("Traceback"), 'raise ValueError("deep")' in text)
try:
    raise ExceptionGroup("many", [ValueError(1), TypeError(2)])
except* ValueError as group:
    print([str(one) for one in group.exceptions])
except* TypeError as group:
    print("and", len(group.exceptions))
try:
    def down(n): return down(n + 1)
    down(0)
except RecursionError as error:
    print(type(error).__name__)
for bad in ("1 +", "x = = 2", "def f(:"):
    try:
        compile(bad, "<bad>", "exec")
    except SyntaxError as error:
        print(error.lineno, end=" ")
print()
#> ValueError 2 True
#> ['1']
#> and 1
#> RecursionError
#> 1 1 1 
