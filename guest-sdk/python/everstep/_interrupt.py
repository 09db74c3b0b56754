"""Interruptions: a `KeyboardInterrupt` behind a call of the host, or where the program waits.

Python's own way, a signal that arrives between two instructions, could not be found again by a replay.
"""

import contextlib

from wit_world.imports import context

_target = None


def check():
    """Raises `KeyboardInterrupt` if somebody has interrupted the program."""
    if context.interrupted():
        raise KeyboardInterrupt


class Target:
    """The task that an interruption cancels; `reason` is what it gets instead of the cancellation."""

    def __init__(self, task):
        self.task, self.reason = task, None


@contextlib.contextmanager
def target(task):
    global _target
    outer, _target = _target, Target(task)
    try:
        yield _target
    finally:
        _target = outer


def cancel(reason):
    """Has the program end what it does with `reason`; false when it does nothing."""
    if _target is None or _target.task.done():
        return False
    _target.reason = reason
    _target.task.cancel()
    return True
