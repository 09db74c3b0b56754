"""An event loop for a guest: waiting is a return to the host, and timers are durable promises.

`asyncio` itself does the rest: tasks, futures, queues, timeouts and cancellation are its own.
"""

import asyncio
import collections
import contextlib
import functools
import heapq
import sys
import threading

# Not the one that notices interruptions: nobody could take one here.
from time import monotonic

from wit_world.imports import promises, timers

from . import _durations, _errors, _interrupt, _network, _threads, _time
from ._output import flush


class _NoSelector:
    """There is nothing to select on: what settles comes with `deliver`."""

    def select(self, timeout=None):
        return ()


class Stuck(Exception):
    """Nothing that a program waits for can happen."""


_RUN_ONCE = asyncio.BaseEventLoop._run_once.__code__


class _Ready(collections.deque):
    """What can run. Nothing stops a task that computes without an end and calls nothing, so it is looked for an interruption before each
    turn: the first one is for the program, another one for the task whose turn it is."""

    def __init__(self, loop):
        super().__init__()
        self._loop = loop

    def popleft(self):
        if not self:
            # A thread that waited inside of this turn has had all of it run.
            return _NOTHING
        handle = super().popleft()
        while _interrupt.noticed():
            task = getattr(handle._callback, "__self__", None)
            if not _interrupt.interrupt() and isinstance(task, asyncio.Task) and task is not self._loop.main:
                task.cancel()
        return handle


class _Nothing:
    """A handle that is not run."""

    _cancelled = True


_NOTHING = _Nothing()


class Loop(asyncio.BaseEventLoop):
    """One loop of an execution. The outermost one returns to the host when it is idle; one that a program runs itself, with
    `asyncio.run`, blocks in the host."""

    def __init__(self, is_outermost=False):
        super().__init__()
        self._is_outermost, self._dropped = is_outermost, []
        self._selector = _NoSelector()
        self._ready = _Ready(self)
        self.main = None
        self._waiting = {}
        self._timer = None
        self._now = 0.0

    # What the base class asks of a subclass.

    def _process_events(self, events):
        pass

    def _write_to_self(self):
        pass

    def time(self):
        """Seconds that never go back. The loop itself goes by the time of its turn, so that turning costs no step.

        No two others get the same time: the recorded clock counts milliseconds, and of two equal sleeps the first ends first.
        """
        if sys._getframe(1).f_code is not _RUN_ONCE:
            self._look_at_clock()
            self._now += 1e-6
        return self._now

    def _look_at_clock(self):
        self._now = max(self._now, monotonic())

    def _check_running(self):
        if self.is_running():
            raise RuntimeError("This event loop is already running")

    def stop(self):
        if self._is_outermost:
            raise RuntimeError("this loop runs the program itself and ends with it")
        super().stop()

    def close(self):
        if self._is_outermost:
            raise RuntimeError("Cannot close a running event loop")
        super().close()

    def mend(self):
        """Undoes what a program has done to its parts, if it has."""
        if not _OF_LOOP.isdisjoint(vars(self)):
            for name in [name for name in vars(self) if name in _OF_LOOP]:
                delattr(self, name)
        if type(self._ready) is not _Ready:
            self._ready = _Ready(self)
        if type(self._scheduled) is not list:
            self._scheduled = []
        if type(self._waiting) is not dict:
            self._waiting = {}

    def drop(self):
        """Gives up everything that it would run, without running anything of it."""
        _threads.drop()
        for task in asyncio.all_tasks(self):
            asyncio._unregister_task(task)
            # What is collected runs its `finally` clauses.
            self._dropped.append(task)
        self._dropped += [*self._ready, *self._scheduled, *self._waiting.values()]
        self._ready.clear()
        self._scheduled.clear()
        self._waiting.clear()
        self._timer_cancelled_count = 0

    def run_forever(self):
        with outside():
            self._run()

    def _run(self):
        self._run_forever_setup()
        try:
            self._look_at_clock()
            while True:
                self.turn()
                if self._stopping:
                    break
                flush()
                self.deliver(_errors.wait_any(self.waits_for()))
        finally:
            self._run_forever_cleanup()

    # The network, for requests alone.

    create_connection = _network.connect
    start_tls = _network.start_tls
    sock_connect = _network.reach
    getaddrinfo = _network.look_up

    # The turns.

    def __enter__(self):
        """Is the running loop for a while."""
        self._look_at_clock()
        self._hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(self._asyncgen_firstiter_hook, self._asyncgen_finalizer_hook)
        asyncio._set_running_loop(self)
        # `is_running` goes by it, and a task that starts eagerly by `is_running`.
        self._thread_id = threading.get_ident()

    def __exit__(self, *of):
        self._thread_id = None
        asyncio._set_running_loop(None)
        sys.set_asyncgen_hooks(*self._hooks)

    def turn(self, until=None):
        """Runs all that can run now, or until what it is run for is done."""
        while (self._is_outermost or not self._stopping) and not (until is not None and until()) and self.can_run():
            self._run_once()

    def turn_for(self, wait):
        """Goes on for a thread that waits inside of one of its turns; false where it can do nothing."""
        if self._stopping and not self._is_outermost:
            return False
        deadline = wait.deadline and self.call_at(wait.deadline, int)
        asyncio._set_running_loop(self)
        try:
            if self.can_run():
                self.turn(wait.is_there)
            elif not wait.is_there():
                flush()
                self.deliver(_errors.wait_any(self.waits_for()))
            return True
        except Stuck:
            return False
        finally:
            asyncio._set_running_loop(None)
            if deadline:
                deadline.cancel()

    def can_run(self):
        """Whether something can, after the threads that wait for their turn."""
        while not (self._ready or self._is_due()):
            if not _threads.are_waiting():
                return False
            times = [one.when() for one in self._scheduled[:1]] + [self._now] * bool(self._waiting)
            if not _threads.run_next(_threads.Wait(lambda: bool(self._ready), min(times, default=None))):
                return False
            self._look_at_clock()
        return True

    def _is_due(self):
        self._drop_canceled()
        # So that a time that is not a number is due, as it is in asyncio.
        return bool(self._scheduled) and not self._scheduled[0].when() > self._now

    def _drop_canceled(self):
        while self._scheduled and self._scheduled[0].cancelled():
            handle = heapq.heappop(self._scheduled)
            handle._scheduled = False
            self._timer_cancelled_count -= 1

    def waits_for(self, others=()):
        """The promises that can make something ready: those that are awaited, here or by others, and a timer for the nearest deadline."""
        self._drop_canceled()
        times = [when for when in (self._scheduled and self._scheduled[0].when(), _threads.next_time()) if when]
        if self._scheduled or times:
            self._look_at_clock()
            self._start_timer(min(times, default=0))
        awaited = [*self._waiting, *others]
        if self._timer is not None:
            awaited.append(self._timer[0])
        if not awaited:
            raise Stuck("the program waits for something that nothing can make happen")
        return awaited

    def _start_timer(self, deadline):
        if self._timer is not None:
            promise, due = self._timer
            if due <= deadline:
                return
            self._timer = None
            _errors.call_through(promises.cancel, promise)
        # One more, since the host counts whole milliseconds from one that has begun.
        ms = _durations.milliseconds(deadline - self._now + 0.001)
        self._timer = (_errors.call_through(timers.sleep, ms), deadline)

    def deliver(self, settled):
        """What the host has settled, in its order."""
        for promise in settled:
            if self._timer is not None and promise == self._timer[0]:
                self._now = max(self._now, self._timer[1])
                self._timer = None
                continue
            future, outcome = self._waiting.pop(promise, (None, None))
            if future is None or future.done():
                continue
            try:
                future.set_result(outcome(promise))
            except Exception as error:
                future.set_exception(error)

    def promised(self, promise, outcome):
        """A future for a promise of the host; `outcome(promise)` is its value, or raises."""
        future = self.create_future()
        self._waiting[promise] = (future, outcome)

        def give_up(future):
            if future.cancelled() and self._waiting.pop(promise, None) is not None:
                _errors.call_through(promises.cancel, promise)

        future.add_done_callback(give_up)
        return future


# What a loop has of its class, and not of its own.
_OF_LOOP = frozenset(dir(Loop))


async def end():
    """What Python does when a program has ended: threads run to their ends, the tasks that are left are canceled, the generators closed."""
    _threads.end()
    loop = asyncio.get_running_loop()
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    for task in left:
        if not task.cancelled() and task.exception() is not None:
            loop.call_exception_handler({"message": "a task that was left failed", "exception": task.exception(), "task": task})
    await loop.shutdown_asyncgens()


class Policy(asyncio.events._BaseDefaultEventLoopPolicy):
    """Gives every `asyncio.run` a loop of ours."""

    _loop_factory = Loop


# The loops that `outside` is out of, the innermost last.
_left = []


def _turn_left(wait):
    """Lets the loop go on inside of which a thread runs that waits."""
    return bool(_left) and isinstance(_left[-1], Loop) and _left[-1].turn_for(wait)


@contextlib.contextmanager
def outside():
    """Out of the running loop for a while: a program runs inside of ours and may still run one of its own."""
    loop = asyncio._get_running_loop()
    # A thread that runs inside of another one is in the same place.
    _left.append(loop or (_left[-1] if _left else None))
    task = loop and asyncio.current_task(loop)
    if task is not None:
        asyncio._leave_task(loop, task)
    asyncio._set_running_loop(None)
    try:
        yield
    finally:
        _left.pop()
        asyncio._set_running_loop(loop)
        if task is not None:
            asyncio._enter_task(loop, task)


def _from_outside(function):
    @functools.wraps(function)
    def run(*args, **options):
        with outside():
            return function(*args, **options)

    return run


_run_once = asyncio.BaseEventLoop._run_once


def _turn(loop):
    """The turn of a loop that is none of ours, and does not know that threads take turns."""
    if not isinstance(loop, Loop) and not loop._ready:
        _threads.run_next(_threads.Wait(lambda: bool(loop._ready)))
    _run_once(loop)


def install():
    asyncio.BaseEventLoop._run_once = _turn
    _threads.install(_time.sleep, outside, _turn_left)
    asyncio.events._set_event_loop_policy(Policy())
    # Those of Python need sockets.
    asyncio.unix_events._DefaultEventLoopPolicy = Policy
    asyncio.EventLoop = asyncio.SelectorEventLoop = Loop
    asyncio.run = asyncio.runners.run = _from_outside(asyncio.run)
    asyncio.Runner.run = _from_outside(asyncio.Runner.run)
