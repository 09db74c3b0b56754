"""Seconds, as programs give them, in the milliseconds that the host counts. Every wait and every deadline goes through here."""

import math
import operator

# The most that the host counts: as good as for ever.
FOREVER = 2**64 - 1
# Beyond these nanoseconds CPython refuses to sleep.
_LONGEST_SLEEP = 2**63


def milliseconds(seconds):
    """Rounded up, so that nothing ends early. What is negative is over at once; what the host cannot count is for ever."""
    if seconds != seconds:
        raise ValueError("Invalid delay: NaN (not a number)")
    if seconds <= 0:
        return 0
    return FOREVER if seconds >= FOREVER // 1000 else math.ceil(seconds * 1000)


def timeout(seconds):
    """The same for a deadline that a call may have."""
    return None if seconds is None else milliseconds(seconds)


def slept(seconds):
    """The same for `time.sleep`, with the errors of CPython."""
    if isinstance(seconds, float):
        if math.isnan(seconds):
            raise ValueError("Invalid value NaN (not a number)")
        if not -_LONGEST_SLEEP <= seconds * 1e9 < _LONGEST_SLEEP:
            raise OverflowError("timestamp out of range for platform time_t")
    else:
        if not hasattr(seconds, "__index__"):
            raise TypeError(f"'{_named(type(seconds))}' object cannot be interpreted as an integer or float")
        seconds = operator.index(seconds)
        if not -_LONGEST_SLEEP <= seconds * 10**9 < _LONGEST_SLEEP:
            raise OverflowError("timestamp too large to convert to C PyTime_t")
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")
    return milliseconds(seconds)


def _named(kind):
    """A class as CPython names it in its errors."""
    return kind.__qualname__ if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}.{kind.__qualname__}"
