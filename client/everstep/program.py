"""Where the `everstep` command is."""

from __future__ import annotations

import importlib.metadata
import os
import shutil

from .errors import ProgramNotFound


def find() -> str:
    """The command: that of `EVERSTEP` in the environment, or that which was installed with this package, or that on the PATH.

    Raises `ProgramNotFound` if there is none.
    """
    found = os.environ.get("EVERSTEP") or _installed() or shutil.which("everstep")
    if found is None:
        raise ProgramNotFound("there is no program everstep: install the wheel, put it on the PATH, or name it with EVERSTEP")
    return found


def _installed() -> str | None:
    try:
        files = importlib.metadata.files("everstep")
    except importlib.metadata.PackageNotFoundError:
        return None
    # Beside the package in a wheel, and so in no folder of its own: in `bin`.
    for file in files or ():
        if file.name == "everstep" and file.parent.name == "bin":
            path = os.path.realpath(file.locate())
            if os.access(path, os.X_OK):
                return path
    return None
