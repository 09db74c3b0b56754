"""What Python does around a script: its arguments and its place, modules that are run by name, and how it ends."""

import importlib.util
import marshal
import os
import runpy
import sys
import textwrap
import zlib

from . import _loop, _run

# The file and the packed code of each module of the standard library that does something when it is run by name.
MAINS = {}


def arguments(filename):
    """Those of a program that was given none; nothing for code that is no script."""
    return {"<program>": [], "<string>": ["-c"], "<stdin>": ["-"]}.get(filename, [filename])


def begin(argv, names, filename):
    """Gives a program its arguments, of which the first says what it is: a file, `-c`, `-m` or `-`."""
    sys.argv = list(argv)
    sys.orig_argv = ["python", *argv]
    kind = argv[0] if argv else ""
    if kind not in ("", "-c", "-m", "-"):
        names["__file__"] = filename
        # What lies in no folder of the policy has no neighbours.
        if os.path.isabs(filename):
            sys.path.insert(0, os.path.dirname(filename))
    else:
        sys.path.insert(0, "")


def dedented(code, argv):
    """The code of `-c` may be indented as a whole."""
    return textwrap.dedent(code) if argv and argv[0] == "-c" and isinstance(code, str) else code


async def run_module(module, names):
    """Runs a module as `__main__`."""
    for name in (module, f"{module}.__main__"):
        if name in MAINS:
            file, packed = MAINS[name]
            # None for one that only exists to be run.
            spec, code = importlib.util.find_spec(module), marshal.loads(zlib.decompress(packed))
            break
    else:
        try:
            _, spec, code = runpy._get_module_details(module, _NoModule)
        except _NoModule as error:
            raise _run.exited(1, f"python: {error}") from None
        file = spec.origin
    sys.argv[0] = file
    names.update(__file__=file, __spec__=spec, __package__=getattr(spec, "parent", ""), __loader__=getattr(spec, "loader", None))
    with _loop.outside():
        exec(code, names)


class _NoModule(Exception):
    pass


def uncaught(error):
    """What becomes of a program that ends with an exception."""
    found = _run.failure(error)
    if isinstance(error, SystemExit):
        _exits(found, error)
    elif sys.excepthook is not sys.__excepthook__:
        try:
            sys.excepthook(type(error), error, _theirs(error.__traceback__))
            found.exit_code = 1
        except SystemExit as exit:
            _exits(found, exit)
        except BaseException as inner:
            if inner.__context__ is error:
                inner.__context__ = None
            found.trace = f"Error in sys.excepthook:\n{_run.failure(inner).trace}\nOriginal exception was:\n{found.trace}"
    return found


def _exits(found, error):
    """A number is the exit code, of which a process has eight bits; nothing means success, and anything else is printed."""
    code = error.code
    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr)
    found.exit_code = 0 if code is None else code & 0xFF if isinstance(code, int) else 1


def _theirs(traceback):
    while traceback is not None and _run.is_ours(traceback.tb_frame.f_code.co_filename):
        traceback = traceback.tb_next
    return traceback
