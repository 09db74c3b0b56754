"""The durable functions of the Python guest, for the component's export."""

import json
import random
import sys

# Before anything else, so that all of it is in the component.
from everstep import _stdlib

MISSING = _stdlib.import_all()

import builtins
import shutil

import everstep
from componentize_py_types import Err, Ok
from everstep import _errors, _files, _limits, _loop, _run
from wit_world import exports
from wit_world.exports.guest import FunctionInfo, Progress_Done, Progress_Pending
from wit_world.imports import random as host_random
from wit_world.imports.types import Error, ErrorCode

_files.install()
_loop.install()
_limits.install()
shutil._use_fd_functions = False
builtins.input = _run.ask


async def execute(code, namespace=None, filename="<program>"):
    """Runs a program or a snippet of Python, with top-level await; returns the value of its last expression, its repr, and the
    names that hold JSON."""
    names = _run.new_namespace(namespace)
    try:
        return _outcome(await _run.run(code, filename, names), names)
    finally:
        await _loop.end()


def _outcome(value, names):
    return {
        "value": value if _run.is_json(value) else None,
        "repr": _run.representation(value),
        "namespace": _run.kept(names),
    }


FUNCTIONS = {"execute": execute}


def _seed():
    """The state of `random` was made when the component was built: each execution begins with a seed of its own."""
    random.seed(_errors.call(host_random.bytes, 32))


class Execution:
    """The one execution that an instance serves."""

    def begin(self, coroutine):
        self.loop = _loop.Loop()
        with self.loop.running():
            self.task = self.loop.create_task(coroutine)
        return self.turn([])

    def turn(self, settled):
        try:
            with self.loop.running():
                self.loop.deliver(settled)
                self.loop.turn()
                _loop.flush()
                if not self.task.done():
                    self.loop.waits_for()
                    return Progress_Pending()
            return Progress_Done(Ok(json.dumps(self.task.result())))
        except _run.Failed as error:
            failed = error
        except BaseException as error:
            # A task that exits, or one that nothing can wake up.
            failed = _run.failure(error)
        return _refused(ErrorCode.DENIED if failed.denied else ErrorCode.FAILED, failed.trace.rstrip("\n"))


EXECUTION = Execution()


class Guest(exports.Guest):
    def functions(self):
        return [FunctionInfo(name, function.__doc__) for name, function in FUNCTIONS.items()]

    def start(self, name, args):
        function = FUNCTIONS.get(name)
        if function is None:
            return _refused(ErrorCode.NOT_FOUND, f"no function {name!r}; there are {', '.join(FUNCTIONS)}")
        try:
            arguments = json.loads(args)
            if not isinstance(arguments, dict):
                raise TypeError("an object is due")
            if function is execute and not isinstance(arguments.get("code"), str):
                raise TypeError("code, a text, is due")
            coroutine = function(**arguments)
        except (TypeError, ValueError) as error:
            return _refused(ErrorCode.INVALID, f"arguments of {name}: {error}")
        _seed()
        sys.stdout.reconfigure(line_buffering=True)
        sys.stderr.reconfigure(line_buffering=True)
        return EXECUTION.begin(coroutine)

    def resume(self, settled):
        return EXECUTION.turn(settled)


def _refused(code, message):
    return Progress_Done(Err(Error(code, message)))
