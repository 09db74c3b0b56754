"""Answers to what a host asks, each worked out once in the life of this process.

A request that is open when its host dies is delivered again, under the same id, by the host that takes the session up. What serves it has
run already, or still runs: its answer is given again, and no effect of it is repeated.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any, Dict

# `{"value": ...}` or `{"error": {"code": ..., "message": ...}}`, as a response holds it.
Answer = Dict[str, Any]

_answers: dict[Hashable, Future[Answer | None]] = {}
_lock = threading.Lock()


class Unanswered(Exception):
    """Raised by a callable that has no answer: the request stays open, for somebody else or for when it is delivered again."""


def once(key: Hashable, work: Callable[[], Any], give: Callable[[Answer | None], None]) -> None:
    """Calls `give` with the answer that `work` returns, or with the error that it raises; with none for `Unanswered`.

    `work` runs in a thread of its own, unless it was started before under the same key; then only its answer is given again.
    """
    with _lock:
        known = _answers.get(key)
        answer = known or _answers.setdefault(key, Future())
    answer.add_done_callback(lambda done: give(done.result()))
    if known is None:
        threading.Thread(target=lambda: answer.set_result(_answer(work)), name="everstep-answer", daemon=True).start()


def forget(key: Hashable) -> None:
    """The host has the answer, on disk, and asks no more; or there was none."""
    with _lock:
        _answers.pop(key, None)


def _answer(work: Callable[[], Any]) -> Answer | None:
    try:
        value = work()
        json.dumps(value, allow_nan=False)
    except Unanswered:
        return None
    except BaseException as error:
        # Whatever it is, the cell that waits has to learn of it.
        return {"error": {"code": "failed", "message": f"{type(error).__name__}: {error}"}}
    return {"value": value}
