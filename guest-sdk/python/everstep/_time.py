"""Clocks and `sleep` that notice an interruption."""

import functools
import math
import time

from wit_world.imports import timers

from . import _errors, _interrupt


def sleep(seconds):
    """As `time.sleep`; the deadline is durable."""
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
        setattr(time, name, _checked(getattr(time, name)))
    time.sleep = sleep
