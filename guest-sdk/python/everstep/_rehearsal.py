"""Sessions that are run as the component is made: CPython writes to code, and to what the code looks up, as it runs it for the first times, and each
instance would do that anew, in pages of its own.
"""

import functools
import itertools
import json
import linecache
import sys
from unittest import mock

import everstep
from wit_world.imports import context

from . import _bounds, _checkpoint, _output, _session

# After so many, and so many cells of each, CPython has adapted what they run.
_SESSIONS, _CELLS = 4, 10


def run(execution):
    """Runs sessions, each in an `execution()` of its own, with a host that answers at once. What they leave is what CPython has prepared, and nothing
    that a program finds."""
    for _ in range(_SESSIONS):
        _run(execution())
    for kept in (_bounds.limits, _session._part):
        kept.cache_clear()


def _run(execution):
    promises = itertools.count()
    # A task without a name of its own gets the next number, which programs see.
    task = functools.partial(_session._Task, name="rehearsal")
    with (
        mock.patch.object(context, "interrupted", lambda: False),
        mock.patch.object(context, "limits", lambda: context.Bounds(1 << 20, 1 << 20)),
        mock.patch.object(_checkpoint, "_checkpoint", lambda renew: None),
        mock.patch.object(_checkpoint, "_send_request", lambda capability, message, options: next(promises)),
        mock.patch.object(everstep, "_text", _cell),
        mock.patch.object(_session, "_Task", task),
        mock.patch.multiple(sys, stdout=None, stderr=None, __stdout__=None, __stderr__=None),
        mock.patch.dict(sys.modules),
        mock.patch.dict(linecache.cache),
    ):
        _output.install()
        execution.begin(_session.Session())
        for promise in range(_CELLS):
            execution.turn([promise])


def _cell(promise):
    return json.dumps({"id": str(promise), "code": f"x = {promise}\nprint(end='')\nx" if promise % 2 else "print(end='')"})
