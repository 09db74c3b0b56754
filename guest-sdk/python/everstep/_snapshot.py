"""The memory that each instance begins with, as it is when the component is made. A page of it that an instance writes to is a copy of its own, which
takes time to make and room to keep: so little is written to as can be.
"""

import gc
import sys

from . import _packages

# Bytes that an instance has for its own objects before its memory grows.
_ROOM = 1 << 20


def finish(rehearse):
    """To be called last of all; `rehearse` runs what instances will run."""
    try:
        import _lasting
    except ImportError:
        # CPython with science has other native modules, and a program that was made by cargo alone has none.
        _clean_up()
        gc.freeze()
        return
    # It is for no program.
    del sys.modules["_lasting"]
    rehearse()
    _clean_up()
    _lasting.immortalize(gc.get_objects())
    gc.freeze()
    _lasting.fill(_ROOM)


def _clean_up():
    """A collection writes to every object that it looks at: what is there now is frozen after it."""
    _packages.note_folders()
    _packages.forget_files()
    gc.collect()
