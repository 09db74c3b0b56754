"""What CPython takes from OpenSSL for keys from passwords: `hashlib.pbkdf2_hmac`, PBKDF2 of RFC 8018, section 5.2, over HMAC, and
`hashlib.scrypt` of RFC 7914."""

import hashlib
import hmac

from ._builtin import put

try:
    from _scrypt import mix
except ImportError:
    # It is compiled, and no component has to have it.
    mix = None

_MOST = (1 << 31) - 1
# Bytes that OpenSSL takes where nobody says how many.
_MEMORY = 32 << 20


def install():
    put(hashlib, "pbkdf2_hmac", pbkdf2_hmac)
    if mix is not None:
        put(hashlib, "scrypt", scrypt)


def scrypt(password, *, salt, n, r, p, maxmem=0, dklen=64):
    """The key of `dklen` bytes for a password, which takes about `128 * n * r` bytes of memory to compute; `maxmem` bounds them."""
    if n < 2 or n & (n - 1):
        raise ValueError("n must be a power of 2.")
    if max(maxmem, dklen) >= 1 << 63:
        raise OverflowError("Python int too large to convert to C long")
    if not 0 <= maxmem <= _MOST:
        raise ValueError(f"maxmem must be positive and smaller than {_MOST}")
    if not 1 <= dklen <= _MOST:
        raise ValueError(f"dklen must be greater than 0 and smaller than {_MOST}")
    if r < 1 or p < 1 or p * r >= 1 << 30 or 128 * r * (p + n + 2) > (maxmem or _MEMORY):
        raise ValueError("Invalid parameter combination for n, r, p, maxmem.")
    blocks, size = pbkdf2_hmac("sha256", password, salt, 1, p * 128 * r), 128 * r
    mixed = b"".join(mix(blocks[start : start + size], n) for start in range(0, len(blocks), size))
    return pbkdf2_hmac("sha256", password, mixed, 1, dklen)


def pbkdf2_hmac(hash_name, password, salt, iterations, dklen=None):
    """The key of `dklen` bytes, without it of as many as the hash has, for a password."""
    if not isinstance(hash_name, str):
        raise TypeError(f"pbkdf2_hmac() argument 'hash_name' must be str, not {type(hash_name).__name__}")
    try:
        size = hashlib.new(hash_name).digest_size
    except ValueError:
        size = 0
    if not size:
        raise ValueError(f"unsupported hash type {hash_name}")
    length = size if dklen is None else dklen
    if iterations < 1:
        raise ValueError("iteration value must be greater than 0.")
    if length < 1:
        raise ValueError("key length must be greater than 0.")
    keyed = hmac.new(bytes(memoryview(password)), None, hash_name)
    salt = bytes(memoryview(salt))

    def authenticated(message):
        one = keyed.copy()
        one.update(message)
        return one.digest()

    key = b""
    for number in range(1, -(-length // size) + 1):
        last = authenticated(salt + number.to_bytes(4, "big"))
        block = int.from_bytes(last)
        for _ in range(iterations - 1):
            last = authenticated(last)
            block ^= int.from_bytes(last)
        key += block.to_bytes(size)
    return key[:length]
