"""Calls of the host about files, and what they come to in Python."""

import errno
import hashlib
import os
import pathlib
import stat as stat_module

from wit_world.imports import files
from wit_world.imports.files import FileKind

from ._errors import file_call

# The time of every file, 1980-01-02: the host tells none, and a ZIP archive holds none that is earlier.
_TIME = 315_619_200


def _error(number, *path):
    return OSError(number, os.strerror(number), *path)


def _call(path, function, *args, named=None):
    """Calls an import about what the program calls `named`. Where the host says only that it failed, what lies there says why."""
    try:
        return file_call(path, function, *args)
    except OSError as error:
        number = _reason(path, function) if error.errno == errno.EIO else None
        if number is not None:
            raise _error(number, named or path) from None
        error.filename = named or path
        raise


def _reason(path, function):
    folders = [str(above) for above in pathlib.PurePosixPath(path).parents]
    if function is files.list:
        folders.insert(0, path)
    elif function is not files.stat and _kind(path) == FileKind.DIRECTORY:
        return errno.EISDIR
    return errno.ENOTDIR if any(_kind(folder) == FileKind.FILE for folder in folders) else None


def _kind(path):
    """What lies there, as far as the host tells."""
    try:
        return file_call(path, files.stat).kind
    except OSError:
        return None


def _result(path, kind, size):
    mode = {FileKind.FILE: stat_module.S_IFREG | 0o644, FileKind.DIRECTORY: stat_module.S_IFDIR | 0o755}
    # There are no links: a path is the identity of a file.
    inode = int.from_bytes(hashlib.sha256(path.encode()).digest()[:7])
    times = {f"st_{name}time{unit}": _TIME * scale for name in "amc" for unit, scale in (("", 1.0), ("_ns", 10**9))}
    return os.stat_result((mode.get(kind, stat_module.S_IFCHR), inode, 0, 1, 0, 0, size, _TIME, _TIME, _TIME), times)
