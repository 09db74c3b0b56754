"""What a program can do beyond Python itself: durable, and within the policy of its execution.

`await fetch(url)`, `await websocket(url)`, `await call(name, args)`, `await request(capability, message)`, `await ask(prompt)`,
`await promise(data)` wait without holding anything; `display(value)` shows a value in its richest form.
"""

import asyncio
import base64
import json as _json
import sys

from componentize_py_types import Err
from wit_world.imports import bridge as _bridge
from wit_world.imports import console as _console
from wit_world.imports import context as _context
from wit_world.imports import functions as _functions
from wit_world.imports import http as _http
from wit_world.imports import promises as _promises
from wit_world.imports import websocket as _websocket

from . import _bounds
from ._durations import timeout as _timeout_ms
from ._host import reach as _reach
from ._unicode import dumps as _dumps, name_of as _name_of, readable as _readable
from ._errors import Canceled, Denied, EverstepError, TimedOut, call as _call, call_through as _call_through, raised as _raised

__all__ = [
    "Canceled", "Denied", "EverstepError", "Response", "TimedOut", "WebSocket", "WebSocketClosed", "ask", "call", "display",
    "execution_id", "fetch", "promise", "request", "websocket",
]


def execution_id():
    """The id that the caller chose."""
    return _reach(_context.execution_id)


def _settled(read):
    """The value of a delivered promise."""

    def outcome(promise):
        found = _call_through(read, promise)
        value = getattr(found, "value", found)
        if isinstance(found, Err):
            raise _raised(value)
        return value

    return outcome


_response = _settled(_http.response)
_event = _settled(_websocket.message)
_text = _settled(_promises.outcome)


def _value(promise):
    return _json.loads(_text(promise))


def _answer(promise):
    """What a human has answered; where nobody is left who could, input has ended."""
    try:
        return _value(promise)
    except EverstepError as error:
        if error.code != "not-found":
            raise
    raise EOFError("EOF when reading a line")


def _awaitable(promise, outcome=_value):
    return asyncio.get_running_loop().promised(promise, outcome)


class Headers(dict):
    """The headers of a response, found in any case; several of one name are joined, and `get_all` has them apart."""

    def __init__(self, pairs):
        self._pairs = [(name.lower(), value) for name, value in pairs]
        super().__init__()
        for name, value in self._pairs:
            dict.__setitem__(self, name, f"{dict.__getitem__(self, name)}, {value}" if dict.__contains__(self, name) else value)

    def __getitem__(self, name):
        return super().__getitem__(name.lower())

    def __contains__(self, name):
        return isinstance(name, str) and super().__contains__(name.lower())

    def get(self, name, default=None):
        return super().get(name.lower(), default)

    def get_all(self, name):
        return [value for other, value in self._pairs if other == name.lower()]


class Response:
    """What a server answered."""

    def __init__(self, response):
        self.status, self.url, self.body = response.status, response.url, bytes(response.body)
        self.headers = Headers(response.headers)

    @property
    def ok(self):
        return 200 <= self.status < 300

    @property
    def text(self):
        charset = self.headers.get("content-type", "").partition("charset=")[2].split(";")[0].strip(' "') or "utf-8"
        try:
            return self.body.decode(charset, "replace")
        except LookupError:
            return self.body.decode("utf-8", "replace")

    def json(self):
        return _json.loads(self.body)

    def raise_for_status(self):
        if not self.ok:
            raise EverstepError("failed", f"{self.url} answered with status {self.status}")
        return self

    def __repr__(self):
        return f"<Response {self.status} {self.url}>"


def _pairs(headers):
    pairs = [tuple(pair) for pair in (headers.items() if hasattr(headers, "items") else headers or ())]
    for pair in pairs:
        if len(pair) != 2 or not all(isinstance(part, str) for part in pair):
            raise TypeError(f"a header is a name and a value, both texts, not {pair!r}")
    return pairs


async def fetch(url, *, method=None, headers=None, body=None, json=None, timeout=None):
    """Sends a request and returns the [`Response`], whatever its status.

    `body` is text or bytes, `json` anything that JSON can hold; with either the method is POST unless it is given.
    """
    pairs = _pairs(headers)
    if json is not None:
        if body is not None:
            raise TypeError("fetch takes a body or json, not both")
        body = _dumps(json)
        if not any(name.lower() == "content-type" for name, _ in pairs):
            pairs.append(("content-type", "application/json"))
    if isinstance(body, str):
        body = body.encode()
    elif body is not None:
        body = bytes(body)
    method = method or ("GET" if body is None else "POST")
    _check_text("a method", method)
    asked = _http.Request(method.upper(), str(url), pairs, body, _timeout_ms(timeout))
    return Response(await _awaitable(_call(_http.fetch, asked), _response))


class WebSocketClosed(EverstepError):
    """The connection has ended. `cause` is `peer`, `guest`, `idle`, `refused`, `failed` or `recovered`: the host was restarted."""

    def __init__(self, closed):
        self.cause, self.status, self.reason = closed.cause.name.lower(), closed.code, closed.reason
        super().__init__("failed", f"the connection is closed ({self.cause}) {self.reason}".rstrip())


class WebSocket:
    """An open connection; iterating over it gives messages until it is closed."""

    def __init__(self, connection):
        self._connection = connection

    async def send(self, message):
        data = _websocket.Data_Text(message) if isinstance(message, str) else _websocket.Data_Binary(bytes(message))
        _call(_websocket.send, self._connection, data)

    async def receive(self):
        """The next message, text or bytes; raises `WebSocketClosed`."""
        event = await _awaitable(_call(_websocket.receive, self._connection), _event)
        if isinstance(event, _websocket.Event_Closed):
            raise WebSocketClosed(event.value)
        return bytes(event.value) if isinstance(event, _websocket.Event_Binary) else event.value

    def close(self, code=1000, reason=""):
        _call(_websocket.close, self._connection, code, reason)

    def __aiter__(self):
        return self

    async def __anext__(self):
        try:
            return await self.receive()
        except WebSocketClosed:
            raise StopAsyncIteration from None

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        try:
            self.close()
        except EverstepError:
            pass


async def websocket(url, *, protocols=(), headers=None):
    """Opens a connection."""
    pairs = _pairs(headers)
    connection = _call(_websocket.connect, str(url), _websocket.ConnectOptions([str(protocol) for protocol in protocols], pairs))
    await _awaitable(connection, _text)
    return WebSocket(connection)


def _check_text(what, value):
    if not isinstance(value, str):
        raise TypeError(f"{what} is a text, not {value!r}")


async def call(name, args=None, *, timeout=None, fail_on_halt=False):
    """Calls a durable function of this component as a child execution and returns its result.

    A child that halts, by a trap or a limit, is waited for until somebody has resumed or canceled it; with `fail_on_halt` it fails then.
    """
    _check_text("the name of a function", name)
    options = _functions.CallOptions(_timeout_ms(timeout), None)
    promise = _call(_functions.call, name, _dumps(args), options)
    if fail_on_halt:
        _call(_functions.fail_on_halt, promise)
    return await _awaitable(promise)


async def request(capability, message=None, *, timeout=None):
    """Sends a request to a capability of the policy and returns the response."""
    options = _bridge.RequestOptions(_timeout_ms(timeout))
    _check_text("the name of a capability", capability)
    return await _awaitable(_call(_bridge.send_request, capability, _dumps(message), options))


async def promise(data=None, *, timeout=None, schema=None):
    """Waits for a promise that somebody outside settles; `data` is shown to them."""
    options = _promises.Options(_dumps(data), _timeout_ms(timeout), None if schema is None else _dumps(schema))
    return await _awaitable(_call(_promises.create, options))


async def ask(prompt="", *, timeout=None, schema=None):
    """Asks a human while other tasks go on; `input` is the same for code that does nothing else."""
    options = _console.InputOptions(_timeout_ms(timeout), None if schema is None else _dumps(schema))
    return await _awaitable(_call(_console.input, str(prompt), options), _answer)


_FORMS = (
    ("text/html", "_repr_html_"), ("text/markdown", "_repr_markdown_"), ("image/svg+xml", "_repr_svg_"),
    ("image/png", "_repr_png_"), ("image/jpeg", "_repr_jpeg_"), ("text/latex", "_repr_latex_"),
    ("application/json", "_repr_json_"),
)
# Kinds that have no other form than their text.
PLAIN = frozenset((bool, int, float, complex, str, bytes, list, tuple, dict, set, frozenset, range))


def mime_bundle(value):
    """The representations of a value as text, richest first, after the notebook MIME protocol. One that raises is told of, and left out."""
    kind, bundle = type(value), {}
    if kind in PLAIN:
        return {"text/plain": _bounds.representation(value)}

    def made(name, make):
        try:
            return make()
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            cause = _readable(f"{_name_of(type(error))}: {_bounds.message(error)}")
            print(f"{name} of {_name_of(kind)} has failed: {cause}", file=sys.stderr)
            return None

    def several():
        found = kind._repr_mimebundle_(value, include=None, exclude=None)
        return dict((found[0] if isinstance(found, tuple) else found) or {})

    def one(name):
        data = getattr(kind, name)(value)
        data = data[0] if isinstance(data, tuple) else data
        return None if data is None else _data(data)

    if hasattr(kind, "_repr_mimebundle_"):
        for mime, data in (made("_repr_mimebundle_", several) or {}).items():
            bundle[_readable(str(mime))] = made("_repr_mimebundle_", lambda: _data(data))
    for mime, name in _FORMS:
        if hasattr(kind, name) and bundle.get(mime) is None:
            bundle[mime] = made(name, lambda: one(name))
    bundle = {mime: data for mime, data in bundle.items() if data is not None}
    if "text/plain" not in bundle:
        bundle["text/plain"] = _bounds.representation(value)
    return bundle


def _data(data):
    if isinstance(data, bytes):
        return base64.b64encode(data).decode()
    return _readable(str.__str__(data)) if isinstance(data, str) else _dumps(data)


def display(*values):
    """Shows values in their richest form; text is the fallback."""
    from ._loop import flush

    flush()
    for value in values:
        parts = _bounds.bundle(mime_bundle(value), _bounds.limits().bytes_per_call)
        _call(_console.display, [_console.MimePart(mime, data) for mime, data in parts.items()])
