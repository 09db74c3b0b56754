"""A session: cells that share a namespace. Each one is the answer to a request, whose message says what became of the one before."""

import asyncio
import ast
import codeop
import collections
import json

import everstep
from wit_world.imports import bridge

from . import _errors, _interrupt, _run
from ._loop import flush

# Bytes of JSON and of text beyond which a value is left out of an answer, and a representation cut.
_VALUE = 64 << 10
# Answers that are kept for whoever sends a cell again.
_KEPT = 100


async def session():
    """Runs cells of Python that share a namespace, each of them sent by a client of the capability `session`."""
    names, answers, kept, answer = _run.new_namespace(), {}, collections.deque(), None
    while True:
        cell = await _next({"cells": len(answers), "answer": answer})
        if cell is None:
            await _run.end()
            return {"cells": len(answers)}
        answer = await _answer(cell, names, answers, kept)


def _next(message):
    _interrupt.forget()
    promise = _errors.call_through(bridge.send_request, "session", json.dumps(message), bridge.RequestOptions(None))
    return asyncio.get_running_loop().promised(promise, everstep._value)


async def _answer(cell, names, answers, kept):
    """`answers` has every cell with its answer, or none where it is not kept any more; `kept` are those that have one, in order."""
    if not isinstance(cell, dict) or not all(isinstance(cell.get(key), str) for key in ("id", "code")):
        return {"id": None, **_refused("a cell is an object with the texts id and code")}
    ident, code = cell["id"], cell["code"]
    if ident in answers:
        source, answer = answers[ident]
        if source != code:
            return {"id": ident, **_refused("another cell has this id")}
        return {"id": ident, **(answer or _refused("the cell has run, and its answer is not kept any more"))}
    if not code.strip():
        return {"id": ident, "value": None}
    interactive = cell.get("interactive") is True
    if interactive and _is_incomplete(code):
        return {"id": ident, "incomplete": True}
    number = len(answers) + 1
    answers[ident] = code, None
    try:
        # A task of its own, for an interruption to cancel.
        task = asyncio.create_task(_run.run(code, f"<cell {number}>", names, lambda value: _shown(value, names, interactive)))
        answer = {"cell": number, **await task}
    except _run.Failed as error:
        answer = {"cell": number, "error": {"name": error.kind, "message": _cut(error.message), "traceback": _cut(error.trace), "denied": error.denied}}
    flush()
    answers[ident] = code, answer
    kept.append(ident)
    if len(kept) > _KEPT:
        old = kept.popleft()
        answers[old] = answers[old][0], None
    return {"id": ident, **answer}


def _refused(message):
    return {"error": {"name": "InvalidCell", "message": message, "traceback": "", "denied": False}}


def _shown(value, names, interactive):
    """What a client learns of the value of the last expression."""
    if value is None:
        return {"value": None, "repr": None, "data": {}}
    names["_"] = value
    if interactive:
        print(_run.representation(value))
    try:
        data = everstep.mime_bundle(value)
    except Exception:
        data = {"text/plain": _run.representation(value)}
    data = {mime: _cut(part) if mime.startswith("text/") else part for mime, part in data.items()}
    while sum(map(len, data.values())) > 4 * _VALUE:
        data.pop(max(data, key=lambda mime: len(data[mime])))
    fits = _run.is_json(value) and len(json.dumps(value)) <= _VALUE
    return {"value": value if fits else None, "repr": _cut(_run.representation(value)), "data": data}


def _cut(text):
    return text if len(text) <= _VALUE else f"{text[:_VALUE]}… ({len(text) - _VALUE} characters more)"


def _is_incomplete(code):
    """Whether a person at a prompt would go on typing."""
    compiler = codeop.CommandCompiler()
    compiler.compiler.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    for symbol in ("single", "exec"):
        try:
            return compiler(code, symbol=symbol) is None
        except (SyntaxError, ValueError, OverflowError):
            # Several statements at once are none that is single; what is wrong in itself is told when it runs.
            pass
    return False
