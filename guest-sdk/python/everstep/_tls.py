"""`ssl`, which clients need before they speak HTTPS. The host makes the connection, with certificate authorities and rules of its own, and checks
names and certificates whatever a context says; of a context only what is set is kept."""

import collections
import enum
import errno
import importlib.machinery
import os
import socket
import sys
import types

from ._network import HELLO, WELCOME

# Clients look at the name before they trust it.
OPENSSL_VERSION = "OpenSSL 3.0.0 (TLS of the host)"
OPENSSL_VERSION_INFO = _OPENSSL_API_VERSION = (3, 0, 0, 0, 0)
OPENSSL_VERSION_NUMBER = 0x30000000
HAS_SNI = HAS_ALPN = HAS_ECDH = HAS_TLSv1_2 = HAS_TLSv1_3 = True
HAS_SSLv2 = HAS_SSLv3 = HAS_TLSv1 = HAS_TLSv1_1 = HAS_NPN = HAS_PSK = HAS_PHA = False
HAS_NEVER_CHECK_COMMON_NAME = True
CHANNEL_BINDING_TYPES = []
SSL_ERROR_ZERO_RETURN, SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE, SSL_ERROR_SYSCALL, SSL_ERROR_SSL, SSL_ERROR_EOF = 6, 2, 3, 5, 1, 8


class VerifyMode(enum.IntEnum):
    CERT_NONE, CERT_OPTIONAL, CERT_REQUIRED = range(3)


class VerifyFlags(enum.IntFlag):
    VERIFY_DEFAULT, VERIFY_CRL_CHECK_LEAF, VERIFY_CRL_CHECK_CHAIN = 0, 4, 12
    VERIFY_X509_STRICT, VERIFY_ALLOW_PROXY_CERTS, VERIFY_X509_TRUSTED_FIRST, VERIFY_X509_PARTIAL_CHAIN = 0x20, 0x40, 0x8000, 0x80000


class TLSVersion(enum.IntEnum):
    MINIMUM_SUPPORTED, SSLv3, TLSv1, TLSv1_1, TLSv1_2, TLSv1_3, MAXIMUM_SUPPORTED = -2, 768, 769, 770, 771, 772, -1


class Options(enum.IntFlag):
    OP_ALL, OP_NO_SSLv2, OP_NO_SSLv3, OP_NO_TLSv1, OP_NO_TLSv1_1 = 0x80000050, 0, 0x2000000, 0x4000000, 0x10000000
    OP_NO_TLSv1_2, OP_NO_TLSv1_3, OP_NO_COMPRESSION, OP_NO_TICKET, OP_NO_RENEGOTIATION = 0x8000000, 0x20000000, 0x20000, 0x4000, 0x40000000
    OP_CIPHER_SERVER_PREFERENCE, OP_SINGLE_DH_USE, OP_SINGLE_ECDH_USE, OP_ENABLE_MIDDLEBOX_COMPAT = 0x400000, 0, 0, 0x100000
    OP_IGNORE_UNEXPECTED_EOF, OP_ENABLE_KTLS, OP_LEGACY_SERVER_CONNECT = 0x80, 0x8, 0x4


class _SSLMethod(enum.IntEnum):
    PROTOCOL_SSLv23 = PROTOCOL_TLS = 2
    PROTOCOL_TLSv1, PROTOCOL_TLSv1_1, PROTOCOL_TLSv1_2, PROTOCOL_TLS_CLIENT, PROTOCOL_TLS_SERVER = 3, 4, 5, 16, 17


class Purpose(enum.Enum):
    SERVER_AUTH, CLIENT_AUTH = "1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"


for _kind in (VerifyMode, VerifyFlags, Options, _SSLMethod):
    globals().update(_kind.__members__)


class SSLError(OSError):
    library = reason = None


class SSLZeroReturnError(SSLError):
    pass


class SSLWantReadError(SSLError):
    pass


class SSLWantWriteError(SSLError):
    pass


class SSLSyscallError(SSLError):
    pass


class SSLEOFError(SSLError):
    pass


class SSLCertVerificationError(SSLError, ValueError):
    verify_code, verify_message = 0, ""


CertificateError = SSLCertVerificationError
DefaultVerifyPaths = collections.namedtuple(
    "DefaultVerifyPaths", "cafile capath openssl_cafile_env openssl_cafile openssl_capath_env openssl_capath"
)


def get_default_verify_paths():
    return DefaultVerifyPaths(None, None, "SSL_CERT_FILE", "", "SSL_CERT_DIR", "")


def RAND_bytes(count):
    return os.urandom(count)


def RAND_status():
    return True


def RAND_add(data, entropy):
    pass


class SSLContext:
    """What a client asks of TLS."""

    sslsocket_class = sslobject_class = None

    def __init__(self, protocol=_SSLMethod.PROTOCOL_TLS):
        self.protocol = protocol
        self.check_hostname = protocol == _SSLMethod.PROTOCOL_TLS_CLIENT
        self._verify_mode = VerifyMode.CERT_REQUIRED if self.check_hostname else VerifyMode.CERT_NONE
        self.verify_flags, self.options = VerifyFlags.VERIFY_X509_TRUSTED_FIRST, Options.OP_ALL
        self.minimum_version, self.maximum_version = TLSVersion.TLSv1_2, TLSVersion.MAXIMUM_SUPPORTED
        self.post_handshake_auth, self.keylog_filename, self.hostname_checks_common_name = False, None, False
        self.sni_callback = self._msg_callback = None

    @property
    def verify_mode(self):
        return self._verify_mode

    @verify_mode.setter
    def verify_mode(self, mode):
        if self.check_hostname and mode == VerifyMode.CERT_NONE:
            raise ValueError("Cannot set verify_mode to CERT_NONE when check_hostname is enabled.")
        self._verify_mode = VerifyMode(mode)

    def load_verify_locations(self, cafile=None, capath=None, cadata=None):
        if cafile is None and capath is None and cadata is None:
            raise TypeError("cafile, capath and cadata cannot be all omitted")

    def load_cert_chain(self, certfile, keyfile=None, password=None):
        raise SSLError(errno.EACCES, "the host makes the connection, and has no certificate of its client: name a secret in the policy")

    def load_default_certs(self, purpose=Purpose.SERVER_AUTH):
        pass

    set_default_verify_paths = load_default_certs

    def set_ciphers(self, ciphers):
        pass

    set_alpn_protocols = set_npn_protocols = set_ecdh_curve = load_dh_params = set_ciphers

    def get_ciphers(self):
        return []

    def get_ca_certs(self, binary_form=False):
        return []

    def cert_store_stats(self):
        return {"x509": 0, "crl": 0, "x509_ca": 0}

    def session_stats(self):
        return {}

    def wrap_socket(
        self, sock, server_side=False, do_handshake_on_connect=True, suppress_ragged_eofs=True, server_hostname=None, session=None
    ):
        if server_side:
            raise SSLError(errno.EACCES, "nothing comes in here")
        return SSLSocket(sock, self, server_hostname)

    def wrap_bio(self, incoming, outgoing, server_side=False, server_hostname=None, session=None):
        return SSLObject(incoming, outgoing, self, server_hostname)


class _Peer:
    """What is known of a connection of the host's."""

    def getpeercert(self, binary_form=False):
        return b"" if binary_form else {}

    def selected_alpn_protocol(self):
        return "http/1.1"

    def selected_npn_protocol(self):
        return None

    def cipher(self):
        return ("TLS_AES_128_GCM_SHA256", "TLSv1.3", 128)

    def version(self):
        return "TLSv1.3"

    def compression(self):
        return None

    def shared_ciphers(self):
        return None

    def get_channel_binding(self, cb_type="tls-unique"):
        return None

    def pending(self):
        return 0

    session, session_reused, server_side = None, False, False


class SSLSocket(_Peer, socket.socket):
    """A socket over which the host speaks TLS."""

    def __new__(cls, sock, context, server_hostname=None):
        return object.__new__(cls)

    def __init__(self, sock, context, server_hostname=None):
        self.__dict__.update(vars(sock))
        self.context, self.server_hostname = context, server_hostname
        self.begin_tls()

    @property
    def _sslobj(self):
        return self

    def do_handshake(self, block=False):
        pass

    def read(self, len=1024, buffer=None):
        return self.recv(len) if buffer is None else self.recv_into(buffer, len)

    write = socket.socket.send

    def unwrap(self):
        return self


class MemoryBIO:
    def __init__(self):
        self._bytes, self.eof = bytearray(), False

    @property
    def pending(self):
        return len(self._bytes)

    def read(self, n=-1):
        taken = bytes(self._bytes if n < 0 else self._bytes[:n])
        del self._bytes[: len(taken)]
        return taken

    def write(self, data):
        self._bytes += data
        return len(data)

    def write_eof(self):
        self.eof = True


class SSLObject(_Peer):
    """TLS of the host over a connection that somebody else reads and writes."""

    def __init__(self, incoming, outgoing, context, server_hostname):
        self._incoming, self._outgoing, self.context, self.server_hostname = incoming, outgoing, context, server_hostname
        self._asked = self._is_open = False

    def do_handshake(self):
        if not self._asked:
            self._asked = True
            self._outgoing.write(HELLO)
        if not self._is_open:
            if self._incoming.pending < len(WELCOME):
                raise SSLWantReadError(SSL_ERROR_WANT_READ, "The operation did not complete (read)")
            self._incoming.read(len(WELCOME))
            self._is_open = True

    def read(self, len=1024, buffer=None):
        if not self._incoming.pending:
            if self._incoming.eof:
                raise SSLZeroReturnError(SSL_ERROR_ZERO_RETURN, "TLS/SSL connection has been closed (EOF)")
            raise SSLWantReadError(SSL_ERROR_WANT_READ, "The operation did not complete (read)")
        taken = self._incoming.read(len)
        if buffer is None:
            return taken
        buffer[: len(taken)] = taken
        return len(taken)

    def write(self, data):
        return self._outgoing.write(bytes(data))

    def unwrap(self):
        pass


def create_default_context(purpose=Purpose.SERVER_AUTH, *, cafile=None, capath=None, cadata=None):
    return SSLContext(_SSLMethod.PROTOCOL_TLS_CLIENT)


def _create_unverified_context(protocol=None, *, cert_reqs=VerifyMode.CERT_NONE, check_hostname=False, **options):
    context = SSLContext(_SSLMethod.PROTOCOL_TLS_CLIENT)
    context.check_hostname = check_hostname
    context.verify_mode = cert_reqs
    return context


_create_default_https_context = create_default_context
_create_stdlib_context = _create_unverified_context


def get_server_certificate(addr, ssl_version=None, ca_certs=None, timeout=None):
    raise SSLError(errno.EACCES, "the host makes the connection, and tells no certificate")


def install():
    """Becomes `ssl`, before anything of the library asks for it."""
    module = types.ModuleType("ssl", __doc__)
    module.__dict__.update({name: value for name, value in globals().items() if name not in ("__name__", "__spec__", "__file__", "install")})
    for value in vars(module).values():
        if getattr(value, "__module__", None) == __name__:
            value.__module__ = "ssl"
    module.__spec__ = importlib.machinery.ModuleSpec("ssl", None, origin=__spec__.origin)
    sys.modules["ssl"] = module
