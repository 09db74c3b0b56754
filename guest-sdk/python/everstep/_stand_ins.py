"""Stand-ins for modules of the standard library that this build of Python lacks, for packages that import them without a need.

They are there while a package is imported that fails otherwise; what such a package then uses of them raises `NotImplementedError`.
"""

import contextlib
import importlib.machinery
import sys
import types

# By the module that an import misses.
_LACKING = {
    "_bz2": "bz2", "_ctypes": "ctypes", "_curses": "curses", "_lzma": "lzma", "_multiprocessing": "_multiprocessing", "_zstd": "compression.zstd",
    "fcntl": "fcntl", "grp": "grp", "mmap": "mmap", "pwd": "pwd", "readline": "readline", "resource": "resource", "termios": "termios",
}


class _StandIn(types.ModuleType):
    def __init__(self, name):
        super().__init__(name, f"Stands in for {name}, which is not in this Python.")
        self.__spec__ = importlib.machinery.ModuleSpec(name, None)

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__} has no attribute {name}")
        if name.endswith(("Error", "Exception")):
            return type(name, (Exception,), {"__module__": self.__name__})

        def absent(*_, **__):
            raise NotImplementedError(f"{self.__name__}.{name} is not in this Python")

        return type(name, (), {"__module__": self.__name__, "__init__": absent})


def lacking(error):
    """The module of the standard library that an import has missed; none if another error ended it."""
    return _LACKING.get(error.name) if isinstance(error, ModuleNotFoundError) else None


@contextlib.contextmanager
def standing_in(names):
    """They can be imported for as long as this lasts."""
    sys.modules.update((name, _StandIn(name)) for name in names)
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]
