"""Clocks and `sleep` that notice an interruption."""

import functools
import math
import time

from wit_world.imports import timers

from . import _errors, _interrupt
from ._builtin import put


def sleep(seconds):
    """As `time.sleep`; the deadline is durable."""
    if not isinstance(seconds, float) and not hasattr(seconds, "__index__"):
        raise TypeError(f"'{type(seconds).__name__}' object cannot be interpreted as an integer or float")
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")
    _errors.wait_for(_errors.call(timers.sleep, math.ceil(seconds * 1000)))


def _checked(clock):
    @functools.wraps(clock)
    def read():
        now = clock()
        _interrupt.check()
        return now

    return read


def install():
    for name in ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns"):
        put(time, name, _checked(getattr(time, name)))
    put(time, "sleep", sleep)
