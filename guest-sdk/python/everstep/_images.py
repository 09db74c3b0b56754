"""Modules of images: the host has their byte code made once, by an instance of this component that has nothing but the source.

It follows from the source, so that no execution can tell whether it was kept or is made for it, and none makes what another one runs.
"""

import base64
import json
import marshal
import warnings
from importlib.machinery import SourceFileLoader

from wit_world.imports import files

from . import _errors

# What the host calls the function that makes it.
PREPARE = "prepare"


def prepare(args):
    """The byte code of a source, `{"path", "content"}` with the content in base64: in base64, as JSON; null for one that cannot be compiled."""
    given = json.loads(args)
    try:
        with warnings.catch_warnings(action="ignore"):
            code = compile(base64.b64decode(given["content"]), given["path"], "exec", dont_inherit=True)
        return json.dumps(base64.b64encode(marshal.dumps(code)).decode())
    except Exception:
        # An execution that imports it finds out why.
        return "null"


def install():
    get_code = SourceFileLoader.get_code
    as_they_are = [getattr(SourceFileLoader, name) for name in ("source_to_code", "get_data")]

    def get_code_of_image(self, fullname):
        # Programs that look at sources, or change them, do so in these.
        if [getattr(type(self), name) for name in ("source_to_code", "get_data")] == as_they_are:
            made = _made(self.get_filename(fullname))
            if made is not None:
                return marshal.loads(made)
        return get_code(self, fullname)

    get_code_of_image.__name__, get_code_of_image.__qualname__ = "get_code", "SourceLoader.get_code"
    # Python leaves the frames of imports out of tracebacks, and this is one.
    get_code_of_image.__code__ = get_code_of_image.__code__.replace(co_filename=get_code.__code__.co_filename)
    SourceFileLoader.get_code = get_code_of_image


def _made(path):
    try:
        return _errors.call_through(files.prepared, path)
    except (_errors.EverstepError, UnicodeError):
        return None
