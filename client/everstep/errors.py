"""What a session raises. `name` of the protocol decides the type, so that a program can catch what it can handle."""

from __future__ import annotations

import signal
from typing import Any


class Error(Exception):
    """Whatever this package raises by itself."""


class ProgramNotFound(Error, FileNotFoundError):
    """There is no `everstep` command: none was installed with this package, and none is on the PATH."""


class SessionLost(Error):
    """The host has ended before it answered. `status` is its exit status, negative for the signal that killed it.

    What is recorded stays: a new `Session` with the same id resumes the session, and a cell that is sent again under its id does not run
    again.
    """

    def __init__(self, status: int) -> None:
        reason = f"was killed by {_signal(-status)}" if status < 0 else f"ended with status {status}"
        super().__init__(f"the host {reason}")
        self.status = status


class SessionError(Error):
    """A request was not carried out. `name` is a word for programs, such as `idle`, `busy`, `ended`, `halted` or `failed`."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name}: {message}")
        self.name, self.message = name, message


class Idle(SessionError):
    """There is nothing to interrupt: no cell runs."""


class Busy(SessionError):
    """A cell runs, and the session cannot be ended before it has."""


class InvalidRequest(SessionError):
    """The request, or the answer that was given, is none; or nothing waits for the answer."""


class Halted(SessionError):
    """The session has halted, for example because it used up a limit: `resume` goes on."""


class Suspended(SessionError):
    """The session waits, and its host has let go of it: `resume` goes on."""


class SessionEnded(SessionError):
    """The session is over, and no further cell runs in it."""


class CellError(SessionError):
    """A cell has raised. `name` is the type of its exception, `traceback` what Python prints, `cell` the number of the cell."""

    def __init__(self, name: str, message: str, traceback: str, cell: int | None) -> None:
        super().__init__(name, message)
        self.traceback, self.cell = traceback, cell


class CellDenied(CellError):
    """A cell has raised `PermissionError`, or `Denied`, which is one: the message names what would allow the call."""


class CellTimedOut(CellError):
    """A cell has raised `TimeoutError`, or `TimedOut`, which is one."""


class CellLimitExceeded(CellError):
    """A cell has reached a limit that is counted for each cell, and was ended: the message names it. The session is as it was before the cell."""


class CellInterrupted(CellError):
    """A cell has raised `KeyboardInterrupt`: it was interrupted."""


_OF_SESSIONS: dict[str, type[SessionError]] = {
    "idle": Idle,
    "busy": Busy,
    "invalid-request": InvalidRequest,
    "invalid-answer": InvalidRequest,
    "not-pending": InvalidRequest,
    "halted": Halted,
    "broken": Halted,
    "suspended": Suspended,
    "ended": SessionEnded,
    "completed": SessionEnded,
    "failed": SessionError,
    "canceled": SessionEnded,
}
_OF_CELLS: dict[str, type[CellError]] = {
    "PermissionError": CellDenied,
    "Denied": CellDenied,
    "TimeoutError": CellTimedOut,
    "TimedOut": CellTimedOut,
    "LimitExceeded": CellLimitExceeded,
    "KeyboardInterrupt": CellInterrupted,
}


def of_message(message: dict[str, Any]) -> SessionError:
    """The exception for a message of type `error`."""
    name, text = message["name"], message["message"]
    if "cell" in message:
        return _OF_CELLS.get(name, CellError)(name, text, message.get("traceback", ""), message["cell"])
    return _OF_SESSIONS.get(name, SessionError)(name, text)


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
