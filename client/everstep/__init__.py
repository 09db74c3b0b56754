"""Drives Python sessions of Everstep from another program: cells in, results out, over `everstep session`.

`session` is the connection and its requests, `asynchronous` the same for asyncio, `answers` serves what the host asks, `errors` is what may be
raised, and `program` finds the command. Standard library only.
"""

from .answers import Unanswered
from .asynchronous import AsyncSession
from .errors import (
    Busy,
    CellDenied,
    CellError,
    CellInterrupted,
    CellLimitExceeded,
    CellTimedOut,
    Error,
    Halted,
    Idle,
    InvalidRequest,
    ProgramNotFound,
    SessionEnded,
    SessionError,
    SessionLost,
    Suspended,
)
from .session import Result, Session

__version__ = "0.1.0"
__all__ = [
    "AsyncSession",
    "Busy",
    "CellDenied",
    "CellError",
    "CellInterrupted",
    "CellLimitExceeded",
    "CellTimedOut",
    "Error",
    "Halted",
    "Idle",
    "InvalidRequest",
    "ProgramNotFound",
    "Result",
    "Session",
    "SessionEnded",
    "SessionError",
    "SessionLost",
    "Suspended",
    "Unanswered",
]
