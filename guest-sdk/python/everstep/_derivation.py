"""`hashlib.pbkdf2_hmac`, which CPython takes from OpenSSL: PBKDF2 of RFC 8018, section 5.2, over HMAC."""

import hashlib
import hmac

from ._builtin import put


def install():
    put(hashlib, "pbkdf2_hmac", pbkdf2_hmac)


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
