"""A session: one `everstep session` process, and the requests that it answers."""

from __future__ import annotations

import collections
import concurrent.futures
import json
import subprocess
import sys
import threading
import traceback as tracebacks
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from . import answers, errors, program
from .errors import SessionError, SessionLost

PROTOCOL = 1
# How often a value that does not fit the schema of its question is asked for again.
_ATTEMPTS = 3


@dataclass(frozen=True)
class Result:
    """What became of a cell."""

    #: The value of its last expression, if JSON holds it and it is at most 64 KiB; none otherwise.
    value: Any = None
    #: The representation of that value; none if there is no value.
    repr: str | None = None
    #: The same by media type: text as it is, binary data in base64.
    data: dict[str, str] = field(default_factory=dict)
    #: The number of the cell, from 1; none for an empty cell, which is not counted.
    cell: int | None = None


_Session = TypeVar("_Session", bound="Session")
_Value = TypeVar("_Value")


class Session:
    """A Python session that this program drives.

    `policy` is a policy file, which has to grant the capability `session`; without one, cells compute, print, display and ask. `store` is a
    folder, or `memory`. `command` starts the program, without it the one that `everstep.program.find` finds; it runs in a process group of
    its own, so that Ctrl-C here does not end it.

    What a session says is passed to `on_output(stream, text)` with `stdout` or `stderr`, `on_display(data)` with the representations of a
    value by media type, `on_denied(call, subject, message)`, and `on_error(error)` for errors that answer no request. They are called in
    order, on one thread, before the cell that they belong to is done; they must not wait for the session.

    What a session asks is answered by `on_input(prompt, kind, schema, data)`, with `kind` one of `input`, `approval` and `promise`, and by
    `capabilities[name](message)`, each on a thread of its own. What they return is the answer; what they raise is an error for the cell,
    except `Unanswered`, which leaves the request open.
    Each request is answered once in this process, also when a session that was taken up delivers it again. Without `on_input`, and without
    an entry for a capability, a request stays open for somebody else (`everstep promise resolve`). An approval is answered with
    `{"approved": bool, "by": text, "reason": text}`.

    `trace(direction, message)` sees each message, `out` or `in`, before anything is done with it.

    Raises `SessionLost` if the session does not start; the reason is on standard error, which is that of this process. Raises
    `ProgramNotFound` if there is no program.
    """

    #: The id, which takes the session up again.
    id: str
    #: Whether the session existed before.
    resumed: bool
    #: The version of the host.
    version: str

    def __init__(
        self,
        id: str | None = None,
        store: str | Path = ".everstep",
        policy: str | Path | None = None,
        command: Sequence[str] | None = None,
        *,
        on_output: Callable[[str, str], object] | None = None,
        on_display: Callable[[dict[str, str]], object] | None = None,
        on_input: Callable[[str, str, Any, Any], Any] | None = None,
        on_denied: Callable[[str, str, str], object] | None = None,
        on_error: Callable[[SessionError], object] | None = None,
        capabilities: Mapping[str, Callable[[Any], Any]] | None = None,
        trace: Callable[[str, dict[str, Any]], object] | None = None,
    ) -> None:
        self._on_output, self._on_display = on_output or _print, on_display or _print_plain
        self._on_input, self._on_denied = on_input, on_denied or (lambda *_: None)
        self._on_error = on_error or (lambda error: print(f"everstep: {error}", file=sys.stderr))
        self._capabilities, self._trace = dict(capabilities or {}), trace
        # A store in memory ends with its host: nothing of it is ever asked again.
        self._place: object = object() if str(store) == "memory" else Path(store).resolve()
        self._lock, self._writing = threading.Lock(), threading.Lock()
        # Who waits for the answer to a request, by its id, in the order of sending.
        self._pending: dict[str, collections.deque[Future[Result]]] = {}
        # What is being answered on this connection.
        self._asked: set[str] = set()
        self._lost: int | None = None
        self._ready: Future[dict[str, Any]] = Future()

        options = [*(("--id", id) if id else ()), *(("--policy", str(policy)) if policy else ())]
        self._process = subprocess.Popen(
            [*(command or (program.find(),)), "session", "--store", str(store), *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        # Both are pipes.
        assert self._process.stdin and self._process.stdout
        self._input, self._output = self._process.stdin, self._process.stdout
        self._reader = threading.Thread(target=self._read, name="everstep-session", daemon=True)
        self._reader.start()
        try:
            ready = self._ready.result()
        except BaseException:
            self._end(0)
            raise
        self.id, self.resumed, self.version = ready["execution_id"], ready["resumed"], ready["version"]

    @property
    def pid(self) -> int:
        """The process of the host."""
        return self._process.pid

    @property
    def lost(self) -> bool:
        """Whether the host has ended: nothing more is answered here."""
        return self._lost is not None

    def execute(self, code: str, id: str | None = None) -> Result:
        """Runs a cell, after those that were sent before, and waits for it.

        `id` is its idempotency key: a cell with an id that has run is not run again, and what became of it is returned again.
        Raises `CellError` if it raises, `SessionError` if it is not run, `SessionLost`.
        """
        return self._wait(self.submit(code, id))

    def submit(self, code: str, id: str | None = None) -> Future[Result]:
        """Sends a cell, to run after those that were sent before; as `execute`, without waiting."""
        return self._request("execute", id, code=code)

    def complete(self, code: str, cursor: int | None = None) -> tuple[list[str], int, int]:
        """The names that go on with the code before `cursor`, a number of characters (its end without one), and the start and the end of what
        each of them replaces. Waits for the cells that were sent before. Raises `SessionError`, `SessionLost`."""
        found = self._look("complete", code, cursor) or {"matches": [], "start": len(code), "end": len(code)}
        return found["matches"], found["start"], found["end"]

    def inspect(self, code: str, cursor: int | None = None, detail: int = 0) -> str | None:
        """Signature, type and documentation of what stands at `cursor`, with `detail` 1 the source of a function of a cell; none if that is
        not known. Waits for the cells that were sent before. Raises `SessionError`, `SessionLost`."""
        found = self._look("inspect", code, cursor, detail=detail)
        return found["text"] if found and found["found"] else None

    def _look(self, kind: str, code: str, cursor: int | None, **more: Any) -> dict[str, Any] | None:
        place = len(code) if cursor is None else cursor
        found: dict[str, Any] | None = self._wait(self._request(kind, code=code, cursor=place, **more)).value
        return found

    def interrupt(self) -> None:
        """Ends the cell that runs with a `KeyboardInterrupt`. Raises `SessionError` `idle` if none runs, `SessionLost`."""
        self._wait(self._request("interrupt"))

    def status(self) -> dict[str, Any]:
        """How the session stands: `state`, `busy`, `running`, `queued`, `cells`, `open`. Raises `SessionLost`."""
        standing: dict[str, Any] = self._wait(self._request("status")).value
        return standing

    def resume(self, history: bool = False) -> None:
        """Takes up a session that has halted, and has what is open delivered again; with `history` all that it has shown comes first.

        Raises `SessionError`, `SessionLost`.
        """
        self._wait(self._request("resume", history=history))

    def close(self, end: bool = False, timeout: float = 10.0) -> None:
        """Leaves the session as it is, to be taken up another time; with `end` it ends for good.

        Waits `timeout` seconds for the answer, and as long for the process before it is ended, in the end by force. Cells that were not
        answered raise `SessionLost`. Raises `SessionError` `busy` for `end` while a cell runs; the session then stays open.
        """
        try:
            self._wait(self._request("shutdown", end=end), timeout)
        # Two types up to Python 3.10.
        except (SessionLost, TimeoutError, concurrent.futures.TimeoutError):
            pass
        self._end(timeout)

    def __enter__(self: _Session) -> _Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def respond(self, kind: str, request_id: str, answer: answers.Answer) -> Future[Result]:
        """Answers a request by its id, with `kind` one of `input` and `capability` and `answer` as `{"value": ...}` or `{"error": ...}`.

        Callables do that by themselves. The result raises `SessionError` `not-pending` if nothing waits for it, `invalid-answer` if it does
        not fit.
        """
        return self._request(f"{kind}_response", request_id=request_id, **answer)

    # Requests.

    def _request(self, kind: str, id: str | None = None, **fields: Any) -> Future[Result]:
        request = {"type": kind, "id": id or uuid.uuid4().hex, **fields}
        line = json.dumps(request, allow_nan=False).encode() + b"\n"
        future: Future[Result] = Future()
        # Nobody cancels it: the host goes on all the same.
        future.set_running_or_notify_cancel()
        with self._lock:
            if self._lost is not None:
                future.set_exception(SessionLost(self._lost))
                return future
            self._pending.setdefault(request["id"], collections.deque()).append(future)
        with self._writing:
            if self._trace:
                self._guard(self._trace, "out", request)
            try:
                self._input.write(line)
                self._input.flush()
            except (OSError, ValueError):
                # The host is gone; the reader finds out, and tells all who wait.
                pass
        return future

    def _wait(self, future: Future[_Value], timeout: float | None = None) -> _Value:
        if threading.current_thread() is self._reader and not future.done():
            raise RuntimeError("what a session says is passed on while nothing else of it is read: do not wait for it there")
        return future.result(timeout)

    # Messages.

    def _read(self) -> None:
        for line in self._output:
            try:
                message = json.loads(line)
            except ValueError:
                continue
            if self._trace:
                self._guard(self._trace, "in", message)
            self._guard(self._take, message)
        self._lose(self._process.wait())

    def _lose(self, status: int) -> None:
        with self._lock:
            self._lost = status
            waiting = [future for futures in self._pending.values() for future in futures]
            self._pending.clear()
        for future in waiting:
            future.set_exception(SessionLost(status))
        if not self._ready.done():
            self._ready.set_exception(SessionLost(status))

    def _take(self, message: dict[str, Any]) -> None:
        take: Callable[[dict[str, Any]], None] | None = getattr(self, f"_take_{message['type']}", None)
        # Without one it is of a later version, or for a person.
        if take:
            take(message)

    def _take_ready(self, message: dict[str, Any]) -> None:
        if message["protocol"] != PROTOCOL:
            wrong = f"the host speaks version {message['protocol']} of the protocol, this client version {PROTOCOL}"
            self._ready.set_exception(SessionError("protocol", wrong))
        else:
            self._ready.set_result(message)

    def _take_output(self, message: dict[str, Any]) -> None:
        self._on_output(message["stream"], message["text"])

    def _take_display(self, message: dict[str, Any]) -> None:
        self._on_display(message["data"])

    def _take_denied(self, message: dict[str, Any]) -> None:
        self._on_denied(message["call"], message["subject"], message["message"])

    def _take_input_request(self, message: dict[str, Any], attempt: int = 1) -> None:
        ask = self._on_input
        if ask:
            question = (message["prompt"], message["kind"], message.get("schema"), message.get("data"))
            self._answer(message, "input", lambda: ask(*question), attempt)

    def _take_capability_request(self, message: dict[str, Any]) -> None:
        serve = self._capabilities.get(message["capability"])
        if serve:
            self._answer(message, "capability", lambda: serve(message["message"]))

    def _take_result(self, message: dict[str, Any]) -> None:
        future = self._waiting(message)
        if future:
            future.set_result(Result(message["value"], message.get("repr"), message.get("data", {}), message.get("cell")))

    def _take_error(self, message: dict[str, Any]) -> None:
        error = errors.of_message(message)
        future = self._waiting(message)
        if future:
            future.set_exception(error)
        elif "reply_to" not in message:
            self._on_error(error)

    def _waiting(self, message: dict[str, Any]) -> Future[Result] | None:
        """Who waits for this answer. None for a cell of an earlier connection, and for one that is told again."""
        reply_to = message.get("reply_to", "")
        with self._lock:
            futures = self._pending.get(reply_to)
            future = futures.popleft() if futures else None
            if not futures:
                self._pending.pop(reply_to, None)
        return future

    def _guard(self, callback: Callable[..., object], *arguments: Any) -> None:
        """What a callback raises is shown; the messages behind it are read all the same."""
        try:
            callback(*arguments)
        except Exception:
            tracebacks.print_exc()

    # Answers.

    def _answer(self, message: dict[str, Any], kind: str, work: Callable[[], Any], attempt: int = 1) -> None:
        id = message["id"]
        with self._lock:
            if id in self._asked:
                return
            self._asked.add(id)
        content = {name: value for name, value in message.items() if name != "reply_to"}
        key = (self._place, json.dumps(content, sort_keys=True), attempt)

        def give(answer: answers.Answer | None) -> None:
            if answer is None:
                forget()
            else:
                self.respond(kind, id, answer).add_done_callback(given)

        def forget() -> None:
            answers.forget(key)
            with self._lock:
                self._asked.discard(id)

        def given(response: Future[Result]) -> None:
            error = response.exception()
            if isinstance(error, SessionLost):
                # Kept for the host that takes the session up.
                return
            forget()
            if isinstance(error, SessionError) and error.name == "invalid-answer":
                if attempt < _ATTEMPTS:
                    self._take_input_request(message, attempt + 1)
                else:
                    self.respond(kind, id, {"error": {"code": "invalid", "message": error.message}})

        answers.once(key, work, give)

    # The end.

    def _end(self, timeout: float) -> None:
        try:
            with self._writing:
                self._input.close()
        except OSError:
            pass
        ends: list[Callable[[], None]] = [lambda: None, self._process.terminate, self._process.kill]
        for end in ends:
            end()
            try:
                self._process.wait(timeout)
                break
            except subprocess.TimeoutExpired:
                continue
        if threading.current_thread() is not self._reader:
            self._reader.join()
            self._output.close()


def _print(stream: str, text: str) -> None:
    print(text, end="", file=sys.stderr if stream == "stderr" else sys.stdout, flush=True)


def _print_plain(data: dict[str, str]) -> None:
    print(data.get("text/plain", f"<{', '.join(data)}>"), flush=True)
