"""`open`, `os` and with them `pathlib`, `glob` and `shutil` over the files that the policy grants."""

import builtins
import errno
import hashlib
import io
import os
import posixpath
import stat as stat_module

from wit_world.imports import files
from wit_world.imports.files import FileKind

from ._errors import file_call

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
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    return "/" + posixpath.normpath(posixpath.join(_cwd, path)).lstrip("/")


class _File(io.BytesIO):
    """A file that is read at once and written, in one step, when it is flushed or closed."""

    def __init__(self, path, name, mode, content):
        super().__init__(content)
        self._path, self.name, self.mode = path, name, mode
        self._reads = "r" in mode or "+" in mode
        self._writes = mode.strip("rb") != ""
        self._appends = "a" in mode
        self._changed = self._writes and "r" not in mode
        if self._appends:
            self.seek(0, io.SEEK_END)
            self._changed = not content

    def readable(self):
        return self._reads

    def writable(self):
        return self._writes

    def _check(self, may, verb):
        if not may:
            raise io.UnsupportedOperation(f"not {verb}")

    def read(self, size=-1):
        self._check(self._reads, "readable")
        return super().read(size)

    def read1(self, size=-1):
        self._check(self._reads, "readable")
        return super().read1(size)

    def readinto(self, buffer):
        self._check(self._reads, "readable")
        return super().readinto(buffer)

    def readline(self, size=-1):
        self._check(self._reads, "readable")
        return super().readline(size)

    def write(self, data):
        self._check(self._writes, "writable")
        if self._appends:
            self.seek(0, io.SEEK_END)
        self._changed = True
        return super().write(data)

    def truncate(self, size=None):
        self._check(self._writes, "writable")
        self._changed = True
        return super().truncate(size)

    def flush(self):
        super().flush()
        if self._changed:
            file_call(self._path, files.write, self.getvalue())
            self._changed = False

    def close(self):
        if not self.closed:
            try:
                self.flush()
            finally:
                super().close()


def open(file, mode="r", buffering=-1, encoding=None, errors=None, newline=None, closefd=True, opener=None):
    """As the built-in `open`, for files of the policy."""
    if isinstance(file, int):
        return _native_open(file, mode, buffering, encoding, errors, newline, closefd, opener)
    kinds = set(mode)
    if len(kinds) != len(mode) or kinds - set("rwaxbt+") or len(kinds & set("rwax")) != 1 or {"b", "t"} <= kinds:
        raise ValueError(f"invalid mode: {mode!r}")
    binary = "b" in kinds
    if binary and (encoding is not None or errors is not None or newline is not None):
        raise ValueError("binary mode doesn't take an encoding, errors or newline argument")
    path = _path(file)
    content = b""
    if "x" in kinds and _exists(path):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), file)
    if "w" in kinds or "x" in kinds:
        pass
    elif "a" in kinds:
        try:
            content = file_call(path, files.read)
        except FileNotFoundError:
            pass
    else:
        content = _read(path, file)
    raw = _File(path, file, mode.replace("t", ""), content)
    if "w" in kinds or "x" in kinds:
        raw.flush()
    if binary:
        return raw
    if encoding is None or encoding == "locale":
        encoding = "utf-8"
    text = io.TextIOWrapper(raw, encoding, errors, newline)
    text.mode = mode
    return text


def _read(path, named):
    try:
        return file_call(path, files.read)
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
    return os.stat_result((mode.get(kind, stat_module.S_IFCHR), inode, 0, 1, 0, 0, size, 0, 0, 0))


def stat(path, *, dir_fd=None, follow_symlinks=True):
    """Kind and size of a file; the host tells no times and no owners."""
    if isinstance(path, int):
        return _native_stat(path)
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
    return list(_entries(path)[1])


class DirEntry:
    """One entry of a folder."""

    def __init__(self, folder, entry):
        self.name, self._entry = entry.name, entry
        self.path = posixpath.join(folder, entry.name)

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
    if full == "/" or _exists(full):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
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


def getcwd():
    return _cwd


def chdir(path):
    global _cwd
    full = _path(path)
    if not stat_module.S_ISDIR(stat(full).st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
    _cwd = full


_native_open = io.open
_native_stat = os.stat


def install():
    """Puts all this where Python looks for it."""
    builtins.open = io.open = open
    names = "stat lstat listdir scandir remove rmdir mkdir rename access getcwd chdir"
    for name in names.split():
        setattr(os, name, globals()[name])
    os.unlink, os.replace = remove, rename
    # No directory descriptors: what would walk with them walks with paths.
    for names in (os.supports_dir_fd, os.supports_fd):
        names.clear()
    os.supports_follow_symlinks.update((stat, access))
