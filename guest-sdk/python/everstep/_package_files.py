"""Reading the files of packages that are built in, as a package reads what lies beside its modules."""

import _io
import builtins
import errno
import functools
import io
import os
import tokenize

from . import _packages
from ._builtin import BuiltIn, put


def install():
    opened = BuiltIn(_either(io.open, _open), "_io", "open")
    for module in (_io, io, builtins):
        module.open = opened
    # Tracebacks show lines of packages.
    tokenize._builtin_open = opened
    for name, function in (("stat", _stat), ("lstat", _stat), ("access", _access), ("listdir", _packages.names), ("scandir", _Scan)):
        put(os, name, _either(getattr(os, name), function))


def _either(native, ours):
    """What a path of the packages does not need to ask the host for."""

    @functools.wraps(native)
    def function(path=".", *args, **options):
        where = _packages.inner(path)
        return native(path, *args, **options) if where is None else ours(where, *args, **options)

    return function


def _open(path, mode="r", buffering=-1, encoding=None, errors=None, newline=None, closefd=True, opener=None):
    if set(mode) & set("wax+"):
        raise PermissionError(errno.EACCES, "what is built in cannot be changed", f"{_packages.ROOT}/{path}")
    content = _Content(_packages.data(path))
    content.name = f"{_packages.ROOT}/{path}"
    return content if "b" in mode else io.TextIOWrapper(content, encoding or "utf-8", errors, newline)


class _Content(io.BytesIO):
    """What a file holds; it has a name, as the file has."""

    mode = "rb"


def _stat(path, **_):
    if _packages.is_folder(path):
        return os.stat_result((0o40555, 0, 0, 1, 0, 0, 0, 0, 0, 0))
    return os.stat_result((0o100444, 0, 0, 1, 0, 0, _packages.size(path), 0, 0, 0))


def _access(path, mode, **_):
    try:
        _stat(path)
    except OSError:
        return False
    return not mode & os.W_OK


class _Entry:
    """As `os.DirEntry`."""

    def __init__(self, folder, name):
        self._inner = f"{folder}/{name}".lstrip("/")
        self.name, self.path = name, f"{_packages.ROOT}/{self._inner}"

    def __fspath__(self):
        return self.path

    def is_dir(self, *, follow_symlinks=True):
        return _packages.is_folder(self._inner)

    def is_file(self, *, follow_symlinks=True):
        return not self.is_dir()

    def is_symlink(self):
        return False

    def stat(self, *, follow_symlinks=True):
        return _stat(self._inner)


class _Scan:
    """As `os.scandir`."""

    def __init__(self, folder):
        self._left = iter([_Entry(folder, name) for name in _packages.names(folder)])

    def __iter__(self):
        return self

    def __next__(self):
        return next(self._left)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._left = iter(())
