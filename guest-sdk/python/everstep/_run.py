"""Runs a piece of Python: statements, top-level await, and the value of a last expression."""

import __future__
import ast
import asyncio
import atexit
import builtins
import functools
import importlib.util
import inspect
import io
import json
import keyword
import linecache
import operator
import re
import sys
import traceback
import types

from asyncio import current_task

from wit_world.imports import console

from . import _errors, _files, _interrupt, _loop, _unicode

# What tracebacks do not show: what lies in this folder, and these files.
_PACKAGE = __file__.rpartition("/")[0]
OURS = {_PACKAGE.rpartition("/")[0] + "/app.py"}


class Failed(Exception):
    """The program raised; `kind`, `message` and `trace` say what, as text, `denied` whether the policy was the reason, and `exit_code` is that
    of one that has ended itself."""

    def __init__(self, kind, message, trace, denied):
        super().__init__(trace)
        self.kind, self.message, self.trace, self.denied = kind, message, trace, denied
        self.exit_code = None


def exited(code, message):
    """The end of a program that says why, and has this exit code."""
    print(message, file=sys.stderr)
    failed = Failed("SystemExit", message, message, False)
    failed.exit_code = code
    return failed


def new_namespace(values=None):
    """A fresh `__main__`."""
    import everstep

    main = types.ModuleType("__main__")
    main.__dict__["__builtins__"] = builtins
    for name in ("fetch", "websocket", "call", "display"):
        main.__dict__[name] = getattr(everstep, name)
    main.__dict__.update(values or {})
    sys.modules["__main__"] = main
    return main.__dict__


def compiled(source, name):
    """Code for the statements and code for the last expression; either may be none. The source is text, or the bytes of a file."""
    if isinstance(source, str):
        lines = _note_lines(name, source)
        codes = _of_last_line(source, name)
        if codes is not None:
            return codes
    tree, last = _compile(source, name, "exec", _FLAGS | ast.PyCF_ONLY_AST, dont_inherit=True), None
    if not isinstance(source, str):
        lines = _note_lines(name, importlib.util.decode_source(source))
    if tree.body and isinstance(tree.body[-1], ast.Expr) and not _is_silent(lines, tree.body[-1]):
        last = ast.Expression(tree.body.pop().value)
    body = _compile(tree, name, "exec", _FLAGS, dont_inherit=True)
    return body, last and _compile(last, name, "eval", _FLAGS | body.co_flags & _FUTURE, dont_inherit=True)


def _of_last_line(source, name):
    """The same where the last line is an expression as it stands, and the lines before it are statements: half of the work, since no tree is made."""
    statements, end, line = source.rstrip(" \t\n").rpartition("\n")
    if _NO_EXPRESSION.match(line) or "\r" in source or "__future__" in source:
        return None
    try:
        # In the middle of a string, of brackets or of a block, one of the two is an error.
        last = _compile("\n" * statements.count("\n") + end + line, name, "eval", _FLAGS, dont_inherit=True)
        return statements and _compile(statements, name, "exec", _FLAGS, dont_inherit=True) or None, last
    except SyntaxError:
        return None


# Whatever a cell makes of `builtins`.
_compile = compile
_LINES = re.compile(r"[^\n]*\n|[^\n]+")
_FLAGS = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
# A `from __future__` of the statements holds for the last expression as well.
_FUTURE = functools.reduce(operator.or_, (getattr(__future__, name).compiler_flag for name in __future__.all_feature_names))
_STATEMENTS = "|".join(word for word in keyword.kwlist if word not in ("None", "True", "False", "await", "lambda", "not"))
# A line that is not looked at as an expression: an empty one, the end of another one, a comment, a statement; and what could warn twice.
_NO_EXPRESSION = re.compile(rf"\Z|[\s#)\]}}]|(?:{_STATEMENTS})\b|[^(\[{{'\"]*=|.*(?:[;\\]|\bis\b)")


def _note_lines(name, text):
    """Tracebacks and warnings show lines of it."""
    lines = io.StringIO(text, newline=None).readlines() if "\r" in text else _LINES.findall(text)
    linecache.cache[name] = (len(text), None, lines, name)
    return lines


def _is_silent(lines, last):
    """A semicolon behind the last expression keeps its value to itself, as in a notebook."""
    line = lines[last.end_lineno - 1].encode()
    return line[last.end_col_offset :].lstrip().startswith(b";")


async def run(work, failed=None):
    """Waits for the work of a program, a coroutine, and returns what it returns; `failed` makes a `Failed` of what it raises."""
    failed = failed or failure
    with _interrupt.Target(current_task()) as target:
        try:
            # One that computes without an end, and calls nothing, is taken back to here.
            _interrupt.check()
            return await work
        except Failed:
            raise
        except asyncio.CancelledError as error:
            reason = target.reason
            raise failed(error if reason is None else reason.with_traceback(error.__traceback__)) from None
        except BaseException as error:
            raise failed(error) from None


async def steps(source, name, namespace, finish=lambda value: value, is_program=False):
    """Runs the source, or what `compiled` has made of it, and returns the value of its last expression, as `finish` makes it.

    A program that awaits nothing at its top has no event loop that runs, as elsewhere."""
    body, last = source if isinstance(source, tuple) else compiled(source, name)
    codes, value = [code for code in (body, last) if code is not None], None
    if is_program and not any(code.co_flags & inspect.CO_COROUTINE for code in codes):
        with _loop.outside():
            for code in codes:
                value = eval(code, namespace)
    else:
        for code in codes:
            value = eval(code, namespace)
            if code.co_flags & inspect.CO_COROUTINE:
                value = await value
    return finish(value if last is not None else None)


def failure(error):
    """What Python would print, without our own frames."""
    kind, denials = _unicode.name_of(type(error)), []
    for cause in _errors.causes(error):
        _files.explain(cause)
        if _errors.is_denial(cause):
            denials.append(_message(cause))
    message = _message(error)
    try:
        found = traceback.TracebackException.from_exception(error, capture_locals=False)
        _forget_ours(found, set())
        trace = _unicode.readable("".join(found.format()))
    except BaseException:
        trace = f"{kind}: {message}\n"
    # Some packages raise errors of their own, and nothing of what was behind them.
    trace += "".join(f"the policy denied this: {denial}\n" for denial in denials if denial not in trace)
    return Failed(kind, message, trace, bool(denials))


def _message(error):
    try:
        return _unicode.readable(str(error))
    except BaseException:
        return "<exception str() failed>"


def is_ours(file):
    """Whether a frame of that file is none of the program."""
    return file.startswith(_PACKAGE + "/") or file in OURS


def _forget_ours(found, seen):
    if found is None or id(found) in seen:
        return
    seen.add(id(found))
    found.stack = traceback.StackSummary.from_list([frame for frame in found.stack if not is_ours(frame.filename)])
    for frame in found.stack:
        # Its lines are looked at with `splitlines`.
        if frame._original_lines is not None:
            frame._lines, frame._lines_dedented = _unicode.unbroken(frame._original_lines), None
    for other in (found.__cause__, found.__context__, *(found.exceptions or ())):
        _forget_ours(other, seen)


async def end():
    """What Python does when a program has ended: tasks are canceled, exit functions run, open files get what was written to them."""
    await _loop.end()
    atexit._run_exitfuncs()
    _files.flush_all()
    _loop.flush()


def ask(prompt=""):
    """`input`: asks a human and blocks."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name, None) is None:
            raise RuntimeError(f"input(): lost sys.{name}")
    if sys.stdin is not sys.__stdin__:
        # The program reads something else.
        sys.stdout.write(str(prompt))
        _loop.flush()
        line = sys.stdin.readline()
        if not line:
            raise EOFError("EOF when reading a line")
        return line.removesuffix("\n")
    _loop.flush()
    options = console.InputOptions(None, None)
    promise = _errors.call(console.input, str(prompt), options)
    _errors.wait_for(promise)
    from everstep import _answer

    answer = _answer(promise)
    return answer if isinstance(answer, str) else json.dumps(answer)
