"""What a program hands over, within the limits of its policy: what is cut or left out is named, with its size.

Sizes are bytes of JSON, as `json.dumps` writes it.
"""

import bisect
import functools
import json
import math

from wit_world.imports import context

from . import _unicode

# What a namespace may take of a result, beside what `limits.result` leaves.
_NAMESPACE = 256 << 10
# Values that are counted in one value, so that one that holds the same list many times over takes no time.
_VALUES = 1_000_000
# Levels in a value: the host takes 128, some of which are those of a result or an answer around it.
_DEPTH = 120
# Longer ones Python does not write in decimal.
_INT = 10**4300
_SMALL = 10**9
# Characters that are measured at once, so that measuring takes no memory.
_CHUNK = 64 << 10
# What stays of a representation beside a value that fills the result.
_GLIMPSE = 1 << 10
# How many names are told of those that are left out, and how many characters of each.
_NAMES, _NAME = 20, 80


@functools.cache
def limits():
    """What the policy says: `result` and `bytes_per_call`, the same for all of an execution."""
    return context.limits()


def text_size(text):
    """Bytes of a text as JSON, without its quotes."""
    if len(text) <= _CHUNK:
        return len(json.encoder.encode_basestring_ascii(text)) - 2
    return sum(text_size(text[at : at + _CHUNK]) for at in range(0, len(text), _CHUNK))


def size(value, most=math.inf):
    """Bytes of a value as JSON, and whether they were all counted: those of the first million values are, as long as they are not more
    than `most`. None in place of the bytes if JSON does not hold the value without changing it."""
    if type(value) is int and -_SMALL < value < _SMALL:
        # As most are.
        return len(repr(value)), True
    total, counted, stack = 0, 0, [iter((value,))]
    while stack:
        for one in stack[-1]:
            kind, counted = type(one), counted + 1
            if counted > _VALUES or total > most:
                return total, False
            if one is None or kind is bool:
                total += 5 if one is False else 4
            elif kind is str and _unicode.is_whole(one):
                total += text_size(one) + 2
            elif kind is list:
                total += 2 * max(len(one), 1)
                stack.append(iter(one))
                break
            elif kind is dict and all(type(key) is str and _unicode.is_whole(key) for key in one):
                total += 2 * max(len(one), 1) + sum(text_size(key) + 4 for key in one)
                stack.append(iter(one.values()))
                break
            elif kind is float and math.isfinite(one) or kind is int and abs(one) < _INT:
                total += len(repr(one))
            else:
                return None, True
        else:
            stack.pop()
        if len(stack) > _DEPTH + 1:
            return None, True
    return total, True


def cut(text, most):
    """A text of at most so many bytes: all of it, or its beginning, its end, and how much was between them."""
    if len(text) * 12 <= most or text_size(text) <= most:
        return text
    most = max(0, most - 60)
    end = text[len(text) - _fitting(text[::-1][:most], most // 4) :]
    start = text[: _fitting(text[:most], most - text_size(end))]
    return f"{start}… ({len(text) - len(start) - len(end)} characters left out) …{end}"


def _fitting(text, most):
    """How many characters of a text fit."""
    return bisect.bisect_right(range(1, len(text) + 1), most, key=lambda length: text_size(text[:length]))


def representation(value):
    """Its `repr`, whatever becomes of that: what is shown of a value is no end of the program that made it."""
    try:
        return _unicode.readable(str.__str__(repr(value)))
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return f"<{_unicode.name_of(type(value))}: repr() failed with {_unicode.name_of(type(error))}>"


def message(error):
    """What an exception says, whatever becomes of that."""
    try:
        return _unicode.readable(str.__str__(str(error)))
    except KeyboardInterrupt:
        raise
    except BaseException:
        return "<exception str() failed>"


def result(value, namespace):
    """What `execute` returns, as JSON: the value of the last expression if it is JSON, its representation, and the names that hold JSON; `cut` has
    what does not fit into `limits.result`, with its size, or what of it was counted. Where memory lacks to write it, all of it is cut."""
    try:
        return _whole_result(value, namespace)
    except MemoryError:
        pass
    glimpse = f"<{_unicode.name_of(type(value))}: no memory is left to show it>"
    return json.dumps({"value": None, "repr": glimpse, "namespace": {}, "cut": {"value": size(value)[0] or 0, "repr": 0}})


def _whole_result(value, namespace):
    room, cut_off = limits().result, {}
    kept, left_out = _kept(namespace, min(_NAMESPACE, room // 4))
    if left_out:
        cut_off["namespace"] = left_out
    shown = representation(value)
    (length, counted), whole = size(value), text_size(shown)
    # The names of the parts, and of their sizes.
    room -= 160 + len(json.dumps(cut_off)) + size(kept)[0]
    if length is not None and not (counted and length <= room - min(whole, _GLIMPSE)):
        cut_off["value"] = length
        length = None
    room -= 4 if length is None else length
    if whole > room:
        cut_off["repr"] = whole
    found = {"value": None if length is None else value, "repr": cut(shown, room), "namespace": kept}
    # At once: what runs when a program ends may change its values.
    return json.dumps({**found, "cut": cut_off} if cut_off else found)


def _kept(namespace, most):
    """Those names of a namespace whose values are JSON, as long as they are not too large together; and what is said of the others."""
    kept, room, names, total = {}, most, [], 0
    for name, value in namespace.items():
        if type(name) is not str or name.startswith("_") or not _unicode.is_whole(name):
            continue
        length, counted = size(value, room)
        if length is None:
            continue
        length += text_size(name) + 6
        if counted and length <= room:
            kept[name] = value
            room -= length
        else:
            names.append(name[:_NAME])
            total += length
    told = names[:_NAMES]
    while told and size(told)[0] > most // 4:
        told.pop()
    return kept, names and {"names": told, "count": len(names), "bytes": total}


def bundle(data, most):
    """The representations of a value, richest first: its text cut, and of the others the largest left out and named, until all fit."""
    if data.keys() == {"text/plain"}:
        return {"text/plain": cut(data["text/plain"], most)}
    data = dict(data)
    plain, named = data.pop("text/plain", ""), ""
    sizes = {mime: text_size(mime) + text_size(part) for mime, part in data.items()}
    total, room = sum(sizes.values()), most - min(text_size(plain), most // 4)
    for mime in sorted(sizes, key=sizes.get, reverse=True):
        if total <= room:
            break
        total -= sizes[mime]
        if len(named) < _GLIMPSE:
            named += f"\n… ({mime[:_NAME]}, {len(data[mime])} characters, left out)"
        del data[mime]
    return {**data, "text/plain": cut(plain, most - total - text_size(named)) + named}
