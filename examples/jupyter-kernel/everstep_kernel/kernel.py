"""The kernel: requests of a frontend in, cells of a session out.

The environment says which session: `EVERSTEP_SESSION` (its id; a fresh session without it), `EVERSTEP_STORE` (`.everstep` in the folder of
the notebook), `EVERSTEP_POLICY` (a file; without it cells compute, print, display and ask), `EVERSTEP` (the program).
"""

import ast
import asyncio
import codeop
import json
import os
import sys
import threading
import time
import warnings

from everstep import CellError, Session, SessionError, SessionLost, Unanswered, __version__
from ipykernel.kernelbase import Kernel

# Milliseconds between two looks at whether a question was answered or the cell has ended.
_TICK = 50


class EverstepKernel(Kernel):
    """Runs the cells of a notebook in a session, which a shutdown leaves as it is."""

    implementation = "everstep"
    implementation_version = __version__
    language_info = {
        "name": "python",
        "version": "3.14",
        "mimetype": "text/x-python",
        "file_extension": ".py",
        "pygments_lexer": "ipython3",
        "codemirror_mode": {"name": "ipython", "version": 3},
    }

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self._everstep = None
        # Whether the cell that runs may ask the frontend, and whether it was interrupted or has ended: an event of its own for each cell.
        self._may_ask, self._over = False, threading.Event()
        # Held by the question that the frontend is asked: one at a time.
        self._asking = threading.Lock()
        self._silent = False
        # The requests of the last two cells, by their ids, and that of the one that has ended last; the id of the cell of the message at hand.
        self._parents, self._ended, self._cell = {}, None, None
        # Whether the kernel shuts down.
        self._left = False

    @property
    def banner(self):
        return f"Python in an Everstep session ({os.environ.get('EVERSTEP_SESSION', 'a fresh one')})"

    # Execution.

    async def do_execute(self, code, silent, store_history=True, user_expressions=None, allow_stdin=False, *, cell_meta=None, cell_id=None):
        """Runs a cell. The id of the request is that of the cell, its idempotency key."""
        self._may_ask, self._silent = allow_stdin, silent
        self._over = over = threading.Event()
        parent = self.get_parent("shell")
        self._cell = id = parent["header"]["msg_id"]
        self._parents = {**dict(list(self._parents.items())[-1:]), id: parent}
        try:
            result = await self._run(code, id)
        except CellError as error:
            return self._raised(error.name, error.message, error.traceback.splitlines())
        except SessionError as error:
            return self._raised(error.name, error.message, [f"{error.name}: {error.message}"])
        except (SessionLost, OSError) as error:
            # Why a host does not start is in its standard error.
            return self._raised(type(error).__name__, str(error), [f"{type(error).__name__}: {error}"])
        finally:
            over.set()
            self._ended, self._cell = parent, id
        if result.data:
            self._publish("execute_result", {"data": _bundle(result.data), "metadata": {}, "execution_count": self.execution_count})
        return {"status": "ok", "execution_count": self.execution_count, "payload": [], "user_expressions": {}}

    async def _run(self, code, id):
        """The result of a cell. When its host is lost, the session is taken up, and the cell goes on under its id, once."""
        for attempt in (1, 2):
            session = await asyncio.to_thread(self._session)
            try:
                return await asyncio.wrap_future(session.submit(code, id))
            except SessionLost as lost:
                # What was in memory is gone.
                if attempt == 2 or self._left or self._store() == "memory":
                    raise
                self._publish("stream", {"name": "stderr", "text": f"everstep: {lost}; the session is taken up again\n"})
        raise AssertionError("unreachable")

    def _store(self):
        return os.environ.get("EVERSTEP_STORE", ".everstep")

    def _session(self):
        """The session, opened with the first cell, and again when its host was lost."""
        lost = self._everstep is not None and self._everstep.lost
        if lost:
            self._everstep.close()
        if self._everstep is None or lost:
            name = self._everstep.id if lost else os.environ.get("EVERSTEP_SESSION")
            # The host of a kernel that was killed gives its store up in a moment.
            for wait in (0.5, 1, 2) if name else ():
                try:
                    self._everstep = self._open(name)
                    break
                except SessionLost:
                    time.sleep(wait)
            else:
                self._everstep = self._open(name)
        return self._everstep

    def _open(self, name):
        return Session(
            name,
            self._store(),
            os.environ.get("EVERSTEP_POLICY"),
            on_output=lambda stream, text: self._publish("stream", {"name": stream, "text": text}),
            on_display=lambda data: self._publish("display_data", {"data": _bundle(data), "metadata": {}}),
            on_input=self._ask,
            trace=self._note,
        )

    def _note(self, direction, message):
        if direction == "in" and message["type"] in ("output", "display"):
            self._cell = message.get("reply_to")

    def _publish(self, kind, content):
        """Under the cell that a message belongs to; what is shown between two cells is filed under the one that has ended."""
        if not self._silent:
            parent = self._parents.get(self._cell) or self._ended or self.get_parent("shell")
            self.session.send(self.iopub_socket, kind, content, parent=parent, ident=self._topic(kind))

    def _raised(self, name, message, lines):
        content = {"ename": name, "evalue": message, "traceback": lines}
        self._publish("error", content)
        return {"status": "error", "execution_count": self.execution_count, **content}

    # Questions.

    def _ask(self, prompt, kind, schema, data):
        """Asks at the frontend, until the cell that asks is interrupted or has ended."""
        if not self._may_ask:
            raise RuntimeError("this frontend answers no questions")
        if kind == "input" and schema is None:
            return self._typed(prompt)
        shown = "\n".join(text for text in (prompt, data if isinstance(data, str) else data and json.dumps(data)) if text)
        if kind == "approval":
            return {"approved": self._typed(f"{shown}\nallow? [y/N] ").strip().lower() in ("y", "yes"), "by": "notebook"}
        return json.loads(self._typed(f"{shown} (JSON) "))

    def _typed(self, prompt):
        # As `Kernel.raw_input`, but not on the main thread, and with an end.
        ident, parent = self._get_shell_context_var(self._shell_parent_ident), self.get_parent("shell")
        over = self._over
        with self._asking:
            while self.stdin_socket.poll(0):
                self.stdin_socket.recv_multipart()
            self.session.send(self.stdin_socket, "input_request", {"prompt": prompt, "password": False}, parent, ident=ident)
            while not over.is_set():
                if self.stdin_socket.poll(_TICK):
                    _, reply = self.session.recv(self.stdin_socket)
                    return reply["content"]["value"]
        raise Unanswered

    # The control channel.

    async def interrupt_request(self, stream, ident, parent):
        """Ends the cell that runs with a `KeyboardInterrupt`."""
        content, over = {"status": "ok"}, self._over
        try:
            if self._everstep is not None:
                self._everstep.interrupt()
            over.set()
        except (SessionError, SessionLost) as error:
            content = {"status": "error", "ename": type(error).__name__, "evalue": str(error), "traceback": []}
        self.session.send(stream, "interrupt_reply", content, parent, ident=ident)

    async def do_shutdown(self, restart):
        """Leaves the session as it is: a kernel with the same `EVERSTEP_SESSION` takes it up."""
        self._left = True
        self._over.set()
        if self._everstep is not None:
            await asyncio.to_thread(self._everstep.close)
        # Those that publish have ended before this thread flushes them, and let it wait.
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
        return {"status": "ok", "restart": restart}

    async def do_complete(self, code, cursor_pos):
        """The names that go on with what was typed; none when the session cannot say."""
        matches, start, end = await self._looked(Session.complete, code, cursor_pos) or ([], cursor_pos, cursor_pos)
        return {"status": "ok", "matches": matches, "cursor_start": start, "cursor_end": end, "metadata": {}}

    async def do_inspect(self, code, cursor_pos, detail_level=0, omit_sections=()):
        """What stands at a place of a cell."""
        text = await self._looked(Session.inspect, code, cursor_pos, detail_level)
        return {"status": "ok", "found": text is not None, "data": {} if text is None else {"text/plain": text}, "metadata": {}}

    async def _looked(self, look, *arguments):
        try:
            return await asyncio.to_thread(lambda: look(self._session(), *arguments))
        except (SessionError, SessionLost, OSError):
            return None

    async def do_is_complete(self, code):
        """Whether a person would go on typing, by the rules of this Python."""
        compiler = codeop.CommandCompiler()
        compiler.compiler.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        for symbol in ("single", "exec"):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    complete = compiler(code, symbol=symbol) is not None
            except (SyntaxError, ValueError, OverflowError):
                # Several statements at once are none that is single.
                continue
            return {"status": "complete"} if complete else {"status": "incomplete", "indent": _indent(code)}
        return {"status": "invalid"}


def _indent(code):
    last = code.rstrip("\n").rpartition("\n")[2]
    return " " * (len(last) - len(last.lstrip()) + (4 if last.rstrip().endswith(":") else 0))


def _bundle(data):
    """Representations as Jupyter sends them: JSON as a value, all else as text."""
    return {mime: json.loads(text) if mime == "application/json" or mime.endswith("+json") else text for mime, text in data.items()}
