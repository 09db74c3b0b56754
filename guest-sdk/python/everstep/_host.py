"""Calls of the host. What carries them out is written in Rust, and where it does not expect an exception it traps."""

import dataclasses
import sys

# False while the component is built: then there is no host to be asked.
is_built = False
# What has been asked for all the same, each as an exception.
asked = []

# Calls of Python that it makes, at most.
_ROOM = 50
_MOST = 2**31 - 1
# To compare these uses more of the stack of C than it does.
_DEEP, _AS_DEEP = (), ()
for _ in range(14):
    _DEEP, _AS_DEEP = (_DEEP,), (_AS_DEEP,)

# What holds no text.
_WHOLE = frozenset((bool, int, float, bytes, type(None)))

_recursion_limit, _set_recursion_limit = sys.getrecursionlimit, sys.setrecursionlimit


class NotYet(BaseException):
    """What only an execution can do was asked for while the component is built; no ordinary handler takes it for something else."""


def not_yet(what):
    asked.append(NotYet(what))
    return asked[-1]


def reach(function, *args):
    """Calls an import. A program that is too deep for that, or hands over half of a surrogate pair, learns it here."""
    if not is_built:
        raise not_yet("it reads the clock" if function.__name__ == "interrupted" else f"it calls the host ({function.__name__})")
    if args:
        _check(args)
    _DEEP == _AS_DEEP
    limit = _recursion_limit()
    _set_recursion_limit(limit + _ROOM if limit < _MOST - _ROOM else _MOST)
    try:
        return function(*args)
    finally:
        _set_recursion_limit(limit)


def _check(values):
    for one in values:
        kind = type(one)
        if kind is str:
            if not one.isascii():
                one.encode()
        elif kind not in _WHOLE:
            _check_parts(one)


def _check_parts(one):
    if isinstance(one, str):
        one.encode()
    elif isinstance(one, (list, tuple)):
        _check(one)
    elif dataclasses.is_dataclass(one):
        _check(vars(one).values())
