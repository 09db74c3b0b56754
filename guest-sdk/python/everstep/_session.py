"""A session: cells that share a namespace. Each one is the answer to a request, whose message says what became of the one before.

It is no task of a loop, so that nothing that a cell does to its tasks, or to its loop, ends it.
"""

import ast
import asyncio
import codeop
import collections
import functools
import json
import re
import sys

import everstep

from . import _bounds, _checkpoint, _interrupt, _looks, _run, _unicode

_Task = asyncio.Task

# Bytes of each part of an answer.
_PART = 64 << 10
# What is done when a cell has run, before its value is shown.
AFTER = []
# What the host says where a limit has ended a cell.
_LIMIT = re.compile(r"the limit of [^()]+ is reached \(limits\.[a-z_.]+\)")
# A cell that is 0. To compile one takes memory, and nothing else that a cell could take away.
_NOTHING = {"id": "", "code": "0"}
_ZERO, _TO_COMPILE = (None, compile("0", "<rehearsal>", "eval")), 32 << 10
# What reads and writes JSON, whatever a cell makes of the module.
_read = json.JSONDecoder().scan_once
_write = json.encoder.c_make_encoder(
    None, json.JSONEncoder().default, json.encoder.encode_basestring_ascii, None, ": ", ", ", False, False, True
)
# Answers that are kept for whoever sends a cell again.
_KEPT = 100


class Session:
    """Runs cells of Python that share a namespace, each of them sent by a client of the capability `session`."""

    outlives_exit = True
    failure = staticmethod(_run.failure)

    def __init__(self):
        self._names = _run.new_namespace()
        # Every cell with its answer, or none where it is not kept any more; and those that have one, in order.
        self._answers, self._kept = {}, collections.deque()
        # The promise of the next cell, or the id of the one that runs, and its task.
        self._prompt = self._running = self._task = None
        self._is_over = False

    def begin(self, loop):
        self._loop = loop
        self._ask(None)

    def take(self, settled):
        """Takes the next cell, if it has come."""
        if self._prompt in settled:
            promise, self._prompt = self._prompt, None
            self._begin(_read(everstep._text(promise).lstrip(), 0)[0])

    def awaits(self):
        return [] if self._prompt is None else [self._prompt]

    def is_due(self):
        """Whether what it runs is done."""
        return self._task is not None and self._task.done()

    def go_on(self):
        """Answers the cell that is done; true when the session is over."""
        if not self.is_due():
            return False
        task, self._task = self._task, None
        if self._is_over:
            return True
        self._end(_result(task))
        return False

    def give_up(self, error):
        """Ends a cell that cannot be ended by an exception."""
        if self._task is None or self._is_over:
            return False
        self._task = None
        self._end({"error": _error(_run.failure(error))})
        return True

    def result(self):
        return json.dumps({"cells": len(self._answers)})

    def _ask(self, answer):
        self._rehearse()
        # Written before the checkpoint, too: what cannot write it is what the cell has done.
        message = "".join(_write({"cells": len(self._answers), "answer": answer}, 0))
        cause = _checkpoint.checkpoint(True)
        if cause is not None:
            self._loop.drop()
            print(f"what the cells have left running was ended, with all their tasks: {cause}", file=sys.stderr)
        _interrupt.forget()
        self._prompt = _checkpoint.next_cell(message)

    def _rehearse(self):
        """Raises where a cell has left nothing that could run another one; then it is set back itself."""
        self._loop.mend()
        self._known(_NOTHING)
        try:
            bytearray(_TO_COMPILE)
            _run.steps(_ZERO, "", {}, lambda value: _shown(value, {}, False)).send(None)
        except StopIteration as over:
            if over.value["value"] == 0:
                return
        raise RuntimeError("a cell that is 0 has another value")

    def _begin(self, cell):
        if cell is None:
            self._is_over = True
            self._task = _Task(_run.end(), loop=self._loop)
            return
        answer = self._looked(cell) if isinstance(cell, dict) and isinstance(cell.get("look"), dict) else self._known(cell)
        if answer is not None:
            self._ask(answer)
            return
        ident, code, interactive = cell["id"], cell["code"], cell.get("interactive") is True
        cause = _checkpoint.checkpoint(True)
        if cause is None and interactive and _is_incomplete(code):
            self._ask({"id": ident, "incomplete": True})
            return
        self._answers[ident] = code, None
        self._running = ident
        if cause is not None:
            self._end({"error": _trapped(cause)})
            return
        name = f"<cell {len(self._answers)}>"
        cell = _run.run(_run.steps(code, name, self._names, lambda value: _finished(value, self._names, interactive)))
        # A task of its own, for an interruption to cancel; whatever makes tasks for the program. It begins at once, which saves a turn of the loop.
        self._task = _Task(cell, loop=self._loop, eager_start=True)

    def _looked(self, cell):
        """The answer to what a person who types wants to know. It changes nothing that a cell could find."""
        cause = _checkpoint.checkpoint(True)
        try:
            found = {"error": _trapped(cause)} if cause is not None else {"value": _looks.answer(cell["look"], self._names)}
            # What cannot be written is an error, too.
            json.dumps(found)
        except BaseException as error:
            found = {"error": _error(_run.failure(error))}
        return {"id": cell.get("id"), **found}

    def _known(self, cell):
        """The answer to what needs not be run."""
        if not (isinstance(cell, dict) and isinstance(cell.get("id"), str) and isinstance(cell.get("code"), str)):
            return {"id": None, **_refused("a cell is an object with the texts id and code")}
        ident, code = cell["id"], cell["code"]
        if ident in self._answers:
            source, answer = self._answers[ident]
            if source != code:
                return {"id": ident, **_refused("another cell has this id")}
            return {"id": ident, **(answer or _refused("the cell has run, and its answer is not kept any more"))}
        return None if code.strip() else {"id": ident, "value": None}

    def _end(self, answer):
        ident, self._running = self._running, None
        answer = {"cell": len(self._answers), **answer}
        self._answers[ident] = self._answers[ident][0], answer
        self._kept.append(ident)
        if len(self._kept) > _KEPT:
            old = self._kept.popleft()
            self._answers[old] = self._answers[old][0], None
        self._ask({"id": ident, **answer})


def _result(task):
    try:
        return task.result()
    except _run.Failed as failed:
        return {"error": _error(failed)}
    except BaseException as error:
        # It was canceled before it began, or what runs it was taken apart.
        return {"error": _error(_run.failure(error))}


def _error(failed):
    return {"name": failed.kind, "message": _cut(failed.message), "traceback": _cut(failed.trace), "denied": failed.denied}


def _trapped(cause):
    name = "LimitExceeded" if _LIMIT.fullmatch(cause) else "Trapped"
    message = f"{_unicode.readable(cause)}; the cell was ended, and the session goes on as it was before it"
    return {"name": name, "message": message, "traceback": f"{name}: {message}\n", "denied": False}


def _refused(message):
    return {"error": {"name": "InvalidCell", "message": message, "traceback": "", "denied": False}}


def _finished(value, names, interactive):
    for each in AFTER:
        each()
    return _shown(value, names, interactive)


def _shown(value, names, interactive):
    """What a client learns of the value of the last expression."""
    if value is None:
        return {"value": None, "repr": None, "data": {}}
    names["_"] = value
    text = _bounds.representation(value)
    if interactive:
        print(text)
    shown, most = _cut(text), _part()
    if type(value) in everstep.PLAIN:
        data = {"text/plain": shown}
    else:
        data = everstep.mime_bundle(value)
        data = _bounds.bundle({**data, "text/plain": _cut(data["text/plain"])}, 4 * most)
    length, counted = _bounds.size(value)
    fits = length is not None and counted and length <= most
    return {"value": value if fits else None, "repr": shown, "data": data}


def _cut(text):
    return _bounds.cut(text, _part())


@functools.cache
def _part():
    """All parts of an answer together are one call."""
    return min(_PART, _bounds.limits().bytes_per_call // 8)


def _is_incomplete(code):
    """Whether a person at a prompt would go on typing."""
    compiler = codeop.CommandCompiler()
    compiler.compiler.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    for symbol in ("single", "exec"):
        try:
            return compiler(code, symbol=symbol) is None
        except (SyntaxError, ValueError, OverflowError, MemoryError, RecursionError):
            # Several statements at once are none that is single; what is wrong in itself is told when it runs.
            pass
    return False
