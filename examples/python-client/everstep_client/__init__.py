"""Drives Python sessions of Everstep from another program: cells in, results out, over `everstep session`.

`session` is the connection and its requests, `answers` serves what the host asks. Standard library only.
"""

from .answers import Unanswered
from .session import CellError, Result, Session, SessionError, SessionLost

__version__ = "0.1.0"
__all__ = ["CellError", "Result", "Session", "SessionError", "SessionLost", "Unanswered"]
