"""Imports packages while the component is built, so that they are in it as they are after that.

What a module draws, reads or asks for as it is imported would be the same in every execution: that fails here.
"""

import contextlib
import errno
import functools
import importlib
import io
import json
import os
import platform
import random
import socket
import sys
import traceback

from . import _absent, _host, _packages
from ._builtin import put

# What is to be built in, and what came of it: beside each other in a folder of the build.
_ARCHIVE, _ORDER, _REPORT = "packages.zip", "order.json", "report.json"


def install():
    """Builds the packages in, and imports those modules of them that the order names.

    The order is `{"imports": [{"module", "may_wait", "may_lack"}]}`, where one that may lack something may import what nobody asked for; the report is `{"python", "imported": [NAME], "waiting": [{"module", "reason", "where"}],
    "errors": [{"module", "reason", "where"}]}`, where `where` is the last line of a package that was run, as
    `FILE, line N`. With an error nothing is built.
    """
    folder = next(path for path in sys.path if os.path.exists(f"{path}/{_ARCHIVE}"))
    with open(f"{folder}/{_ARCHIVE}", "rb") as file:
        _packages.install(file.read())
    with open(f"{folder}/{_ORDER}", encoding="utf-8") as file:
        order = json.load(file)
    put(os, "urandom", _drawing(os.urandom))
    report = {"python": platform.python_version(), "imported": [], "waiting": [], "errors": []}
    for each in order["imports"]:
        error = _imported(each["module"])
        if error is None:
            report["imported"].append(each["module"])
        elif each["may_wait"] and isinstance(error, _host.NotYet):
            report["waiting"].append({"module": each["module"], "reason": str(error), "where": _where(error)})
        elif each["may_lack"] and isinstance(error, ModuleNotFoundError):
            report["waiting"].append({"module": each["module"], "reason": f"it needs {error.name}", "where": _where(error)})
        else:
            report["errors"].append({"module": each["module"], "reason": _reason(error), "where": _where(error)})
    with open(f"{folder}/{_REPORT}", "w", encoding="utf-8") as file:
        json.dump(report, file)
    if report["errors"]:
        raise SystemExit("what is to be built in cannot be imported")
    _host.is_built = True


def _imported(name):
    """Imports a module; returns the error, and then nothing of it is left."""
    before, state = set(sys.modules), random.getstate()
    _host.asked.clear()
    random.Random.seed, socket.socket.__init__ = _seeded, _unopened
    # The sources of the standard library are there while it is built, also of what does not work without its part in C.
    sys.meta_path.insert(0, _absent.Finder)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            importlib.import_module(name)
        if random.getstate() != state:
            raise _host.not_yet("it draws random numbers")
        if _host.asked:
            raise _host.asked[0]
        return None
    except BaseException as error:
        for new in set(sys.modules) - before:
            if isinstance(getattr(sys.modules[new], "__loader__", None), _packages.Loader):
                del sys.modules[new]
        random.setstate(state)
        return error
    finally:
        sys.meta_path.remove(_absent.Finder)
        random.Random.seed, socket.socket.__init__ = _seed, _opened


_seed, _opened = random.Random.seed, socket.socket.__init__


def _seeded(self, a=None, version=2):
    if a is None:
        raise _host.not_yet("it draws random numbers")
    _seed(self, a, version)


def _unopened(self, *_, **__):
    """As in an execution. The C library would keep a handle from here, which means nothing there."""
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def _drawing(native):
    @functools.wraps(native)
    def urandom(size, /):
        if not _host.is_built:
            raise _host.not_yet("it draws random numbers")
        return native(size)

    return urandom


def _reason(error):
    if isinstance(error, _host.NotYet):
        return str(error)
    return traceback.format_exception_only(error)[-1].strip()


def _where(error):
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _packages.inner(frame.filename) is not None]
    if isinstance(error, SyntaxError) and _packages.inner(error.filename or "") is not None:
        return f"{_packages.inner(error.filename)}, line {error.lineno}"
    return f"{_packages.inner(frames[-1].filename)}, line {frames[-1].lineno}" if frames else None
