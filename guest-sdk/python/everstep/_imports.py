"""Imports from the folders that the policy grants: modules and packages of a folder that a program puts into `sys.path`."""

import importlib.machinery
import importlib.util
import os
import sys


class _Loader(importlib.machinery.SourceFileLoader):
    """Reads source through the host and keeps no compiled copy of it."""

    def get_data(self, path):
        with open(path, "rb") as file:
            return file.read()

    def path_stats(self, path):
        raise OSError("no compiled copy is kept")


class _Finder:
    """Comes last and leaves out what the component holds: what is built in costs no call of the host."""

    def __init__(self, built_in):
        self._built_in = built_in

    def find_spec(self, name, path=None, target=None):
        last, portions = name.rpartition(".")[2], []
        if not last:
            return None
        for folder in self._granted(sys.path if path is None else path):
            base = os.path.join(folder, last)
            if os.path.isdir(base):
                if os.path.isfile(base + "/__init__.py"):
                    return _spec(name, base + "/__init__.py", [base])
                portions.append(base)
            if os.path.isfile(base + ".py"):
                return _spec(name, base + ".py", None)
        return _namespace(name, portions, self.find_spec) if portions else None

    def _granted(self, path):
        return [os.path.abspath(entry) for entry in path if isinstance(entry, str) and entry not in self._built_in]


def _spec(name, file, inside):
    return importlib.util.spec_from_file_location(name, file, loader=_Loader(name, file), submodule_search_locations=inside)


def _namespace(name, portions, find):
    """A package without `__init__.py`, which may lie in several folders."""
    loader = importlib.machinery.NamespaceLoader(name, portions, find)
    spec = importlib.machinery.ModuleSpec(name, loader, is_package=True)
    spec.submodule_search_locations = loader._path
    return spec


def install():
    """To be called when everything built in is imported."""
    packages = [entry for module in list(sys.modules.values()) for entry in vars(module).get("__path__", ())]
    sys.meta_path.append(_Finder(frozenset([*sys.path, *packages])))
