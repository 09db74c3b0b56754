"""`open`, `os` and with them `pathlib`, `glob` and `shutil` over the files that the policy grants."""

import errno
import functools
import io
import itertools
import math
import operator
import os
import posixpath
import stat as stat_module
import sys
import tempfile
import types
import warnings
import weakref

from wit_world.imports import files
from wit_world.imports.files import FileKind

from ._builtin import BuiltIn, put
from ._host_files import _call, _error, _kind, _result

_cwd = "/"
# Folders that exist only because the program made them: the host makes a folder with the first file in it.
_made = set()


def _path(path):
    path = os.fspath(path)
    if isinstance(path, bytes):
        path = os.fsdecode(path)
    if not isinstance(path, str):
        raise TypeError(f"expected str, bytes or os.PathLike object, not {type(path).__name__}")
    if not path:
        raise _error(errno.ENOENT, path)
    if "\0" in path:
        raise ValueError("embedded null byte")
    try:
        path.encode()
    except UnicodeEncodeError:
        # The host knows paths that are text, and no others.
        raise _error(errno.EILSEQ, path) from None
    return "/" + posixpath.normpath(posixpath.join(_cwd, path)).lstrip("/")


class _Pages:
    """The content of an open file, shared by all that have it open; `save` writes it, whole and in one step."""

    opened = {}

    def __init__(self, path, content):
        self.path, self.content, self.is_removed = path, bytearray(content), False
        self._users, self._changed = 0, False
        # Whether all changes since the last save only add at the end, and what the host had before them; none: no file.
        self._adds, self._before = False, None

    @classmethod
    def of(cls, path, content):
        """The pages of a path; `content` is what the host has."""
        pages = cls.opened.get(path) or cls(path, content)
        if not pages._changed:
            pages.content[:] = content
        cls.opened[path] = pages
        pages._users += 1
        return pages

    def changes(self, adds):
        """Called before a change. `adds`: by a handle that adds at the end, wherever that will be."""
        if adds and not self._changed:
            self._before = bytes(self.content)
        self._adds = adds and (self._adds or not self._changed)
        self._changed = True

    def clear(self):
        self.content.clear()
        self._changed = False

    def save(self):
        if not self._changed or self.is_removed:
            return
        if self._adds:
            self._add()
        else:
            _call(self.path, files.write, bytes(self.content))
        self._changed = False

    def _add(self):
        # Another execution may have written meanwhile: what it wrote stays, and what is added here follows it.
        while not _call(self.path, files.replace, self._before, bytes(self.content)):
            added = self.content[len(self._before or b"") :]
            try:
                self._before = _call(self.path, files.read)
            except FileNotFoundError:
                self._before = None
            self.content[:] = (self._before or b"") + added

    def leave(self):
        self._users -= 1
        if not self._users and self.opened.get(self.path) is self:
            del self.opened[self.path]


class _File:
    """An open file: where in its pages it is, and what it may do. A number stands for it."""

    # Far from the numbers of the standard streams.
    opened, _numbers = {}, itertools.count(1000)

    def __init__(self, pages, flags):
        self.pages, self._flags, self._at = pages, flags, 0
        self.number = next(self._numbers)
        self.opened[self.number] = self

    @property
    def path(self):
        return self.pages.path

    def _check(self, forbidden):
        if self._flags & os.O_ACCMODE == forbidden:
            raise _error(errno.EBADF)

    def size(self):
        return len(self.pages.content)

    def read(self, size=-1):
        self._check(os.O_WRONLY)
        read = bytes(self.pages.content[self._at : None if size < 0 else self._at + size])
        self._at += len(read)
        return read

    def readinto(self, buffer):
        view = memoryview(buffer).cast("B")
        read = self.read(len(view))
        view[: len(read)] = read
        return len(read)

    def write(self, data):
        self._check(os.O_RDONLY)
        data, content = memoryview(data).cast("B"), self.pages.content
        adds = bool(self._flags & os.O_APPEND)
        self.pages.changes(adds)
        if adds:
            self._at = len(content)
        content.extend(bytes(max(0, self._at - len(content))))
        content[self._at : self._at + len(data)] = data
        self._at += len(data)
        return len(data)

    def seek(self, offset, whence=os.SEEK_SET):
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size()}.get(whence, -math.inf)
        if start + operator.index(offset) < 0:
            raise _error(errno.EINVAL)
        self._at = start + offset
        return self._at

    def truncate(self, size):
        self._check(os.O_RDONLY)
        if operator.index(size) < 0:
            raise _error(errno.EINVAL)
        self.pages.changes(False)
        del self.pages.content[size:]
        self.pages.content.extend(bytes(size - self.size()))

    def save(self):
        self.pages.save()

    def close(self):
        del self.opened[self.number]
        try:
            self.save()
        finally:
            self.pages.leave()


def _is_ours(file):
    return not isinstance(file, int) or file in _File.opened


def _opened(number):
    if number not in _File.opened:
        raise _error(errno.EBADF)
    return _File.opened[number]


class FileIO(io.RawIOBase):
    """As `io.FileIO`, for files of the policy."""

    __module__ = "io"
    closefd = _finalizing = False
    _saves = True

    def __new__(cls, file, *args, **options):
        return super().__new__(cls) if _is_ours(file) else _NativeFileIO(file, *args, **options)

    def __init__(self, file, mode="r", closefd=True, opener=None):
        kinds = _kinds(mode)
        self._opened, self.name, self.closefd = _opened(_number(file, kinds, closefd, opener)), file, closefd
        self._reads, self._writes = bool(kinds & set("r+")), bool(kinds & set("wax+"))
        base = next(iter(kinds & set("xa")), "r" if self._reads else "w")
        self.mode = base + "b" + "+" * (self._reads and self._writes)
        if "a" in kinds:
            self._file.seek(0, os.SEEK_END)

    @property
    def _file(self):
        self._checkClosed()
        return _opened(self._opened.number)

    def __repr__(self):
        about = "[closed]" if self.closed else f"name={self.name!r} mode={self.mode!r} closefd={self.closefd}"
        return f"<_io.FileIO {about}>"

    def fileno(self):
        return self._file.number

    def readable(self):
        self._checkClosed()
        return self._reads

    def writable(self):
        self._checkClosed()
        return self._writes

    def seekable(self):
        self._checkClosed()
        return True

    def readinto(self, buffer):
        self._checkReadable()
        return self._file.readinto(buffer)

    def readall(self):
        self._checkReadable()
        return self._file.read()

    def write(self, data):
        self._checkWritable()
        written = self._file.write(data)
        if self._saves:
            self.save()
        return written

    def seek(self, offset, whence=os.SEEK_SET):
        return self._file.seek(offset, whence)

    def truncate(self, size=None):
        self._checkWritable()
        size = self.tell() if size is None else size
        self._file.truncate(size)
        if self._saves:
            self.save()
        return size

    def save(self):
        self._opened.save()

    def close(self):
        if self.closed:
            return
        if self._finalizing:
            self._dealloc_warn(self)
        try:
            if self.closefd:
                self._file.close()
        finally:
            super().close()

    def _dealloc_warn(self, source):
        if self.closefd and self._opened.number in _File.opened:
            warnings.warn(f"unclosed file {source!r}", ResourceWarning, source=source, skip_file_prefixes=(__file__,))

    def __reduce_ex__(self, protocol):
        raise TypeError(f"cannot pickle {type(self).__name__!r} object")


class _Raw(FileIO):
    """The same below a buffer, which has it saved when it is flushed."""

    _saves = False


class _Writer(io.BufferedWriter):
    def flush(self):
        super().flush()
        self.raw.save()


class _Random(io.BufferedRandom):
    def flush(self):
        super().flush()
        self.raw.save()


def open(file, mode="r", buffering=-1, encoding=None, errors=None, newline=None, closefd=True, opener=None):
    """As the built-in `open`, for files of the policy."""
    if not _is_ours(file):
        return _native_open(file, mode, buffering, encoding, errors, newline, closefd, opener)
    kinds = _kinds(mode)
    binary = "b" in kinds
    for name, value in (("an encoding", encoding), ("an errors", errors), ("a newline", newline)):
        if binary and value is not None:
            raise ValueError(f"binary mode doesn't take {name} argument")
    if buffering == 0 and not binary:
        raise ValueError("can't have unbuffered text I/O")
    if buffering == 0:
        return FileIO(file, mode, closefd, opener)
    kind = _Random if "+" in kinds else io.BufferedReader if "r" in kinds else _Writer
    opened = kind(_Raw(file, mode, closefd, opener))
    if not binary:
        buffered = opened
        try:
            opened = io.TextIOWrapper(buffered, encoding, errors, newline, buffering == 1)
        except BaseException:
            buffered.close()
            raise
        opened.mode = mode
    _left_open[next(_openings)] = opened
    return opened


# By the order in which they were opened, so that a replay goes the same way.
_left_open, _openings = weakref.WeakValueDictionary(), itertools.count()


def flush_all():
    """Writes what is left in the buffers of open files, as Python does when it ends."""
    for file in tuple(_left_open.values()):
        try:
            if not file.closed:
                file.flush()
        except Exception as error:
            sys.unraisablehook(types.SimpleNamespace(exc_type=type(error), exc_value=error, exc_traceback=None, err_msg=None, object=file))


def _kinds(mode):
    if not isinstance(mode, str):
        raise TypeError(f"open() argument 'mode' must be str, not {type(mode).__name__}")
    kinds = set(mode)
    if len(kinds) != len(mode) or kinds - set("rwaxbt+"):
        raise ValueError(f"invalid mode: {mode!r}")
    if {"b", "t"} <= kinds:
        raise ValueError("can't have text and binary mode at once")
    if len(kinds & set("rwax")) != 1:
        raise ValueError("must have exactly one of create/read/write/append mode")
    return kinds


def _number(file, kinds, closefd, opener):
    if isinstance(file, int):
        return file
    if not closefd:
        raise ValueError("Cannot use closefd=False with file name")
    if opener is None:
        return open_descriptor(file, _flags(kinds))
    number = opener(file, _flags(kinds))
    if not isinstance(number, int):
        raise TypeError("expected integer from opener")
    if number < 0:
        raise ValueError(f"opener returned {number}")
    return number


def _flags(kinds):
    flags = os.O_RDWR if "+" in kinds else os.O_RDONLY if "r" in kinds else os.O_WRONLY
    for kind, more in (("w", os.O_CREAT | os.O_TRUNC), ("a", os.O_CREAT | os.O_APPEND), ("x", os.O_CREAT | os.O_EXCL)):
        flags |= more if kind in kinds else 0
    return flags


def open_descriptor(path, flags, mode=0o777, *, dir_fd=None):
    """As `os.open`. What cannot be written is an error here, and not only when the file is closed."""
    full, content = _path(path), None
    creates, truncates, alone = flags & os.O_CREAT, flags & os.O_TRUNC, flags & os.O_CREAT and flags & os.O_EXCL
    if alone:
        if _exists(full, path):
            raise _error(errno.EEXIST, path)
    elif not (creates and truncates):
        try:
            content = _read(full, path)
        except FileNotFoundError:
            if not creates:
                raise
    if full in _made or (creates and os.fsdecode(path).endswith("/")):
        raise _error(errno.EISDIR, path)
    if truncates and not alone:
        content = b""
        _call(full, files.write, content, named=path)
        if full in _Pages.opened:
            _Pages.opened[full].clear()
    elif creates and not content and not _call(full, files.replace, content, b"", named=path):
        # Somebody else was faster.
        if alone:
            raise _error(errno.EEXIST, path)
        content = _read(full, path)
    return _File(_Pages.of(full, content or b""), flags).number


def _of_descriptor(native, ours):
    """A function of `os` that takes a descriptor: `ours` for that of a file of the policy."""

    @functools.wraps(native)
    def function(number, *args):
        file = _File.opened.get(number)
        return native(number, *args) if file is None else ours(file, *args)

    return function


def _write_now(file, data):
    written = file.write(data)
    file.save()
    return written


def _truncate_now(file, length):
    file.truncate(length)
    file.save()


_OF_DESCRIPTOR = {
    "close": _File.close,
    "fstat": lambda file: _result(file.path, FileKind.FILE, file.size()),
    "fsync": _File.save,
    "ftruncate": _truncate_now,
    "isatty": lambda file: False,
    "lseek": _File.seek,
    "read": _File.read,
    "readinto": _File.readinto,
    "set_inheritable": lambda file, inheritable: None,
    "write": _write_now,
}


def _read(path, named):
    if path in _made:
        raise _error(errno.EISDIR, named)
    return _call(path, files.read, named=named)


def _exists(path, named):
    if path in _made:
        return True
    try:
        _call(path, files.stat, named=named)
    except FileNotFoundError:
        return False
    return True


def stat(path, *, dir_fd=None, follow_symlinks=True):
    """Kind and size of a file; the host tells no times and no owners."""
    if isinstance(path, int):
        if isinstance(path, bool):
            warnings.warn("bool is used as a file descriptor", RuntimeWarning, skip_file_prefixes=(__file__,))
        return os.fstat(path)
    full = _path(path)
    if full in _made or full == "/":
        return _result(full, FileKind.DIRECTORY, 0)
    entry = _call(full, files.stat, named=path)
    return _result(full, entry.kind, entry.size)


def lstat(path, *, dir_fd=None):
    return stat(path)


def _entries(path):
    full = _path(path)
    # A finalizer may remove a folder while this one is listed.
    made = [name for folder, name in map(posixpath.split, tuple(_made)) if folder == full and name]
    try:
        found = {entry.name: entry for entry in _call(full, files.list, named=path)}
    except OSError:
        if not made and full not in _made:
            raise
        found = {}
    for name in made:
        found.setdefault(name, files.Entry(name, FileKind.DIRECTORY, 0))
    return full, found


def listdir(path="."):
    names = list(_entries(path)[1])
    return [os.fsencode(name) for name in names] if isinstance(os.fspath(path), bytes) else names


class DirEntry:
    """One entry of a folder."""

    __class_getitem__ = classmethod(types.GenericAlias)

    def __init__(self, folder, entry):
        self.name, self._entry = os.fsencode(entry.name) if isinstance(folder, bytes) else entry.name, entry
        self.path = posixpath.join(folder, self.name)

    def __fspath__(self):
        return self.path

    def __repr__(self):
        return f"<DirEntry {self.name!r}>"

    def is_dir(self, *, follow_symlinks=True):
        return self._entry.kind == FileKind.DIRECTORY

    def is_file(self, *, follow_symlinks=True):
        return self._entry.kind == FileKind.FILE

    def is_symlink(self):
        return False

    def is_junction(self):
        return False

    def stat(self, *, follow_symlinks=True):
        return _result(_path(self.path), self._entry.kind, self._entry.size)

    def inode(self):
        return self.stat().st_ino


class _Scan:
    def __init__(self, entries):
        self._entries = iter(entries)

    def __iter__(self):
        return self

    def __next__(self):
        return next(self._entries)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._entries = iter(())


def scandir(path="."):
    folder = os.fspath(path)
    return _Scan([DirEntry(folder, entry) for entry in _entries(path)[1].values()])


def remove(path, *, dir_fd=None):
    full = _path(path)
    if full in _made or _kind(full) == FileKind.DIRECTORY:
        raise _error(errno.EISDIR, path)
    _call(full, files.remove, named=path)
    _leave_alone(full)


def _leave_alone(path):
    """What is open there is written nowhere any more."""
    if pages := _Pages.opened.pop(path, None):
        pages.is_removed = True


def rmdir(path, *, dir_fd=None):
    full, found = _entries(path)
    if found:
        raise _error(errno.ENOTEMPTY, path)
    was_made = full in _made
    _made.discard(full)
    if not was_made or _kind(full) == FileKind.DIRECTORY:
        _call(full, files.remove, named=path)


def mkdir(path, mode=0o777, *, dir_fd=None):
    full = _path(path)
    above = posixpath.dirname(full)
    if full == "/" or _exists(full, path):
        raise _error(errno.EEXIST, path)
    if above != "/" and above not in _made and _kind(above) != FileKind.DIRECTORY:
        raise _error(errno.ENOENT, path)
    _made.add(full)


def rename(src, dst, *, src_dir_fd=None, dst_dir_fd=None):
    """Writes the new file and then removes the old one; folders are not renamed."""
    old, new = _path(src), _path(dst)
    content = _read(old, src)
    if old != new:
        _call(new, files.write, content, named=dst)
        _leave_alone(new)
        _call(old, files.remove, named=src)
        if pages := _Pages.opened.pop(old, None):
            pages.path = new
            _Pages.opened[new] = pages


def access(path, mode, *, dir_fd=None, effective_ids=False, follow_symlinks=True):
    try:
        stat(path)
    except OSError:
        return False
    return True


def utime(path, times=None, *, ns=None, dir_fd=None, follow_symlinks=True):
    """Keeps no times."""
    stat(path)


def getcwd():
    return _cwd


def getcwdb():
    return os.fsencode(_cwd)


def chdir(path):
    global _cwd
    full = _path(path)
    if not stat_module.S_ISDIR(stat(full).st_mode):
        raise _error(errno.ENOTDIR, path)
    _cwd = full


_native_open, _NativeFileIO = io.open, io.FileIO


def install():
    """Puts all this where Python looks for it."""
    ours = {_native_open: BuiltIn(open, "io", "open"), _NativeFileIO: FileIO}
    # Also where a module has taken them for itself; `_io` itself opens code.
    for module in list(sys.modules.values()):
        if module.__name__ not in (__name__, "_io"):
            for native, function in ours.items():
                for name in [name for name, value in vars(module).items() if value is native]:
                    setattr(module, name, function)
    for function in (stat, lstat, listdir, scandir, remove, rmdir, mkdir, rename, access, utime, getcwd, getcwdb, chdir):
        put(os, function.__name__, function)
    for name, ours in _OF_DESCRIPTOR.items():
        put(os, name, _of_descriptor(getattr(os, name), ours))
    for name, function in (("open", open_descriptor), ("unlink", remove), ("replace", rename)):
        put(os, name, function)
    os.DirEntry = DirEntry
    # Taken when the module was imported, as a default.
    cleanup = tempfile._TemporaryFileCloser.cleanup
    cleanup.__defaults__ = cleanup.__defaults__[:-1] + (os.unlink,)
    # No directory descriptors: what would walk with them walks with paths.
    for names in (os.supports_dir_fd, os.supports_fd):
        names.clear()
    os.supports_follow_symlinks.update((os.stat, os.access, os.utime))
