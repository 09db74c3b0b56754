"""The files of a program, which Python's own modules read and write: what Python leaves to its process."""

import errno
import gc
import io
import os
import sys

from wit_world.imports import files
from wit_world.imports.types import ErrorCode

from . import _errors, _host

# How the host tells the reasons of a refusal through WASI.
_ERRNO = {
    ErrorCode.DENIED: errno.EACCES,
    ErrorCode.TIMED_OUT: errno.EACCES,
    ErrorCode.CANCELED: errno.EACCES,
    ErrorCode.INVALID: errno.EINVAL,
    ErrorCode.NOT_FOUND: errno.ENOENT,
    ErrorCode.LIMIT_EXCEEDED: errno.EDQUOT,
}


def begin():
    """Goes to the working folder that the policy names."""
    os.chdir(os.environ.get("PWD", "/"))


def flush_all():
    """Writes what is left in the buffers of open files, as Python does when it ends."""
    try:
        opened = gc.get_objects()
    except MemoryError:
        print("what files hold in their buffers was not written: no memory is left", file=sys.stderr)
        return
    # What a text has buffered goes to a buffer of bytes.
    for kind in (io.TextIOWrapper, (io.BufferedWriter, io.BufferedRandom)):
        for file in opened:
            if issubclass(type(file), kind):
                _flush(file)


def _flush(file):
    try:
        if file.closed:
            return
    except ValueError:
        # It has given its buffer away.
        return
    try:
        file.flush()
    except Exception as error:
        sys.unraisablehook(_Unraisable((type(error), error, None, None, file)))


def _unraisable():
    """The type of what `sys.unraisablehook` is told, which has no name."""

    class Raises:
        def __del__(self):
            raise ValueError

    found, hook = [], sys.unraisablehook
    sys.unraisablehook = lambda told: found.append(type(told))
    try:
        Raises()
    finally:
        sys.unraisablehook = hook
    return found[0]


_Unraisable = _unraisable()


def explain(error):
    """Tells, below an error of a file, why the policy or the host has refused the call, which the error itself has no place for."""
    try:
        if not isinstance(error, OSError) or error.errno is None:
            return
        path = None if error.filename is None else os.path.abspath(os.fsdecode(error.filename))
        refusal = _host.reach(files.refusal, path)
        if refusal is not None and error.errno == _ERRNO.get(refusal.code, errno.EIO) and refusal.message not in getattr(error, "__notes__", ()):
            _errors.marked(refusal, error).add_note(refusal.message)
    except Exception:
        # A class of the program, or what it was raised with, may be anything.
        return
