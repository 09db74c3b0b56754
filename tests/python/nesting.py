import sys

def tried(make):
    try:
        make()
        return "fine"
    except (RecursionError, MemoryError, SyntaxError) as error:
        return type(error).__name__

deep = []
for _ in range(100_000):
    deep = [deep]
print(tried(lambda: repr(deep)), tried(lambda: eval("(" * 5000 + ")" * 5000)), tried(lambda: hash(eval("-" * 3000 + "1"))))
import ast
print(tried(lambda: ast.literal_eval("[" * 500 + "]" * 500)))
#> RecursionError MemoryError RecursionError
#> MemoryError
