"""Clocks and `sleep` that notice an interruption."""

import functools
import time

from wit_world.imports import timers

from . import _durations, _errors, _interrupt
from ._builtin import put


def sleep(seconds):
    """As `time.sleep`; the deadline is durable."""
    _errors.wait_for(_errors.call(timers.sleep, _durations.slept(seconds)))


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
