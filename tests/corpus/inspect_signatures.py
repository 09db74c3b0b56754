# Looks at functions: signatures, annotations, sources of arguments.
import inspect
import typing
from functools import wraps

def typed(function):
    signature, hints = inspect.signature(function), typing.get_type_hints(function)

    @wraps(function)
    def check(*args, **kwargs):
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        for name, value in bound.arguments.items():
            if name in hints and not isinstance(value, typing.get_origin(hints[name]) or hints[name]):
                raise TypeError(f"{name} must be {hints[name]}, not {value!r}")
        return function(*args, **kwargs)

    return check

@typed
def repeat(text: str, times: int = 2, *, tags: list[str] = ()) -> str:
    "Repeats a text."
    return text * times

print(inspect.signature(repeat), repeat("ab", tags=["x"]), inspect.getdoc(repeat))
for bad in (lambda: repeat(3, tags=[]), lambda: repeat("a", "b", tags=[]), lambda: repeat()):
    try:
        bad()
    except TypeError as error:
        print(error)
print([name for name, p in inspect.signature(repeat).parameters.items() if p.kind is p.KEYWORD_ONLY], inspect.isgeneratorfunction(repeat))
print(typing.get_args(dict[str, list[int]]), typing.get_origin(typing.Optional[int]) is typing.Union)
