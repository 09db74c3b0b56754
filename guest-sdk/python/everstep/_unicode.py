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


def dumps(value):
    """JSON for the host; raises `UnicodeEncodeError` for what would be none."""
    text = json.dumps(value)
    if "\\ud" in text:
        json.dumps(value, ensure_ascii=False).encode()
    return text
