"""Text that the host can be told: Python's may hold halves of surrogate pairs, which no encoding has."""

import json


def is_whole(text):
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:
        return False


def readable(text):
    """The same for people: what is not whole, escaped as Python writes it."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def name_of(kind):
    """The name of a class, for people; its metaclass has no say in it."""
    return readable(type.__dict__["__qualname__"].__get__(kind))


# Where Python's own functions see the end of a line and a line of a program has none, each with a blank as long in UTF-8.
_BREAKS = str.maketrans({**dict.fromkeys("\v\f\x1c\x1d\x1e", " "), "\x85": "\xa0", "\u2028": "\u2003", "\u2029": "\u2003"})


def unbroken(text):
    """The same text without line ends, but those that are `\\n`."""
    return text.translate(_BREAKS)


def dumps(value):
    """JSON for the host; raises `UnicodeEncodeError` for what would be none."""
    text = json.dumps(value)
    if "\\ud" in text:
        json.dumps(value, ensure_ascii=False).encode()
    return text
