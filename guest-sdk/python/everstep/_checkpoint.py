"""Points that the execution goes on from when what follows traps."""

from wit_world.imports import bridge, context

from . import _errors

# What the programs do not get at: who asks for cells, and where a trap leads back to, is decided here.
_checkpoint, _send_request = context.checkpoint, bridge.send_request
del context.checkpoint


def checkpoint(renew):
    """Marks such a point. When what follows has trapped, the cause; then everything is as it was here."""
    found = _errors.call_through(_checkpoint, renew)
    return getattr(found, "value", found)


def next_cell(message):
    """The promise of the next cell of a session."""
    return _errors.call_through(_ask, message)


def _ask(message):
    return _send_request("session", message, _NO_OPTIONS)


_NO_OPTIONS = bridge.RequestOptions(None)


def _send_what_is_not_ours(capability, message, options):
    if capability == "session":
        raise _errors.Denied("denied", "the capability session is what the cells come from; a program cannot ask for one")
    return _send_request(capability, message, options)


def install():
    bridge.send_request = _send_what_is_not_ours
