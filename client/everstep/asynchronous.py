"""A session for asyncio: as `Session`, with what waits awaited."""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .errors import SessionError
from .session import Result, Session


class AsyncSession:
    """A Python session that a program with an event loop drives.

    Takes what `Session` takes, and starts with `async with AsyncSession(...) as session`, or `session = await AsyncSession(...)`.
    What is called for what a session says is called in the loop, in order, before the cell that it belongs to is done; what it raises goes
    to the loop's exception handler. `on_input` and each of `capabilities` may be a coroutine function, which then runs in the loop; others
    run on threads of their own.
    """

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
        def start(loop: asyncio.AbstractEventLoop) -> Session:
            return Session(
                id,
                store,
                policy,
                command,
                on_output=on_output and _later(on_output, loop),
                on_display=on_display and _later(on_display, loop),
                on_input=on_input and _answering(on_input, loop),
                on_denied=on_denied and _later(on_denied, loop),
                on_error=on_error and _later(on_error, loop),
                capabilities={name: _answering(serve, loop) for name, serve in (capabilities or {}).items()},
                trace=trace and _later(trace, loop),
            )

        self._start = start
        self._session: Session | None = None

    def __await__(self) -> Generator[Any, None, AsyncSession]:
        return self._open().__await__()

    async def __aenter__(self) -> AsyncSession:
        return await self._open()

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def id(self) -> str:
        """The id, which resumes the session another time."""
        return self._opened.id

    @property
    def resumed(self) -> bool:
        """Whether the session existed before."""
        return self._opened.resumed

    @property
    def version(self) -> str:
        """The version of the host."""
        return self._opened.version

    @property
    def pid(self) -> int:
        """The process of the host."""
        return self._opened.pid

    @property
    def lost(self) -> bool:
        """Whether the host has ended: nothing more is answered here."""
        return self._opened.lost

    async def execute(self, code: str, id: str | None = None) -> Result:
        """Runs a cell, after those that were sent before. To cancel what waits for it does not end the cell: `interrupt` does.

        Raises as `Session.execute`.
        """
        return await asyncio.wrap_future(self._opened.submit(code, id))

    async def complete(self, code: str, cursor: int | None = None) -> tuple[list[str], int, int]:
        """As `Session.complete`."""
        return await asyncio.to_thread(self._opened.complete, code, cursor)

    async def inspect(self, code: str, cursor: int | None = None, detail: int = 0) -> str | None:
        """As `Session.inspect`."""
        return await asyncio.to_thread(self._opened.inspect, code, cursor, detail)

    async def interrupt(self) -> None:
        """As `Session.interrupt`."""
        await asyncio.to_thread(self._opened.interrupt)

    async def status(self) -> dict[str, Any]:
        """As `Session.status`."""
        return await asyncio.to_thread(self._opened.status)

    async def resume(self, history: bool = False) -> None:
        """As `Session.resume`."""
        await asyncio.to_thread(self._opened.resume, history)

    async def close(self, end: bool = False, timeout: float = 10.0) -> None:
        """As `Session.close`."""
        await asyncio.to_thread(self._opened.close, end, timeout)

    @property
    def _opened(self) -> Session:
        if self._session is None:
            raise RuntimeError("the session is not open: await it, or use it with `async with`")
        return self._session

    async def _open(self) -> AsyncSession:
        if self._session is None:
            self._session = await asyncio.to_thread(self._start, asyncio.get_running_loop())
        return self


def _later(callback: Callable[..., object], loop: asyncio.AbstractEventLoop) -> Callable[..., object]:
    """Calls it in the loop, without waiting for it."""
    return lambda *arguments: loop.call_soon_threadsafe(callback, *arguments)


def _answering(answer: Callable[..., Any], loop: asyncio.AbstractEventLoop) -> Callable[..., Any]:
    """Waits for it, on the thread that asks, while it runs in the loop, if it is a coroutine function."""
    if not inspect.iscoroutinefunction(answer):
        return answer

    def wait(*arguments: Any) -> Any:
        future: concurrent.futures.Future[Any] = asyncio.run_coroutine_threadsafe(answer(*arguments), loop)
        return future.result()

    return wait
