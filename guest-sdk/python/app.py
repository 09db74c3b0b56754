"""The durable functions of the Python guest, for the component's export."""

import json
import random

# Before anything else, so that all of it is in the component.
from everstep import _network, _stdlib, _threads

_threads.prepare()
_network.install()

from everstep import _tls

_tls.install()

# First, so that what it leaves behind is used again.
MAINS = _stdlib.mains()
_stdlib.import_all()

import builtins
import getpass
import operator
import os
import site
import sys

import everstep
from componentize_py_types import Err, Ok
from everstep import (
    _absent, _bounds, _checkpoint, _derivation, _errors, _files, _images, _interrupt, _limits, _loop, _output, _package_files, _packages, _preload, _rehearsal, _run, _script,
    _session, _snapshot, _time,
)
from everstep._builtin import put
from wit_world import exports
from wit_world.exports.guest import FunctionInfo, Progress_Done, Progress_Pending
from wit_world.imports import context
from wit_world.imports import random as host_random
from wit_world.imports.types import Error, ErrorCode

_script.MAINS.update(MAINS)
_stdlib.hide_sources()
_time.install()
_loop.install()
_limits.install()
_checkpoint.install()
site.setquit()
put(builtins, "input", _run.ask)
put(getpass, "getpass", lambda prompt="Password: ", stream=None, *, echo_char=None: _run.ask(prompt))
_package_files.install()
_absent.install()
_derivation.install()
_preload.install()


async def execute(code=None, namespace=None, filename="<program>", argv=None, module=None, is_bytes=False):
    """Runs a program or a snippet of Python, with top-level await, or a module by its name; returns the value of its last expression, its
    repr, the names that hold JSON, and what of it was cut. `argv` begins with a file, `-c`, `-m` or `-`; with `is_bytes` each character of
    the code is a byte of a file, which says how it is encoded."""
    names = _run.new_namespace(namespace)
    argv = argv or _script.arguments(filename)
    if argv:
        _script.begin(argv, names, filename)
    source = code.encode("latin-1") if is_bytes else _script.dedented(code, argv)
    work = _run.steps(source, filename, names, is_program=True) if module is None else _script.run_module(module, names)
    try:
        return _bounds.result(await _run.run(work, _script.uncaught), names)
    except _run.Failed as failed:
        if failed.exit_code != 0:
            raise
        return _bounds.result(None, names)
    finally:
        await _run.end()


class Program:
    """The run of one program, in a task of its own."""

    outlives_exit = False
    failure = staticmethod(_script.uncaught)

    def __init__(self, code=None, module=None, **arguments):
        if not isinstance(code if module is None else module, str):
            raise TypeError("code, a text, is due, or the name of a module")
        self._coroutine = execute(code, module=module, **arguments)

    def begin(self, loop):
        cause = _checkpoint.checkpoint(False)
        if cause is not None:
            self._coroutine.close()
            message = f"the program was ended: {cause}\n"
            raise _run.Failed("Trapped", message, message, False)
        self._task = loop.main = loop.create_task(self._coroutine)

    def take(self, settled):
        pass

    def awaits(self):
        return []

    def is_due(self):
        return self._task.done()

    go_on = is_due

    def give_up(self, error):
        return False

    def result(self):
        return self._task.result()


RUNS = {"execute": (Program, execute.__doc__), "session": (_session.Session, _session.Session.__doc__)}


_panicked, _abort, _end = context.panicked, os.abort, os._exit


def _exit(status):
    """`os._exit`: a session goes on, without the cell."""
    code = operator.index(status)
    if EXECUTION.run.outlives_exit:
        _end(code)
    context.exit(code & 0xFF)


put(os, "_exit", _exit)


# What has a state of random numbers, which was made when the component was built: each execution begins with a seed of its own, 32 bytes.
SEEDS = [random.seed]


def _seed():
    seed = _errors.call_through(host_random.bytes, 32)
    for give in SEEDS:
        give(seed)


class Execution:
    """The one execution that an instance serves."""

    def begin(self, run):
        self.loop, self.run, self.begun = _loop.Loop(is_outermost=True), run, False
        return self.turn([])

    def interrupt(self):
        with self.loop:
            # A cell may have been handed over and not have come yet.
            _interrupt.interrupt()
        return self.turn([])

    def turn(self, settled):
        try:
            with self.loop:
                if not self.begun:
                    self.begun = True
                    self.run.begin(self.loop)
                self.loop.deliver(settled)
                self.run.take(settled)
                if not self._runs_dry():
                    return Progress_Pending()
            return Progress_Done(Ok(self.run.result()))
        except _run.Failed as error:
            failed = error
        except BaseException as error:
            # A task that exits, or one that nothing can wake up.
            failed = self.run.failure(error)
            if self.run.outlives_exit:
                # A cell has taken something apart that a session needs; it goes on as it was before.
                _panicked(f"what runs the cells does not work any more ({failed.kind}: {failed.message})")
                _abort()
        if failed.exit_code == 0:
            return Progress_Done(Ok(_bounds.result(None, {})))
        if failed.exit_code is not None:
            return _refused(ErrorCode.FAILED, f"the program ended with exit code {failed.exit_code}")
        return _refused(ErrorCode.DENIED if failed.denied else ErrorCode.FAILED, _bounds.cut(failed.trace.rstrip("\n"), _bounds.limits().result))

    def _runs_dry(self):
        """Runs what can run; true when the function has returned."""
        stuck = None
        while True:
            try:
                self.loop.turn(self.run.is_due)
                _loop.flush()
                if self.run.go_on():
                    return True
                if not self.loop.can_run():
                    self.loop.waits_for(self.run.awaits())
                    return False
            except KeyboardInterrupt:
                # In a task that nobody may be waiting for.
                _interrupt.interrupt()
            except SystemExit:
                if not self.run.outlives_exit:
                    raise
            except _loop.Stuck as found:
                error = RuntimeError(str(found))
                # Once: a program that goes on waiting after that is beyond help.
                if (stuck is not None or not _interrupt.cancel(error)) and not self.run.give_up(error):
                    raise error from None
                stuck = error


EXECUTION = Execution()


class Guest(exports.Guest):
    def functions(self):
        return [FunctionInfo(name, text) for name, (_, text) in RUNS.items()]

    def start(self, name, args):
        if name == _images.PREPARE:
            return Progress_Done(Ok(_images.prepare(args)))
        if name not in RUNS:
            return _refused(ErrorCode.NOT_FOUND, f"no function {name!r}; there are {', '.join(RUNS)}")
        try:
            _files.begin()
        except OSError as error:
            return _refused(ErrorCode.INVALID, f"the working folder, PWD of [env]: {error}")
        try:
            arguments = json.loads(args)
            if not isinstance(arguments, dict):
                raise TypeError("an object is due")
            run = RUNS[name][0](**arguments)
        except (TypeError, ValueError) as error:
            return _refused(ErrorCode.INVALID, f"arguments of {name}: {error}")
        _seed()
        _output.install()
        _packages.seal()
        _images.install()
        sys.path[:0] = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
        return EXECUTION.begin(run)

    def resume(self, settled):
        return EXECUTION.turn(settled) if settled else EXECUTION.interrupt()


def _refused(code, message):
    return Progress_Done(Err(Error(code, message)))


_snapshot.finish(lambda: _rehearsal.run(Execution))
