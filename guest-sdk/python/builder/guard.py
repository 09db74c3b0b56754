#!/usr/bin/env python3
"""Lets CPython notice how deep it is: guard.py COMPONENT.

WebAssembly has two stacks. CPython measures the one in linear memory, where only variables are whose address is taken, and many of its
functions have none: a tuple that holds a tuple that holds a tuple is freed without using any of it, until the other stack, which a
program cannot measure, is used up, and that is a trap. Here each function that looks how deep it is uses some of the stack that it looks at,
in proportion to what it and those below it use of the other one: 4 MB of the first, CPython's limit, are over before 8 MiB of the second.
"""

import sys

# Bytes of it for each call.
FRAME = 512
# The function that raises a RecursionError; who calls it looks how deep it is.
CHECK = "_Py_CheckRecursiveCall"
# It looks by itself, and puts off what is too deep.
FREE = "_Py_Dealloc"

MODULE, IMPORT, TYPE, FUNCTION, EXPORT, CODE = 1, 2, 1, 3, 7, 10
FUNC, TABLE, MEMORY, GLOBAL, TAG = range(5)


def number(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return value, at


def put(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out + bytes([value]))


def signed(value):
    """For `i32.const`: another group where the sign would be wrong."""
    out = bytearray()
    while value > 0x3F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out + bytes([value]))


def padded(value):
    """As a linker writes an index."""
    return bytes(value >> 7 * n & 0x7F | (0x80 if n < 4 else 0) for n in range(5))


def sections(data):
    at = 8
    while at < len(data):
        kind = data[at]
        size, start = number(data, at + 1)
        at = start + size
        yield kind, data[start:at]


def text(data, at):
    size, at = number(data, at)
    return data[at : at + size], at + size


def section(kind, body):
    return bytes([kind]) + put(len(body)) + body


def vector(items):
    return put(len(items)) + b"".join(items)


def types(data):
    """How many parameters each type has."""
    count, at = number(data, 0)
    for _ in range(count):
        assert data[at] == 0x60, "a function type"
        params, at = number(data, at + 1)
        at += params
        results, at = number(data, at)
        at += results
        yield params


def imports(data):
    count, at = number(data, 0)
    for _ in range(count):
        _, at = text(data, at)
        name, at = text(data, at)
        kind = data[at]
        at += 1
        if kind == FUNC or kind == TAG:
            _, at = number(data, at + (kind == TAG))
        elif kind == GLOBAL:
            at += 2
        else:
            at += kind == TABLE
            flags, at = number(data, at)
            for _ in range(1 + (flags & 1)):
                _, at = number(data, at)
        yield kind, name


def exports(data):
    count, at = number(data, 0)
    for _ in range(count):
        name, at = text(data, at)
        kind = data[at]
        index, at = number(data, at + 1)
        if kind == FUNC:
            yield name, index


def vector_of(data, read):
    count, at = number(data, 0)
    items = []
    for _ in range(count):
        item, at = read(data, at)
        items.append(item)
    return items


def guarded(module):
    """The module with its functions guarded; none if it is not CPython."""
    parts = list(sections(module))
    found = dict(parts)
    exported = dict(exports(found.get(EXPORT, b"\0")))
    if CHECK.encode() not in exported or FREE.encode() not in exported or CODE not in found:
        return None
    imported = list(imports(found[IMPORT]))
    first = sum(kind == FUNC for kind, _ in imported)
    stack = [name for kind, name in imported if kind == GLOBAL].index(b"__stack_pointer")
    if exported[CHECK.encode()] < first:
        return None
    params, kinds = list(types(found[TYPE])), vector_of(found[FUNCTION], number)
    bodies = vector_of(found[CODE], text)
    call = b"\x10" + padded(exported[CHECK.encode()])
    deep = [n for n, body in enumerate(bodies) if call in body] + [exported[FREE.encode()] - first]
    assert 30 <= len(deep) <= 200, f"{len(deep)} functions look how deep they are"
    for n in deep:
        inner = first + len(bodies)
        bodies.append(bodies[n])
        kinds.append(kinds[n])
        bodies[n] = guard(stack, params[kinds[n]], inner)
    replaced = {FUNCTION: vector([put(kind) for kind in kinds]), CODE: vector([put(len(body)) + body for body in bodies])}
    return module[:8] + b"".join(section(kind, replaced.get(kind, body)) for kind, body in parts)


def guard(stack, params, inner):
    """A function that calls another one with so many parameters, further down the stack."""
    stack, frame = put(stack), b"\x41" + signed(FRAME)
    arguments = b"".join(b"\x20" + put(n) for n in range(params))
    down, up = (b"\x23" + stack + frame + move + b"\x24" + stack for move in (b"\x6b", b"\x6a"))
    return b"\0" + down + arguments + b"\x10" + put(inner) + up + b"\x0b"


def main(path):
    with open(path, "rb") as file:
        component = file.read()
    out, count = [component[:8]], 0
    for kind, body in sections(component):
        found = guarded(body) if kind == MODULE else None
        count += found is not None
        out.append(section(kind, body if found is None else found))
    assert count == 1, f"{count} modules are CPython"
    with open(path, "wb") as file:
        file.write(b"".join(out))


if __name__ == "__main__":
    main(sys.argv[1])
