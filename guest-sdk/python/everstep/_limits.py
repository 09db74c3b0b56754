"""Errors in place of traps: what recurses in C uses a stack that Python does not measure."""

import json
import re

# Deeper than anybody writes, and far from the end of the stack.
DEPTH = 500

_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.S)


def _is_deep(text):
    depth = 0
    for token in _TOKENS.finditer(text):
        one = token[0]
        if one in "[{":
            depth += 1
            if depth > DEPTH:
                return True
        elif one in "]}":
            depth -= 1
    return False


def install():
    raw_decode = json.JSONDecoder.raw_decode

    def checked(self, s, idx=0):
        if s.count("[") + s.count("{") > DEPTH and _is_deep(s):
            raise RecursionError(f"JSON is nested more than {DEPTH} deep")
        return raw_decode(self, s, idx)

    json.JSONDecoder.raw_decode = checked
