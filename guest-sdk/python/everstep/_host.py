"""Calls of the host. What carries them out is written in Rust, and where it does not expect an exception it traps."""

import dataclasses
import sys

# Calls of Python that it makes, at most.
_ROOM = 50
_MOST = 2**31 - 1
# Uses more of the stack of C than it does.
_DEEP = []
for _ in range(12):
    _DEEP = [_DEEP]

_recursion_limit, _set_recursion_limit, _repr = sys.getrecursionlimit, sys.setrecursionlimit, repr


def reach(function, *args):
    """Calls an import. A program that is too deep for that, or hands over half of a surrogate pair, learns it here."""
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
