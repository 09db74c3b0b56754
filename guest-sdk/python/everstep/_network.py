"""The network of the standard library, and of the clients on top of it: sockets that carry HTTP, as the policy grants requests.

A connection is made when something is sent. What a client writes is read as requests of HTTP/1.1, each of which is a fetch of the host, and
it reads the responses of these. Whatever is no HTTP is refused. The host speaks TLS (`_tls`), decodes what is compressed, and checks names and
certificates; redirects, cookies and retries are the client's.
"""

import asyncio
import collections
import errno
import http
import io
import select
import socket
import string

from wit_world.imports import http as _http

from . import _durations, _errors

# What belongs to a connection, and what the host sets: a client's own would say something else.
_OURS = {"host", "content-length", "transfer-encoding", "connection", "keep-alive", "te", "trailer", "upgrade", "expect", "accept-encoding", "proxy-connection"}
_THEIRS = {"content-length", "content-encoding", "transfer-encoding", "connection", "keep-alive", "trailer"}
# What TLS without a socket sends first, so that the connection below it is one of TLS; and the answer.
HELLO, WELCOME = b"\x16everstep\n", b"\x16\n"
# A head that is longer is none.
_LONGEST_HEAD = 1 << 20
_NO_HTTP = "only requests of HTTP go out of here, as the policy grants them"


class _Request:
    """A request as it is written: its head, and then its body."""

    def __init__(self, method, target, headers):
        self.method, self.target, self.headers = method, target, headers
        self.body = bytearray()
        self.is_chunked = "chunked" in self.find("transfer-encoding", "").lower()
        # Bytes of the body, or of the chunk, that are to come.
        self.left = 0 if self.is_chunked else _number(self.find("content-length", "0"), string.digits, 10)

    def find(self, name, default=None):
        return next((value for key, value in self.headers if key.lower() == name), default)


class Requests:
    """Reads requests from the bytes of a connection."""

    def __init__(self):
        self._bytes, self._request = bytearray(), None

    def feed(self, data):
        """The requests that are complete."""
        self._bytes += data
        while True:
            try:
                if self._request is None and not self._begin() or not self._fill():
                    return
            except ValueError:
                raise PermissionError(errno.EACCES, _NO_HTTP) from None
            request, self._request = self._request, None
            yield request

    def _begin(self):
        head, end, rest = self._bytes.partition(b"\r\n\r\n")
        if not end:
            line = bytes(self._bytes[:2048])
            if len(self._bytes) > _LONGEST_HEAD or line and not _may_be_http(line):
                raise PermissionError(errno.EACCES, _NO_HTTP)
            return False
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, version = first.split(" ")
        headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        if not version.startswith("HTTP/1."):
            raise ValueError(version)
        self._request = _Request(method, target, headers)
        self._bytes = rest
        return True

    def _fill(self):
        request = self._request
        while True:
            taken = self._bytes[: request.left]
            del self._bytes[: request.left]
            request.body += taken
            request.left -= len(taken)
            if request.left:
                return False
            if not request.is_chunked:
                return True
            line, end, rest = self._bytes.partition(b"\r\n")
            if not end:
                return False
            if not line:
                # The end of the chunk before.
                self._bytes = rest
                continue
            size = _number(line.partition(b";")[0].decode("latin-1").strip(), string.hexdigits, 16)
            if size:
                self._bytes, request.left = rest, size
            else:
                _, end, after = self._bytes.partition(b"\r\n\r\n")
                if not end:
                    return False
                self._bytes = after
                return True


def _number(text, digits, base):
    if not 0 < len(text) < 20 or not set(text) <= set(digits):
        raise ValueError(text)
    return int(text, base)


def _may_be_http(line):
    method, _, rest = line.partition(b" ")
    return method.isalpha() and method.isupper() and len(method) < 20 and (b" " in line or len(line) < 20) and not rest.startswith(b" ")


def _begin(request, scheme, host, port, silence):
    """Starts the fetch of a request; its promise."""
    if request.method == "CONNECT":
        raise PermissionError(errno.EACCES, "a proxy is reached by the host, not from here")
    authority = f"[{host}]" if ":" in host else host
    if port != {"http": 80, "https": 443}[scheme]:
        authority += f":{port}"
    named = request.find("host", authority)
    if request.target.startswith(("http://", "https://")) or named.lower() not in (authority.lower(), f"{authority}:{port}".lower()):
        raise PermissionError(errno.EACCES, f"the connection is to {authority}, and the request names {named}")
    headers = [pair for pair in request.headers if pair[0].lower() not in _OURS]
    body = bytes(request.body) if request.body or request.method in ("POST", "PUT", "PATCH") else None
    asked = _http.Request(request.method, f"{scheme}://{authority}{request.target}", headers, body, None)
    try:
        return _errors.call(_http.fetch_once, asked, None if silence is None else _durations.milliseconds(silence))
    except _errors.EverstepError as error:
        raise _failed(error) from None


def _answered(request, promise):
    """The bytes of the response that was delivered."""
    try:
        found = _errors.call_through(_http.response, promise)
    except _errors.EverstepError as error:
        raise _failed(error) from None
    response = getattr(found, "value", found)
    if not hasattr(response, "status"):
        raise _failed(_errors.raised(response)) from None
    bodiless = request.method == "HEAD" or response.status in (204, 304)
    try:
        phrase = http.HTTPStatus(response.status).phrase
    except ValueError:
        phrase = ""
    lines = [f"HTTP/1.1 {response.status} {phrase}"]
    lines += [f"{name}: {value}" for name, value in response.headers if bodiless or name.lower() not in _THEIRS]
    if not bodiless:
        lines.append(f"content-length: {len(response.body)}")
    return "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n" + (b"" if bodiless else bytes(response.body))


def _failed(error):
    """The error of a connection for one of the host."""
    message = str(error)
    if isinstance(error, _errors.TimedOut):
        found = TimeoutError(errno.ETIMEDOUT, message)
    elif isinstance(error, _errors.Denied):
        found = PermissionError(errno.EACCES, message)
        found._denied_by_policy = _errors.is_denial(error)
    elif error.code == "not-found":
        found = socket.gaierror(socket.EAI_NONAME, message)
    elif "refused" in message:
        found = ConnectionRefusedError(errno.ECONNREFUSED, message)
    else:
        found = ConnectionError(errno.ECONNABORTED, message)
    return found


def _check(host, port):
    """A connection that no request could go over is denied, on record."""
    if not _errors.call(_http.may_reach, str(host), port):
        _begin(_Request("GET", "/", []), "https" if port == 443 else "http", str(host), port, None)
        raise PermissionError(errno.EACCES, f"the policy allows no request to {host}:{port}")


class _Stream(io.RawIOBase):
    """What `makefile` reads, and writes."""

    def __init__(self, of):
        self._of = of

    def readable(self):
        return True

    writable = readable

    def readinto(self, buffer):
        return self._of.recv_into(buffer)

    def write(self, data):
        return self._of.send(data)

    def fileno(self):
        return self._of.fileno()


_Native = socket.socket


class Socket:
    """`socket.socket` of a stream."""

    def __new__(cls, family=-1, type=-1, proto=-1, fileno=None):
        if fileno is None and type in (-1, socket.SOCK_STREAM) and family in (-1, socket.AF_INET, socket.AF_INET6):
            return super().__new__(cls)
        # Refused by the host.
        return _Native(family, type, proto, fileno)

    def __init__(self, family=-1, type=-1, proto=-1, fileno=None):
        self.family = socket.AF_INET if family == -1 else family
        self.type, self.proto = socket.SOCK_STREAM, max(proto, 0)
        self._peer, self._scheme, self._is_closed = None, "http", False
        self._timeout, self._requests, self._read = socket.getdefaulttimeout(), Requests(), bytearray()
        # Why nothing more can be read.
        self._failure = None

    def connect(self, address):
        host, port = address[:2]
        _check(host, port)
        self._peer = host, port

    def connect_ex(self, address):
        self.connect(address)
        return 0

    def begin_tls(self):
        self._scheme = "https"

    def sendall(self, data, flags=0):
        self.send(data, flags)

    def send(self, data, flags=0):
        """Sends, and waits for the responses: what fails before one begins fails here, as a connection would."""
        data = bytes(data)
        if self._peer is None or self._is_closed:
            raise OSError(errno.ENOTCONN, "the socket is not connected")
        if data == HELLO:
            self.begin_tls()
            self._read += WELCOME
            return len(data)
        try:
            for request in self._requests.feed(data):
                promise = _begin(request, self._scheme, *self._peer, self._timeout)
                _errors.wait_for(promise)
                self._read += _answered(request, promise)
        except TimeoutError as error:
            # It is missed where it is read.
            self._failure = error
        except OSError as error:
            self._failure = error
            raise
        return len(data)

    def sendmsg(self, buffers, ancdata=(), flags=0, address=None):
        return self.send(b"".join(bytes(buffer) for buffer in buffers))

    def sendfile(self, file, offset=0, count=None):
        file.seek(offset)
        return self.send(file.read() if count is None else file.read(count))

    def recv(self, size, flags=0):
        if not self._read and self._failure is not None:
            raise self._failure
        if not self._read and self._peer is not None and not self._is_closed:
            # Nobody speaks before he is asked.
            raise PermissionError(errno.EACCES, _NO_HTTP)
        taken = bytes(self._read[:size])
        if not flags & socket.MSG_PEEK:
            del self._read[: len(taken)]
        return taken

    def recv_into(self, buffer, nbytes=0, flags=0):
        view = memoryview(buffer).cast("B")
        taken = self.recv(min(nbytes or len(view), len(view)), flags)
        view[: len(taken)] = taken
        return len(taken)

    def makefile(self, mode="r", buffering=None, *, encoding=None, errors=None, newline=None):
        raw = _Stream(self)
        if buffering == 0:
            return raw
        kind = io.BufferedRWPair if "w" in mode and "r" in mode else io.BufferedWriter if "w" in mode else io.BufferedReader
        stream = kind(raw, raw) if kind is io.BufferedRWPair else kind(raw)
        return stream if "b" in mode else io.TextIOWrapper(stream, encoding, errors, newline)

    def settimeout(self, timeout):
        if timeout is not None and timeout < 0:
            raise ValueError("Timeout value out of range")
        self._timeout = timeout

    def gettimeout(self):
        return self._timeout

    timeout = property(gettimeout)

    def setblocking(self, flag):
        self._timeout = None if flag else 0.0

    def getblocking(self):
        return self._timeout != 0.0

    def setsockopt(self, *of):
        pass

    def getsockopt(self, *of):
        return 0

    def bind(self, address):
        raise PermissionError(errno.EACCES, "nothing comes in here: a program cannot be connected to")

    listen = accept = bind

    def getpeername(self):
        if self._peer is None:
            raise OSError(errno.ENOTCONN, "the socket is not connected")
        return self._peer

    def getsockname(self):
        return ("0.0.0.0", 0)

    def fileno(self):
        return -1

    def shutdown(self, how):
        pass

    def close(self):
        self._is_closed = True

    detach = close

    def __enter__(self):
        return self

    def __exit__(self, *of):
        self.close()

    def __repr__(self):
        return f"<socket.socket to {self._peer}>"


def _addresses(host, port, family=0, type=0, proto=0, flags=0):
    """`getaddrinfo`: the host looks names up, when something is sent."""
    if isinstance(host, bytes):
        host = host.decode("idna")
    if host is None:
        raise socket.gaierror(socket.EAI_NONAME, "nothing comes in here")
    if isinstance(port, str):
        port = {"http": 80, "https": 443}[port] if port in ("http", "https") else int(port)
    return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port or 0))]


class Transport(asyncio.Transport):
    """The connection of an `asyncio` protocol."""

    def __init__(self, loop, protocol, scheme, host, port):
        below = Socket()
        below._peer = host, port
        super().__init__({"peername": (host, port), "sockname": below.getsockname(), "socket": below})
        self._loop, self._protocol, self._scheme, self._host, self._port = loop, protocol, scheme, host, port
        self._requests, self._waiting, self._is_closing, self._is_paused = Requests(), collections.deque(), False, False
        self._read, self._ends = bytearray(), False
        loop.call_soon(protocol.connection_made, self)

    def begin_tls(self):
        self._scheme = "https"

    def write(self, data):
        if self._is_closing:
            return
        if data == HELLO:
            self.begin_tls()
            self._read += WELCOME
            self._loop.call_soon(self._pass_on)
            return
        try:
            for request in self._requests.feed(bytes(data)):
                promise = _begin(request, self._scheme, self._host, self._port, None)
                future = self._loop.promised(promise, lambda promise, request=request: _answered(request, promise))
                self._waiting.append(future)
                future.add_done_callback(self._deliver)
        except OSError as error:
            self._loop.call_soon(self._lose, error)

    def writelines(self, list_of_data):
        self.write(b"".join(list_of_data))

    def _deliver(self, future):
        # In the order of the requests.
        while self._waiting and self._waiting[0].done():
            done = self._waiting.popleft()
            if done.cancelled() or self._is_closing:
                continue
            if done.exception() is not None:
                self._lose(done.exception())
                return
            self._read += done.result()
        self._pass_on()

    def _pass_on(self):
        if self._read and not self._is_paused and not self._is_closing:
            data, self._read = bytes(self._read), bytearray()
            self._protocol.data_received(data)

    def _lose(self, error):
        if not self._ends:
            self._is_closing = self._ends = True
            for future in self._waiting:
                future.cancel()
            self._protocol.connection_lost(error)

    def close(self):
        if not self._is_closing:
            self._is_closing = True
            self._loop.call_soon(self._lose, None)

    abort = close

    def is_closing(self):
        return self._is_closing

    def is_reading(self):
        return not self._is_paused

    def pause_reading(self):
        self._is_paused = True

    def resume_reading(self):
        self._is_paused = False
        self._loop.call_soon(self._pass_on)

    def set_protocol(self, protocol):
        self._protocol = protocol

    def get_protocol(self):
        return self._protocol

    def can_write_eof(self):
        return False

    def get_write_buffer_size(self):
        return 0

    def get_write_buffer_limits(self):
        return (0, 0)

    def set_write_buffer_limits(self, high=None, low=None):
        pass


async def connect(loop, protocol_factory, host=None, port=None, *, ssl=None, sock=None, **options):
    """`create_connection` of the event loop."""
    if sock is not None:
        host, port = sock.getpeername()
    else:
        _check(host, port)
    protocol = protocol_factory()
    transport = Transport(loop, protocol, "https" if ssl else "http", host, port)
    await asyncio.sleep(0)
    return transport, protocol


async def start_tls(loop, transport, protocol, sslcontext, **options):
    """`start_tls` of the event loop."""
    transport.begin_tls()
    transport.set_protocol(protocol)
    return transport


async def reach(loop, sock, address):
    """`sock_connect` of the event loop."""
    sock.connect(address)


async def look_up(loop, host, port, *, family=0, type=0, proto=0, flags=0):
    """`getaddrinfo` of the event loop. Clients that try several addresses keep none of the reasons why they cannot connect, and tell this one."""
    found = _addresses(host, port)
    if found[0][4][1]:
        _check(*found[0][4])
    return found


class _Poll:
    """`select.poll`, for sockets that have no number as well."""

    def __init__(self):
        self._native, self._sockets = _native_poll(), {}

    def register(self, file, eventmask=select.POLLIN | select.POLLOUT):
        if isinstance(file, Socket):
            self._sockets[id(file)] = file, eventmask
        else:
            self._native.register(file, eventmask)

    modify = register

    def unregister(self, file):
        if isinstance(file, Socket):
            del self._sockets[id(file)]
        else:
            self._native.unregister(file)

    def poll(self, timeout=None):
        found = [(-1, mask & _ready(one)) for one, mask in self._sockets.values() if mask & _ready(one)]
        # Nothing comes that has not come.
        return found + self._native.poll(0 if self._sockets else timeout)


def _ready(one):
    return select.POLLOUT | (select.POLLIN if one._read or one._failure or one._is_closed else 0)


def _select(rlist, wlist, xlist, timeout=None):
    lists = [list(files) for files in (rlist, wlist, xlist)]
    ours = [[one for one in files if isinstance(one, Socket)] for files in lists]
    others = [[one for one in files if not isinstance(one, Socket)] for files in lists]
    if not any(ours):
        return _native_select(*others, timeout)
    found = _native_select(*others, 0) if any(others) else ([], [], [])
    return ([one for one in ours[0] if _ready(one) & select.POLLIN] + found[0], ours[1] + found[1], found[2])


_native_poll, _native_select = select.poll, select.select


def install():
    socket.socket = Socket
    socket.getaddrinfo = _addresses
    select.poll, select.select = _Poll, _select
