"""Packages that are built in: modules and data out of an archive that lies in memory, in the place of a folder of `sys.path`.

Nothing of it asks the host. What is not imported while the component is built is imported when a program first does so.
"""

import errno
import importlib.abc
import importlib.machinery
import importlib.metadata
import io
import itertools
import marshal
import os
import pathlib
import re
import sys
import zipfile
import zoneinfo

# Where packages say that they are.
ROOT = "/python/site-packages"

_archive = None
# The folders of the archive by their path, "" for itself, each with the names of what it holds.
_folders = {}


def install(content):
    """Makes the packages of an archive ready to be imported; `content` is a ZIP."""
    global _archive
    _archive = zipfile.ZipFile(io.BytesIO(content))
    _folders[""] = []
    for name in _archive.namelist():
        _add(name)
    if ROOT not in sys.path:
        sys.path.append(ROOT)
    sys.path_hooks.insert(0, _Folder)
    sys.meta_path.insert(0, _Distributions())
    lookup = importlib.metadata.MetadataPathFinder
    lookup._search_paths = _outside(lookup._search_paths)
    # The time zones are those of the package `tzdata`.
    zoneinfo.reset_tzpath(to=())


def adopt():
    """Has the modules that were imported from the archive while it was a file know it as it lies in memory."""
    for folder in [folder for folder in sys.path_importer_cache if inner(folder) is not None]:
        del sys.path_importer_cache[folder]
    for module in sys.modules.values():
        found = getattr(module, "__spec__", None)
        where = inner(getattr(found, "origin", None))
        if where is not None:
            found.loader = module.__loader__ = _loader(where)(found.name, found.origin)


def _add(path):
    folder, _, name = path.rpartition("/")
    if folder not in _folders:
        _folders[folder] = []
        _add(folder)
    _folders[folder].append(name)


def inner(path):
    """The path in the archive, "" for its root; none for a path that lies elsewhere."""
    if not isinstance(path, (str, os.PathLike)):
        return None
    path = os.fspath(path)
    if not isinstance(path, str) or not path.startswith(ROOT) or path[len(ROOT) : len(ROOT) + 1] not in ("", "/"):
        return None
    path = os.path.normpath(path)
    return path[len(ROOT) + 1 :] if path == ROOT or path.startswith(ROOT + "/") else None


def is_folder(path):
    return path in _folders


def names(path):
    """What a folder holds."""
    if path in _folders:
        return list(_folders[path])
    size(path)
    raise _error(errno.ENOTDIR, path)


def size(path):
    """Of a file, in bytes."""
    if path not in _archive.NameToInfo:
        raise _error(errno.ENOENT, path)
    return _archive.getinfo(path).file_size


def data(path):
    """The content of a file."""
    if path in _folders:
        raise _error(errno.EISDIR, path)
    size(path)
    return _archive.read(path)


def _error(code, path):
    return OSError(code, os.strerror(code), f"{ROOT}/{path}")


class _Folder:
    """Finds the modules of one folder, as an entry of `sys.path_hooks`."""

    def __init__(self, path):
        where = inner(path)
        if where is None or where not in _folders:
            raise ImportError("no folder of built-in packages", path=path)
        self._names, self._base = _folders[where], where and where + "/"

    def find_spec(self, name, target=None):
        last = name.rpartition(".")[2]
        below = self._base + last
        for kind in _LOADERS:
            if f"__init__{kind}" in _folders.get(below, ()):
                return _spec(name, f"{below}/__init__{kind}", [f"{ROOT}/{below}"])
            if f"{last}{kind}" in self._names:
                return _spec(name, f"{below}{kind}", None)
        if last and below in _folders:
            # A part of a package that may have others.
            found = importlib.machinery.ModuleSpec(name, None, is_package=True)
            found.submodule_search_locations = [f"{ROOT}/{below}"]
            return found
        return None

    def iter_modules(self, prefix=""):
        for name in sorted(self._names):
            module, kind = os.path.splitext(name)
            if any(f"__init__{kind}" in _folders.get(self._base + name, ()) for kind in _LOADERS):
                yield prefix + name, True
            elif kind in _LOADERS and module != "__init__":
                yield prefix + module, False


def _spec(name, path, locations):
    origin = f"{ROOT}/{path}"
    found = importlib.machinery.ModuleSpec(name, _loader(path)(name, origin), origin=origin, is_package=locations is not None)
    found.submodule_search_locations, found.has_location = locations, True
    return found


class _Data:
    def get_data(self, path):
        where = inner(path)
        if where is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return data(where)


class Loader(_Data, importlib.abc.FileLoader, importlib.abc.SourceLoader):
    """Runs modules of the archive."""


class Compiled(_Data, importlib.abc.FileLoader):
    """Runs modules of the archive whose sources are not there."""

    def get_code(self, name):
        # Behind 16 bytes about the source.
        return marshal.loads(memoryview(self.get_data(self.path))[16:])

    def get_source(self, name):
        return None


_LOADERS = {".py": Loader, ".pyc": Compiled}


def _loader(path):
    return _LOADERS[os.path.splitext(path)[1]]


class _Distributions(importlib.metadata.DistributionFinder):
    """The metadata of the packages, for `importlib.metadata`."""

    def find_spec(self, name, path=None, target=None):
        return None

    def find_distributions(self, context=importlib.metadata.DistributionFinder.Context()):
        if ROOT not in context.path:
            return
        wanted = context.name and _normalized(context.name)
        for folder in _folders[""]:
            if folder.endswith(".dist-info") and wanted in (None, _normalized(folder.partition("-")[0])):
                yield importlib.metadata.PathDistribution(pathlib.Path(ROOT, folder))


def _normalized(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def _outside(search):
    """Other metadata lies in the folders of the policy alone."""

    def function(_, name, paths):
        return search(name, [path for path in paths if path != ROOT and sys.path_importer_cache.get(path) is not _Nothing])

    return classmethod(function)


class _Nothing:
    """A folder of what is built in: all that it has is imported already, and the folders of the policy are not asked for it."""

    @staticmethod
    def find_spec(name, target=None):
        return None


# The folders of what is built in, and of how many modules they are.
_built, _seen = [], 0


def note_folders():
    """Notes the folders of the modules that came since the last time: to look at a module takes a page of memory in each instance."""
    global _seen
    new = list(itertools.islice(reversed(sys.modules.values()), max(0, len(sys.modules) - _seen)))
    _built.extend(folder for module in new for folder in vars(module).get("__path__", ()) if inner(folder) is None)
    _seen = len(sys.modules)


def forget_files():
    """Forgets which files there were in the folders of modules while the component was built: `seal` would free those names in each instance,
    and each takes a page of memory."""
    for folder in [folder for folder, finder in sys.path_importer_cache.items() if isinstance(finder, importlib.machinery.FileFinder)]:
        del sys.path_importer_cache[folder]


def seal():
    """To be called when everything built in is imported, also by what makes the component."""
    note_folders()
    for folder in (*sys.path, *_built):
        if inner(folder) is None:
            sys.path_importer_cache[folder] = _Nothing
    # What is imported from the policy's folders is compiled again by each execution, and changes none of them.
    sys.dont_write_bytecode = True
