"""The errors of the host as the exceptions that Python users expect."""

from componentize_py_types import Err
from wit_world.imports import promises
from wit_world.imports.types import ErrorCode

from . import _host, _interrupt


class EverstepError(Exception):
    """A call that the host refused or that failed. `code` is one of `invalid`, `not-found`, `limit-exceeded`, `in-doubt`, `failed`."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class Denied(EverstepError, PermissionError):
    """The policy does not grant the call."""


class TimedOut(EverstepError, TimeoutError):
    """The deadline passed first."""


class Canceled(EverstepError):
    """Somebody canceled it."""


_CLASSES = {ErrorCode.DENIED: Denied, ErrorCode.TIMED_OUT: TimedOut, ErrorCode.CANCELED: Canceled}


def name_of(code):
    return code.name.lower().replace("_", "-")


def raised(error):
    """The exception for an error of the host."""
    return marked(error, _CLASSES.get(error.code, EverstepError)(name_of(error.code), error.message))


def marked(error, exception):
    """A denial of the policy is told from what a program raises itself."""
    if error.code == ErrorCode.DENIED:
        exception._denied_by_policy = True
    return exception


def causes(error):
    """The exceptions that ended a program: itself, those of its group, what it was raised from, and what it was made of, as `URLError` is."""
    left, seen = [error], set()
    while left:
        one = left.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        try:
            if isinstance(one, BaseExceptionGroup):
                left.extend(one.exceptions)
            left.extend(part for part in one.args if isinstance(part, BaseException))
            if one.__cause__ is not None:
                left.append(one.__cause__)
        except Exception:
            # A class of the program may do anything when it is looked at.
            pass


def is_denial(error):
    """Whether a denial of the policy is what an exception says."""
    try:
        return vars(error).get("_denied_by_policy") is True
    except Exception:
        return False


def call(function, *args):
    """Calls an import; its error becomes an exception, and so does an interruption."""
    result = call_through(function, *args)
    _interrupt.check()
    return result


def call_through(function, *args):
    """The same where nobody could take an interruption."""
    return _called(raised, function, *args)


def _called(exception, function, *args):
    """What an import returns; its error becomes the `exception` for it."""
    try:
        return _host.reach(function, *args)
    except Err as error:
        # The frame that raised it holds it: with its traceback it would keep the variables of all callers until a collection.
        error.with_traceback(None)
        raise exception(error.value) from None


def wait_any(awaited):
    """Blocks until one of some promises is delivered; returns those that are."""
    settled = call_through(promises.wait_any, awaited)
    if not settled:
        raise KeyboardInterrupt
    return settled


def wait_for(promise):
    """Blocks until a promise is delivered; one that nobody waits for any more, because of an interruption, is given up."""
    try:
        wait_any([promise])
    except KeyboardInterrupt:
        call_through(promises.cancel, promise)
        raise

