"""Threads: there is one in a component, so that those of a program take turns. Each runs, in the order in which they were started, when
another one waits: for a lock, an event, a queue, a thread, a time, or in the event loop; and at the end of the program. It runs inside of
the one that waits, until it ends.

A wait that nothing can end raises `RuntimeError`; in a thread that runs inside of one that can go on, it ends the thread, as `sys.exit` does.
A thread that waits inside of an event loop lets the loop go on, and a queue with a bound takes more where a thread would have to wait for room.
"""

import _thread
import _threading_local
import collections
import concurrent.futures.thread as pools
import contextlib
import functools
import heapq
import itertools
import queue
import threading
import time

from . import _durations
from ._builtin import put

_DEADLOCK = "the program waits for something that nothing can make happen: threads take turns here, each when another one waits"
_GIVEN_UP = (
    "; {} was ended as it waited for a thread inside of which it ran: two threads cannot hand things back and forth here, "
    "which tasks of asyncio can"
)
# Items that a queue with a bound takes beyond it.
_BEYOND = 1 << 16

# How many seconds a daemon may keep those waiting inside of which it runs.
_PATIENCE = 60
_ENDLESS = "a daemon that does not end has kept the program waiting for a minute: threads take turns here, each until it ends"

_monotonic, _native = time.monotonic, _thread.allocate_lock
# Threads that have started and not yet run; and those that run at a time, with it and a number.
_pending, _timed = collections.deque(), []
_numbers = itertools.count(1)
_main = _thread.get_ident()
# Those that run, the innermost last, and what each waits for inside of which another one runs.
_running, _waits = [], []
# The name of the thread that was ended last because it could not go on.
_given_up = None


class _Job:
    """A thread with its function."""

    def __init__(self, function, handle, is_daemon=True, thread=None):
        self.function, self.handle, self.is_daemon, self.thread = function, handle, is_daemon, thread
        handle.ident = _main + next(_numbers)
        self.is_of_pool = False

    def is_canceled(self):
        return isinstance(self.thread, threading.Timer) and self.thread.finished.is_set()

    def run(self):
        _running.append(self)
        try:
            with _outside():
                self.function()
        except SystemExit:
            pass
        finally:
            _running.pop()
            self.handle._set_done()


class Wait:
    """What a thread waits for: whether it is there, and the time until which it waits."""

    def __init__(self, is_there, deadline=None):
        self.is_there, self.deadline = is_there, deadline


class _Handle:
    """The thread of a `threading.Thread`."""

    def __init__(self):
        self.ident, self._is_done = 0, False

    def is_done(self):
        return self._is_done

    def _set_done(self):
        self._is_done = True

    def join(self, timeout=None):
        wait(Wait(self.is_done, _deadline(timeout)))


class Lock:
    """`threading.Lock`. Where it is held the others take their turns."""

    __slots__ = "_lock", "__weakref__"

    def __init__(self):
        self._lock = _native()

    def acquire(self, blocking=True, timeout=-1):
        if timeout != -1 and not blocking:
            raise ValueError("can't specify a timeout for a non-blocking call")
        if timeout != -1 and timeout < 0:
            raise ValueError("timeout value must be a non-negative number")
        if timeout > threading.TIMEOUT_MAX:
            raise OverflowError("timeout value is too large")
        if self._lock.acquire(False):
            return True
        if not blocking:
            return False
        wait(Wait(lambda: not self._lock.locked(), None if timeout == -1 else _deadline(timeout)))
        return self._lock.acquire(False)

    acquire_lock = __enter__ = acquire

    def release(self):
        self._lock.release()

    release_lock = release

    def __exit__(self, *of):
        self._lock.release()

    def locked(self):
        return self._lock.locked()

    locked_lock = locked

    def _at_fork_reinit(self):
        self._lock = _native()

    def __repr__(self):
        return f"<{'locked' if self.locked() else 'unlocked'} _thread.lock object at {id(self):#x}>"


def _deadline(timeout):
    return None if timeout is None else _monotonic() + timeout


def wait(what):
    """Lets the others take their turns until this one can go on, or its deadline has passed."""
    while not what.is_there():
        if run_next(what):
            continue
        times = [time for time in (what.deadline, next_time()) if time is not None]
        if not (_running and _turn_loop(what)):
            if not times:
                _end()
            _end_endless()
            left = min(times) - _monotonic()
            if left > 0:
                _sleep(left)
        if what.deadline is not None and what.deadline <= _monotonic():
            return


def _end():
    """Ends a wait that nothing can end."""
    global _given_up
    if _running and not _running[-1].is_of_pool and any(one.deadline is not None or one.is_there() for one in _waits):
        _given_up = getattr(_running[-1].thread, "name", "a thread")
        raise SystemExit
    raise RuntimeError(_DEADLOCK + (_GIVEN_UP.format(_given_up) if _given_up else ""))


def _end_endless():
    if _running and _running[-1].is_daemon:
        now = _monotonic()
        if any(one.deadline is not None and one.deadline + _PATIENCE < now for one in _waits):
            raise RuntimeError(_ENDLESS)


@contextlib.contextmanager
def _waiting(what):
    _waits.append(what)
    try:
        yield
    finally:
        _waits.pop()


def sleep(seconds):
    """`time.sleep`, in which the threads that the program has started take their turns."""
    _durations.slept(seconds)
    if _running or not (_pending or _timed):
        _end_endless()
        _sleep(seconds)
    else:
        wait(Wait(lambda: False, _deadline(seconds)))


def are_waiting():
    """Whether there are threads that wait for their turn, or for a time."""
    return bool(_pending or _timed)


def run_next(what):
    """Runs a thread whose turn it is inside of one that waits; false if there is none."""
    while _timed and (_timed[0][-1].is_canceled() or _timed[0][0] <= _monotonic()):
        _pending.append(heapq.heappop(_timed)[-1])
    if not _pending:
        return False
    with _waiting(what):
        _pending.popleft().run()
    return True


def next_time():
    """When the next thread runs that has a time; none if none has."""
    return _timed[0][0] if _timed else None


def end():
    """Runs what Python waits for when a program has ended: all but its daemons."""
    while True:
        for jobs in (_pending, _timed):
            lasting = [one for one in jobs if not (one if jobs is _pending else one[-1]).is_daemon]
            jobs.clear()
            jobs.extend(lasting)
        heapq.heapify(_timed)
        if not run_next(Wait(lambda: False)):
            if not _timed:
                return
            _sleep(max(0, next_time() - _monotonic()))


def drop():
    """Gives up every thread that has not run."""
    _pending.clear()
    _timed.clear()


def _start_new(function, args, kwargs={}, /):
    def run():
        try:
            function(*args, **kwargs)
        except SystemExit:
            raise
        except BaseException as error:
            threading.excepthook(threading.ExceptHookArgs((type(error), error, error.__traceback__, None)))

    job = _Job(run, _Handle())
    _pending.append(job)
    return job.handle.ident


def _start_joinable(function, handle=None, daemon=True):
    thread = getattr(function, "__self__", None)
    job = _Job(function, handle or _Handle(), daemon, thread)
    if isinstance(thread, threading.Timer):
        # It waits before its turn, so that nothing has to wait for that.
        heapq.heappush(_timed, (_monotonic() + thread.interval, next(_numbers), job))
        thread.interval = 0
    else:
        job.is_of_pool = isinstance(thread, _Worker)
        _pending.append(job)
    if isinstance(thread, threading.Thread):
        thread._ident = thread._native_id = job.handle.ident
        # What starts it does not wait for its turn.
        thread._started.set()
    return job.handle


class _Worker(threading.Thread):
    """The turn of a call of a pool."""


def _work(pool):
    """The turn of a call of a pool."""
    if pool._context is None:
        pool._context = pool._create_worker_context()
        try:
            pool._context.initialize()
        except BaseException:
            pools._base.LOGGER.critical("Exception in initializer:", exc_info=True)
            pool._initializer_failed()
            return
    try:
        item = pool._work_queue.get_nowait()
    except queue.Empty:
        return
    if item is not None:
        item.run(pool._context)


def _begin_work(pool):
    name = f"{pool._thread_name_prefix or pool}_0"
    thread = _Worker(name=name, target=_work, args=(pool,))
    thread.start()
    pool._threads.add(thread)


_put = queue.Queue.put


def _put_beyond(self, item, block=True, timeout=None):
    """`queue.Queue.put`. Who waits for room would keep the thread that makes it from its turn, or from going on."""
    if block and timeout is None and (_running or _pending):
        with self.not_full:
            if 0 < self.maxsize <= self._qsize() < self.maxsize + _BEYOND and not self.is_shutdown:
                self._put(item)
                self.unfinished_tasks += 1
                self.not_empty.notify()
                return
    _put(self, item, block, timeout)


def _ident():
    return _running[-1].handle.ident if _running else _main


def install(sleeps, outside, turn_loop):
    """`sleeps` waits, `outside` is where a thread runs that the event loop lets run, and `turn_loop(wait)` lets that loop go on, if it can."""
    global _sleep, _outside, _turn_loop
    _sleep, _outside, _turn_loop = sleeps, outside, turn_loop
    put(time, "sleep", sleep)
    queue.Queue.put = functools.wraps(_put)(_put_beyond)


def prepare():
    """To be called before anything takes a lock of `threading`."""
    for module, names in ((_thread, ("lock", "LockType", "allocate_lock", "allocate")), (threading, ("Lock", "_allocate_lock", "_LockType"))):
        for name in names:
            setattr(module, name, Lock)
    for module in (_thread, threading):
        put(module, "get_ident", _ident)
        put(module, "get_native_id", _ident)
    put(_thread, "start_new_thread", _start_new)
    put(_thread, "start_new", _start_new)
    threading._start_joinable_thread = _thread.start_joinable_thread = _start_joinable
    threading._ThreadHandle = _thread._ThreadHandle = _Handle
    threading.local = _thread._local = _threading_local.local
    queue.SimpleQueue = queue._PySimpleQueue
    pools.ThreadPoolExecutor._adjust_thread_count = _begin_work
    pools.ThreadPoolExecutor._context = None
