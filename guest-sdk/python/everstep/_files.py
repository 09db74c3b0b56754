"""`open`, `os` and with them `pathlib`, `glob` and `shutil` over the files that the policy grants."""

import builtins
import errno
import functools
import hashlib
import io
import itertools
import os
import posixpath
import stat as stat_module
import sys
import tempfile

from wit_world.imports import files
from wit_world.imports.files import FileKind

from ._errors import file_call

_cwd = "/"
# The time of every file, 1980-01-02: the host tells none, and a ZIP archive holds none that is earlier.
_TIME = 315_619_200
# Folders that exist only because the program made them: the host makes a folder with the first file in it.
_made = set()


def _path(path):
    path = os.fspath(path)
    if isinstance(path, bytes):
        path = os.fsdecode(path)
    if not isinstance(path, str):
        raise TypeError(f"expected str, bytes or os.PathLike object, not {type(path).__name__}")
    if not path:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    if "\0" in path:
        raise ValueError("embedded null byte")
    try:
        path.encode()
    except UnicodeEncodeError:
        # The host knows paths that are text, and no others.
        raise OSError(errno.EILSEQ, os.strerror(errno.EILSEQ), path) from None
    return "/" + posixpath.normpath(posixpath.join(_cwd, path)).lstrip("/")


class _Raw(io.RawIOBase):
    """The content of a file in memory; `save` writes it, whole and in one step."""

    def __init__(self, path, name, mode, content):
        self._path, self.name, self.mode = path, name, mode
        self._content, self._at = bytearray(content), 0
        self._changed = self._is_removed = False
        if "a" in mode:
            self._at = len(content)

    def readable(self):
        return "r" in self.mode or "+" in self.mode

    def writable(self):
        return self.mode.strip("rb") != ""

    def seekable(self):
        return True

    def readinto(self, buffer):
        read = self._content[self._at : self._at + len(buffer)]
        buffer[: len(read)] = read
        self._at += len(read)
        return len(read)

    def readall(self):
        read = bytes(self._content[self._at :])
        self._at += len(read)
        return read

    def write(self, data):
        data = memoryview(data).cast("B")
        if "a" in self.mode:
            self._at = len(self._content)
        self._content.extend(bytes(max(0, self._at - len(self._content))))
        self._content[self._at : self._at + len(data)] = data
        self._at += len(data)
        self._changed = True
        return len(data)

    def seek(self, offset, whence=os.SEEK_SET):
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: len(self._content)}[whence]
        if start + offset < 0:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        self._at = start + offset
        return self._at

    def truncate(self, size=None):
        size = self._at if size is None else size
        del self._content[size:]
        self._content.extend(bytes(size - len(self._content)))
        self._changed = True
        return size

    def save(self, always=False):
        if (self._changed or always) and not self._is_removed:
            file_call(self._path, files.write, bytes(self._content))
            self._changed = False


class _Unbuffered(_Raw):
    def write(self, data):
        written = super().write(data)
        self.save()
        return written

    def truncate(self, size=None):
        size = super().truncate(size)
        self.save()
        return size


class _Descriptor(_Raw):
    """What a number of `os.open` stands for; far from those of the standard streams."""

    opened, _numbers = {}, itertools.count(1000)

    def __init__(self, path, mode, content):
        self._number = next(self._numbers)
        super().__init__(path, self._number, mode, content)
        self.opened[self._number] = self

    def fileno(self):
        return self._number

    def close(self):
        self.opened.pop(self._number, None)
        super().close()

    def shared(self):
        """The same content for a file whose end is not that of the descriptor."""
        other = _Raw(self._path, self._number, self.mode, b"")
        other._content, other._at, other._is_removed = self._content, self._at, self._is_removed
        return other


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
    if isinstance(file, int) and file not in _Descriptor.opened:
        return _native_open(file, mode, buffering, encoding, errors, newline, closefd, opener)
    kinds = set(mode)
    if len(kinds) != len(mode) or kinds - set("rwaxbt+") or len(kinds & set("rwax")) != 1 or {"b", "t"} <= kinds:
        raise ValueError(f"invalid mode: {mode!r}")
    binary = "b" in kinds
    if binary and (encoding is not None or errors is not None or newline is not None):
        raise ValueError("binary mode doesn't take an encoding, errors or newline argument")
    if buffering == 0 and not binary:
        raise ValueError("can't have unbuffered text I/O")
    raw = _raw(file, kinds, mode, buffering, closefd, opener)
    if buffering == 0:
        return raw
    kind = _Random if "+" in kinds else io.BufferedReader if "r" in kinds else _Writer
    if binary:
        return kind(raw)
    text = io.TextIOWrapper(kind(raw), "utf-8" if encoding in (None, "locale") else encoding, errors, newline, buffering == 1)
    text.mode = mode
    return text


def _raw(file, kinds, mode, buffering, closefd, opener):
    if opener is not None:
        number = opener(file, _flags(kinds))
        if number < 0:
            raise ValueError(f"opener returned {number}")
        raw = _raw(number, kinds, mode, buffering, True, None)
        raw.name = file
        return raw
    if isinstance(file, int):
        raw = _Descriptor.opened[file]
        return raw if closefd else raw.shared()
    path = _path(file)
    content = b""
    if "x" in kinds and _exists(path):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), file)
    if path in _made:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), file)
    if "r" in kinds:
        content = _read(path, file)
    elif "a" in kinds:
        try:
            content = file_call(path, files.read)
        except FileNotFoundError:
            pass
    raw = (_Raw if buffering else _Unbuffered)(path, file, mode.replace("t", ""), content)
    # What cannot be written is an error here, and not only when the file is closed.
    if kinds & {"w", "x"} or ("a" in kinds and not content):
        raw.save(always=True)
    return raw


def _flags(kinds):
    flags = os.O_RDWR if "+" in kinds else os.O_RDONLY if "r" in kinds else os.O_WRONLY
    for kind, more in (("w", os.O_CREAT | os.O_TRUNC), ("a", os.O_CREAT | os.O_APPEND), ("x", os.O_CREAT | os.O_EXCL)):
        flags |= more if kind in kinds else 0
    return flags


def open_descriptor(path, flags, mode=0o777, *, dir_fd=None):
    """As `os.open`."""
    way = flags & (os.O_RDONLY | os.O_WRONLY | os.O_RDWR)
    letter = "a" if flags & os.O_APPEND else "w"
    mode = "rb+" if way == os.O_RDWR else letter + "b" if way == os.O_WRONLY else "rb"
    full = _path(path)
    if not flags & os.O_CREAT:
        content = _read(full, path)
    elif not _exists(full):
        content = b""
    elif flags & os.O_EXCL:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
    else:
        content = _read(full, path)
    is_new = bool(flags & os.O_TRUNC) or (flags & os.O_CREAT and not content)
    raw = _Descriptor(full, mode, b"" if is_new else content)
    if is_new:
        raw.save(always=True)
    return raw.fileno()


def _of_descriptor(native, ours):
    """A function of `os` that takes a descriptor: `ours` for what `os.open` has opened."""

    @functools.wraps(native)
    def function(number, *args):
        raw = _Descriptor.opened.get(number)
        return native(number, *args) if raw is None else ours(raw, *args)

    return function


def _write_now(raw, data):
    written = raw.write(data)
    raw.save()
    return written


def _truncate_now(raw, length):
    raw.truncate(length)
    raw.save()


_OF_DESCRIPTOR = {
    "close": lambda raw: raw.close(),
    "fstat": lambda raw: _result(raw._path, FileKind.FILE, len(raw._content)),
    "fsync": lambda raw: raw.save(),
    "ftruncate": _truncate_now,
    "isatty": lambda raw: False,
    "lseek": lambda raw, offset, whence: raw.seek(offset, whence),
    "read": lambda raw, size: raw.read(size),
    "write": _write_now,
}


def _read(path, named):
    try:
        return file_call(path, files.read)
    except PermissionError as error:
        error.filename = named
        raise
    except OSError as error:
        if path in _made or _is_folder(path):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), named) from None
        error.filename = named
        raise


def _entry(path):
    return file_call(path, files.stat)


def _is_folder(path):
    try:
        return _entry(path).kind == FileKind.DIRECTORY
    except OSError:
        return False


def _exists(path):
    if path in _made:
        return True
    try:
        _entry(path)
    except FileNotFoundError:
        return False
    return True


def _result(path, kind, size):
    mode = {FileKind.FILE: stat_module.S_IFREG | 0o644, FileKind.DIRECTORY: stat_module.S_IFDIR | 0o755}
    # There are no links: a path is the identity of a file.
    inode = int.from_bytes(hashlib.sha256(path.encode()).digest()[:7])
    times = {f"st_{name}time{unit}": _TIME * scale for name in "amc" for unit, scale in (("", 1.0), ("_ns", 10**9))}
    return os.stat_result((mode.get(kind, stat_module.S_IFCHR), inode, 0, 1, 0, 0, size, _TIME, _TIME, _TIME), times)


def stat(path, *, dir_fd=None, follow_symlinks=True):
    """Kind and size of a file; the host tells no times and no owners."""
    if isinstance(path, int):
        return os.fstat(path)
    full = _path(path)
    try:
        entry = _entry(full)
    except OSError as error:
        if full in _made or full == "/":
            return _result(full, FileKind.DIRECTORY, 0)
        error.filename = path
        raise
    return _result(full, entry.kind, entry.size)


def lstat(path, *, dir_fd=None):
    return stat(path)


def _entries(path):
    full = _path(path)
    found, failure = {}, None
    try:
        found = {entry.name: entry for entry in file_call(full, files.list)}
    except OSError as error:
        failure = error
    for made in _made:
        folder, name = posixpath.split(made)
        if folder == full and name:
            found.setdefault(name, files.Entry(name, FileKind.DIRECTORY, 0))
    if failure is not None and not found and full not in _made:
        if isinstance(failure, FileNotFoundError) or not _is_file(full):
            failure.filename = path
            raise failure
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
    return full, found


def _is_file(path):
    try:
        return _entry(path).kind == FileKind.FILE
    except OSError:
        return False


def listdir(path="."):
    names = list(_entries(path)[1])
    return [os.fsencode(name) for name in names] if isinstance(os.fspath(path), bytes) else names


class DirEntry:
    """One entry of a folder."""

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
    if full in _made or _is_folder(full):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    file_call(full, files.remove)
    for raw in _Descriptor.opened.values():
        raw._is_removed |= raw._path == full


def rmdir(path, *, dir_fd=None):
    full = _path(path)
    if _is_file(full):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
    if any(one.startswith(full + "/") for one in _made) or (_is_folder(full) and file_call(full, files.list)):
        raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), path)
    was_made = full in _made
    _made.discard(full)
    if not was_made or _is_folder(full):
        file_call(full, files.remove)


def mkdir(path, mode=0o777, *, dir_fd=None):
    full = _path(path)
    above = posixpath.dirname(full)
    is_below = above == "/" or above in _made or _is_folder(above)
    if not is_below and _is_file(above):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
    if full == "/" or _exists(full):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
    if not is_below:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    _made.add(full)


def rename(src, dst, *, src_dir_fd=None, dst_dir_fd=None):
    """Writes the new file and then removes the old one; folders are not renamed."""
    old, new = _path(src), _path(dst)
    content = _read(old, src)
    if old != new:
        file_call(new, files.write, content)
        file_call(old, files.remove)


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


def chdir(path):
    global _cwd
    full = _path(path)
    if not stat_module.S_ISDIR(stat(full).st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
    _cwd = full


_native_open = io.open


def install():
    """Puts all this where Python looks for it."""
    # As a class attribute it is not bound, and it is also where a module has taken `open` for itself; `_io` itself opens code.
    ours = staticmethod(open)
    for module in list(sys.modules.values()):
        if module.__name__ not in (__name__, "_io"):
            for name in [name for name, value in vars(module).items() if value is _native_open]:
                setattr(module, name, ours)
    names = "stat lstat listdir scandir remove rmdir mkdir rename access utime getcwd chdir"
    for name in names.split():
        setattr(os, name, globals()[name])
    for name, ours in _OF_DESCRIPTOR.items():
        setattr(os, name, _of_descriptor(getattr(os, name), ours))
    os.open, os.unlink, os.replace = open_descriptor, remove, rename
    # Taken when the module was imported, as a default.
    cleanup = tempfile._TemporaryFileCloser.cleanup
    cleanup.__defaults__ = cleanup.__defaults__[:-1] + (remove,)
    # No directory descriptors: what would walk with them walks with paths.
    for names in (os.supports_dir_fd, os.supports_fd):
        names.clear()
    os.supports_follow_symlinks.update((stat, access, utime))
