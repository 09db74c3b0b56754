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
# Uses more of the stack of C than it does.
_DEEP = []
for _ in range(12):
    _DEEP = [_DEEP]

_recursion_limit, _set_recursion_limit, _repr = sys.getrecursionlimit, sys.setrecursionlimit, repr


class NotYet(BaseException):
    """What only an execution can do was asked for while the component is built; no ordinary handler takes it for something else."""


def not_yet(what):
    asked.append(NotYet(what))
    return asked[-1]


def reach(function, *args):
    """Calls an import. A program that is too deep for that, or hands over half of a surrogate pair, learns it here."""
    if not is_built:
        raise not_yet("it reads the clock" if function.__name__ == "interrupted" else f"it calls the host ({function.__name__})")
    _check(args)
    _probe()
    limit = _recursion_limit()
    _set_recursion_limit(min(limit + _ROOM, _MOST))
    try:
        return function(*args)
    finally:
        _set_recursion_limit(limit)


def _probe():
    _repr(_DEEP)


def _check(values):
    stack = list(values)
    while stack:
        one = stack.pop()
        if isinstance(one, str):
            if not one.isascii():
                one.encode()
        elif isinstance(one, (list, tuple)):
            stack.extend(one)
        elif dataclasses.is_dataclass(one):
            stack.extend(vars(one).values())
