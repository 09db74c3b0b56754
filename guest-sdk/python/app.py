"""The durable functions of the Python guest, for the component's export."""

import json
import random

# Before anything else, so that all of it is in the component.
from everstep import _stdlib

MISSING = _stdlib.import_all()

import builtins
import gc
import shutil
import site

import everstep
from componentize_py_types import Err, Ok
from everstep import _errors, _files, _imports, _interrupt, _limits, _loop, _output, _run, _session, _time
from everstep._builtin import put
from wit_world import exports
from wit_world.exports.guest import FunctionInfo, Progress_Done, Progress_Pending
from wit_world.imports import random as host_random
from wit_world.imports.types import Error, ErrorCode

_stdlib.hide_sources()
_files.install()
_imports.install()
_time.install()
_loop.install()
_limits.install()
shutil._use_fd_functions = False
site.setquit()
put(builtins, "input", _run.ask)


async def execute(code, namespace=None, filename="<program>"):
    """Runs a program or a snippet of Python, with top-level await; returns the value of its last expression, its repr, and the
    names that hold JSON."""
    names = _run.new_namespace(namespace)
    try:
        return _outcome(await _run.run(code, filename, names), names)
    except _run.Failed as failed:
        if not failed.is_success:
            raise
        return _outcome(None, names)
    finally:
        await _run.end()


def _outcome(value, names):
    return {
        "value": value if _run.is_json(value) else None,
        "repr": _run.representation(value),
        "namespace": _run.kept(names),
    }


FUNCTIONS = {"execute": execute, "session": _session.session}


def _seed():
    """The state of `random` was made when the component was built: each execution begins with a seed of its own."""
    random.seed(_errors.call_through(host_random.bytes, 32))


class Execution:
    """The one execution that an instance serves."""

    def begin(self, coroutine, outlives_exit):
        self.loop, self.outlives_exit = _loop.Loop(), outlives_exit
        with self.loop.running():
            self.task = self.loop.main = self.loop.create_task(coroutine)
        return self.turn([])

    def interrupt(self):
        with self.loop.running():
            _interrupt.cancel(KeyboardInterrupt())
        return self.turn([])

    def turn(self, settled):
        try:
            with self.loop.running():
                self.loop.deliver(settled)
                if not self._runs_dry():
                    return Progress_Pending()
            return Progress_Done(Ok(json.dumps(self.task.result())))
        except _run.Failed as error:
            failed = error
        except BaseException as error:
            # A task that exits, or one that nothing can wake up.
            failed = _run.failure(error)
        return _refused(ErrorCode.DENIED if failed.denied else ErrorCode.FAILED, failed.trace.rstrip("\n"))

    def _runs_dry(self):
        """Runs what can run; true when the function has returned."""
        stuck = None
        while True:
            try:
                self.loop.turn()
                _loop.flush()
                if not self.task.done():
                    self.loop.waits_for()
                return self.task.done()
            except KeyboardInterrupt:
                # In a task that nobody may be waiting for.
                _interrupt.interrupt()
            except SystemExit:
                if not self.outlives_exit:
                    raise
            except _loop.Stuck as found:
                error = RuntimeError(str(found))
                # Once: a program that goes on waiting after that is beyond help.
                if stuck is not None or not _interrupt.cancel(error):
                    raise error from None
                stuck = error


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
        _output.install()
        return EXECUTION.begin(coroutine, function is _session.session)

    def resume(self, settled):
        return EXECUTION.turn(settled) if settled else EXECUTION.interrupt()


def _refused(code, message):
    return Progress_Done(Err(Error(code, message)))

gc.collect()
# A collection writes to every object that it looks at, and what is written to is a page of memory of its own in each instance.
gc.freeze()
