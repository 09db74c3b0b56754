"""Interruptions: a `KeyboardInterrupt` behind a call of the host, or where the program waits.

Python's own way, a signal that arrives between two instructions, could not be found again by a replay.
"""

from wit_world.imports import context

from . import _host

_target = None
# An interruption came while a cell was about to begin.
_early = False


def noticed():
    """Whether somebody has interrupted the program since the last question."""
    return _host.reach(context.interrupted)


def check():
    """Raises `KeyboardInterrupt` if so."""
    global _early
    if _early or noticed():
        _early = False
        raise KeyboardInterrupt


def forget():
    """What has been noticed by now was for something that is over."""
    global _early
    _early = False


def interrupt():
    """Interrupts the program, or what begins next; false when it was told before."""
    global _early
    if _target is None:
        _early = True
        return True
    return cancel(KeyboardInterrupt())


class Target:
    """The task that an interruption cancels, within a `with`; `reason` is what it gets instead of the cancellation."""

    def __init__(self, task):
        self.task, self.reason = task, None

    def __enter__(self):
        global _target
        self._outer, _target = _target, self
        return self

    def __exit__(self, *of):
        global _target
        _target = self._outer


def cancel(reason):
    """Has the program end what it does with `reason`; false when it does nothing, or was told before."""
    if _target is None or _target.task.done() or _target.reason is not None:
        return False
    _target.reason = reason
    _target.task.cancel()
    return True
