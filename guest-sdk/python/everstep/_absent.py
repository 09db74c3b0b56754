"""Modules of the standard library that this build of Python lacks, and that programs import without a need, as they do `fcntl` or `pwd`.

Each is imported as elsewhere, with its names, and says what it cannot do here when it is used. Modules that programs try to import, to do
something else where they are missing, stay missing: `tkinter`, those of other systems, and those whose name begins with an underscore.
"""

import copy
import errno
import functools
import getpass
import importlib
import importlib.machinery
import multiprocessing.context
import multiprocessing.process
import netrc
import operator
import os
import posixpath
import sys
import types
from concurrent.futures import process as pools

from ._absent_names import PROCESSES, TABLE
from ._builtin import put


class Unavailable(OSError, NotImplementedError):
    """What is used is not there, and never is: for programs that expect an error of the system, and for those that expect this one."""


def install():
    sys.meta_path.append(Finder)
    put(posixpath, "expanduser", _expanded(posixpath.expanduser))
    put(getpass, "getuser", _user)
    for name in ("getuid", "geteuid", "getgid", "getegid"):
        # Somebody without the rights of root, who would give files to others.
        put(os, name, lambda: 1000)
    # Files have no owners here to compare with.
    put(netrc, "_can_security_check", lambda: False)
    for name in PROCESSES.refused.split():
        function = _refusing(f"multiprocessing.{name}", PROCESSES.why)
        setattr(multiprocessing.context.BaseContext, name, function)
        setattr(multiprocessing, name, function)
    multiprocessing.process.BaseProcess.start = _refusing("multiprocessing.Process", PROCESSES.why)
    pools._system_limits_checked, pools._system_limited = True, f"ProcessPoolExecutor does not work here: {PROCESSES.why}"


class Finder:
    """The last one of `sys.meta_path`: what is really there goes before."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name not in TABLE:
            return None
        has_parts = any(other.startswith(f"{name}.") for other in TABLE)
        return importlib.machinery.ModuleSpec(name, Finder, origin="absent", is_package=has_parts)

    @staticmethod
    def create_module(spec):
        return None

    @staticmethod
    def exec_module(module):
        names, absent = vars(module), TABLE[module.__name__]
        names["__doc__"] = f"Stands in for {module.__name__}, which does not work here: {absent.why}."
        error = Unavailable
        if absent.error == "own":
            error = names["error"] = type("error", (Exception,), {"__module__": module.__name__})
        elif "." in absent.error:
            other, _, name = absent.error.partition(".")
            error = getattr(importlib.import_module(other), name)
        elif absent.error:
            names[absent.error] = OSError
        for constant in absent.constants.split():
            name, _, value = constant.partition("=")
            names[name] = int(value)
        for name in absent.types.split():
            init = _refusing(f"{module.__name__}.{name}", absent.why, error)
            names[name] = _Type(name, (), {"__module__": module.__name__, "__init__": init})
        for name in absent.exceptions.split():
            names[name] = type(name, (Exception,), {"__module__": module.__name__})
        for name in absent.refused.split():
            put(module, name, _refusing(f"{module.__name__}.{name}", absent.why, error))
        for name in absent.lookups.split():
            put(module, name, _unfound(name))
        for name in absent.kinds.split():
            put(module, name, _kind(module.__name__, name))
        for name in absent.libraries.split():
            names[name] = _Library(f"{module.__name__}.{name}", absent.why)
        for name, value in {**dict.fromkeys(absent.ignored.split()), **absent.answers}.items():
            put(module, name, _answering(value))
        names.update(absent.values)


class _Type(type):
    """The type of types: those of `ctypes` are multiplied to make arrays, also where a module only declares what it would call."""

    def __mul__(self, count):
        return _Type(f"{self.__name__}_Array_{operator.index(count)}", (self,), {"__module__": self.__module__})

    __rmul__ = __mul__


class _Library:
    """A library whose functions cannot be called; each is refused by its name."""

    def __init__(self, name, why):
        self._name, self._why = name, why

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(f"{self._name} has no attribute {name}")
        _refusing(f"{self._name}.{name}", self._why)()


def _refusing(name, why, error=Unavailable):
    code = errno.ENOSYS if error is Unavailable else errno.ENOTTY

    def function(*_, **__):
        raise error(code, f"{name} does not work here: {why}")

    return function


def _unfound(name):
    def function(which, /):
        raise KeyError(f"{name}(): there is no {which!r}: nothing here has users or groups")

    return function


def _kind(module, name):
    """A function that makes a type of types, which is declared and not used."""

    def function(*_, **__):
        return _Type(name, (), {"__module__": module, "__init__": _refusing(f"{module}.{name}", TABLE[module].why)})

    return function


def _answering(value):
    def function(*_, **__):
        return copy.copy(value)

    return function


def _expanded(native):
    @functools.wraps(native)
    def expanduser(path):
        path = os.fspath(path)
        mark, separator = ("~", "/") if isinstance(path, str) else (b"~", b"/")
        # Nothing says who runs a program.
        return path if path.partition(separator)[0] == mark and "HOME" not in os.environ else native(path)

    return expanduser


def _user():
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        if os.environ.get(name):
            return os.environ[name]
    raise OSError("No username set in the environment")
