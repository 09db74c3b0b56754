"""Standard output and standard error, written line by line, and a place where a program that prints can be interrupted."""

import io
import sys

from . import _interrupt


# Whether all streams are flushed, for which one question is enough.
_flushes_all = False


class _Buffer(io.BufferedWriter):
    def flush(self):
        super().flush()
        if _flushes_all:
            return
        # Behind the call, and not in it: what raises there leaves the text in the buffer, and it is written twice.
        try:
            _interrupt.check()
        except RecursionError:
            # It is written; what is interrupted learns it less deep.
            pass


def flush():
    """Shows what was printed before the program waits."""
    global _flushes_all
    _flushes_all = True
    try:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except KeyboardInterrupt:
                _interrupt.interrupt()
            except Exception:
                pass
    finally:
        _flushes_all = False
    try:
        _interrupt.check()
    except KeyboardInterrupt:
        _interrupt.interrupt()
    except RecursionError:
        pass


def _stream(number, errors):
    raw = io.FileIO(number, "wb", closefd=False)
    raw.name = ("<stdout>", "<stderr>")[number - 1]
    stream = io.TextIOWrapper(_Buffer(raw), "utf-8", errors, line_buffering=True)
    stream.mode = "w"
    return stream


def install():
    sys.stdout = sys.__stdout__ = _stream(1, "strict")
    sys.stderr = sys.__stderr__ = _stream(2, "backslashreplace")
