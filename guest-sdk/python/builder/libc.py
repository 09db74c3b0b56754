#!/usr/bin/env python3
"""Mends two functions of the component's C library: libc.py COMPONENT.

`__wasilibc_find_relpath_alloc`, through which every path goes, takes an empty one for the working folder: `os.listdir("")` lists it. Here there is
no such file, as on other systems.

`close` cannot fail, since WASI has no result for it: what could not be saved would end the program. Here it syncs the content of the file first,
which saves it all the same, and returns the error of that. `fdatasync` fails with EINVAL on what is no file.
"""

import sys

EINVAL, ENOENT = 28, 44
IMPORTS, EXPORTS, CODE = 2, 7, 10
# Of a component.
MODULE = 1
BLOCK, IF, END, RETURN, DROP, EQZ, EQ, BREAK_IF = b"\x02\x40", b"\x04\x40", b"\x0b", b"\x0f", b"\x1a", b"\x45", b"\x46", b"\x0d\x00"
ARGUMENT, BYTE, LOAD, STORE, MINUS_1 = b"\x20\x00", b"\x2d\x00\x00", b"\x28\x02\x00", b"\x36\x02\x00", b"\x41\x7f"


def number(data, at):
    """A number in LEB128, and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
        if byte < 128:
            return value, at


def put(value):
    encoded = b""
    while value > 127:
        value, encoded = value >> 7, encoded + bytes([value & 127 | 128])
    return encoded + bytes([value])


def constant(value):
    assert value < 64
    return bytes([0x41, value])


def call(function):
    return b"\x10" + put(function)


def sections(data):
    """The id and content of each section, behind the eight bytes of the header."""
    at = 8
    while at < len(data):
        size, begin = number(data, at + 1)
        yield data[at], data[begin : begin + size]
        at = begin + size


def sized(content):
    return put(len(content)) + content


def functions(exports):
    """The numbers of the exported functions, by name."""
    found = {}
    count, at = number(exports, 0)
    for _ in range(count):
        length, at = number(exports, at)
        name, kind = exports[at : at + length], exports[at + length]
        index, at = number(exports, at + length + 1)
        if kind == 0:
            found[name.decode()] = index
    return found


def imported(imports):
    """How many functions are imported: their numbers come before those of the module's own."""
    found = 0
    count, at = number(imports, 0)
    for _ in range(count):
        for _ in ("module", "name"):
            length, at = number(imports, at)
            at += length
        kind, at = imports[at], at + 1
        assert kind < 4
        if kind == 3:
            at += 2
            continue
        found += kind == 0
        has_most = kind > 0 and imports[at + (kind == 1)] & 1
        for _ in range(1 + (kind == 1) + (kind > 0) + has_most):
            _, at = number(imports, at)
    return found


def bodies(code):
    count, at = number(code, 0)
    found = []
    for _ in range(count):
        size, at = number(code, at)
        found.append(code[at : at + size])
        at += size
    return found


def found_in(body, known):
    assert body.count(known) == 1, f"{body.count(known)} places in a function of the C library"
    return body.index(known)


def without_empty_paths(body, errno):
    """Inserts `if (!*path) { errno = ENOENT; return -1; }`. The body begins with its local variables and the pointer to its stack."""
    at = found_in(body, b"\x23\x80\x80\x80\x80\x00\x41\x10\x6b\x22")
    refuse = errno + constant(ENOENT) + STORE + MINUS_1 + RETURN
    return body[:at] + ARGUMENT + BYTE + EQZ + IF + refuse + END + body[at:]


def with_result(body, errno, sync):
    """Inserts `if (fdatasync(fd) && errno != EINVAL) { remove(fd); return -1; }` before `return remove(fd) >> 31`."""
    shift = b"\x41\x1f\x75\x0b"
    end = found_in(body, shift)
    at = body.rindex(ARGUMENT, 0, end)
    remove = body[at + len(ARGUMENT) : end]
    assert remove[0] == 0x10 and body[end:] == shift
    is_saved = ARGUMENT + call(sync) + EQZ + BREAK_IF + errno + LOAD + constant(EINVAL) + EQ + BREAK_IF
    return body[:at] + BLOCK + is_saved + ARGUMENT + remove + DROP + MINUS_1 + RETURN + END + body[at:]


def mended(module):
    """The C library mended; `None` for another module."""
    parts = list(sections(module))
    by_id = dict(parts)
    named = functions(by_id.get(EXPORTS, b"\x00"))
    if not {"__wasilibc_find_relpath_alloc", "close", "fdatasync"} <= named.keys():
        return None
    code = bodies(by_id[CODE])
    first = imported(by_id[IMPORTS])
    path, close, sync = (named[name] - first for name in ("__wasilibc_find_relpath_alloc", "close", "fdatasync"))
    refused = constant(EINVAL) + STORE
    at = found_in(code[sync], refused)
    errno = code[sync][at - 6 : at]
    assert errno[0] == 0x23
    code[path] = without_empty_paths(code[path], errno)
    code[close] = with_result(code[close], errno, named["fdatasync"])
    by_id[CODE] = put(len(code)) + b"".join(map(sized, code))
    return module[:8] + b"".join(bytes([id]) + sized(by_id[id] if id == CODE else content) for id, content in parts)


def main(path):
    with open(path, "rb") as file:
        component = file.read()
    parts, done = [], 0
    for id, content in sections(component):
        library = mended(content) if id == MODULE else None
        done += library is not None
        parts.append(bytes([id]) + sized(library or content))
    assert done == 1, f"{done} C libraries"
    with open(path, "wb") as file:
        file.write(component[:8] + b"".join(parts))


if __name__ == "__main__":
    main(sys.argv[1])
