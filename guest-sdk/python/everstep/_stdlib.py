"""Imports the standard library while the component is built: what is not imported then does not exist at run time."""

import bisect
import contextlib
import glob
import importlib
import linecache
import marshal
import os
import pkgutil
import re
import sys
import zlib

# Programs rather than modules, what opens windows, and what imports itself into a loop or prints.
LEFT_OUT = {
    "__hello__", "__phello__", "_android_support", "_apple_support", "_ios_support", "antigravity", "ensurepip", "idlelib",
    "lib2to3", "pip", "pydoc_data", "test", "this", "tkinter", "turtle", "turtledemo", "venv",
}


# What runs only in a module that is run by name.
_GUARD = re.compile(rb"^if __name__ == ['\"]__main__['\"]", re.MULTILINE)


def import_all():
    """Imports every module that this build of Python can import."""
    for name in sorted(_names()):
        with contextlib.suppress(Exception):
            importlib.import_module(name)


def mains():
    """The file and the packed code of each module that does something when it is run by name, for `-m`: the component has no sources."""
    found, folder = {}, os.path.dirname(bisect.__file__)
    for file in sorted(glob.glob(os.path.join(folder, "**", "*.py"), recursive=True)):
        name = os.path.relpath(file, folder).removesuffix(".py").replace(os.sep, ".")
        if name.partition(".")[0] in LEFT_OUT - {"this"} or ".test" in name or "idle_test" in name:
            continue
        with open(file, "rb") as opened:
            source = opened.read()
        if name.endswith(".__main__") or name == "this" or _GUARD.search(source):
            found[name] = file, zlib.compress(marshal.dumps(compile(source, file, "exec", dont_inherit=True)), 9)
    return found


def hide_sources():
    """Tells tracebacks that the sources of what is built in are not there, which they would ask the host for."""
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if file:
            linecache.cache[file] = (0, None, [], file)


def _names():
    # Not that of `os`, which is frozen and says something else.
    folder = os.path.dirname(bisect.__file__)
    for name in sys.stdlib_module_names:
        if name in LEFT_OUT:
            continue
        yield name
        path = os.path.join(folder, name)
        if os.path.isdir(path):
            yield from _submodules(path, name)


def _submodules(path, package):
    for module in pkgutil.iter_modules([path], package + "."):
        last = module.name.rpartition(".")[2]
        if last in {"__main__", "test", "tests", "idle_test"} or last.startswith("_test"):
            continue
        yield module.name
        if module.ispkg:
            yield from _submodules(os.path.join(path, last), module.name)
