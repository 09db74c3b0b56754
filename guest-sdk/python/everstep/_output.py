"""Standard output and standard error, written line by line, and a place where a program that prints can be interrupted."""

import io
import sys

from . import _interrupt


class _Raw(io.FileIO):
    def write(self, data):
        # Before it is written: what raises leaves the text in the buffer, and it is written once.
        _interrupt.check()
        return super().write(data)


def _stream(number, errors):
    raw = _Raw(number, "wb", closefd=False)
    raw.name = ("<stdout>", "<stderr>")[number - 1]
    stream = io.TextIOWrapper(io.BufferedWriter(raw), "utf-8", errors, line_buffering=True)
    stream.mode = "w"
    return stream


def install():
    sys.stdout = sys.__stdout__ = _stream(1, "surrogateescape")
    sys.stderr = sys.__stderr__ = _stream(2, "backslashreplace")
