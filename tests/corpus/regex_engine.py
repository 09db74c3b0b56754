# Matches simple patterns by derivatives, compared with re.
import re
from functools import cache

@cache
def matches(pattern, text):
    if not pattern:
        return not text
    first = bool(text) and pattern[0] in (text[0], ".")
    if len(pattern) > 1 and pattern[1] == "*":
        return matches(pattern[2:], text) or first and matches(pattern, text[1:])
    if len(pattern) > 1 and pattern[1] == "?":
        return matches(pattern[2:], text) or first and matches(pattern[2:], text[1:])
    return first and matches(pattern[1:], text[1:])

cases = [(p, t) for p in ("a*b", ".*c", "ab?c", "a.c", "x*", "a*a*a*b") for t in ("", "b", "aab", "abc", "ac", "xxx", "aaaaaaaac")]
wrong = [(p, t) for p, t in cases if matches(p, t) != bool(re.fullmatch(p, t))]
print(len(cases), wrong)
for pattern in ("a*b", "ab?c", "x*"):
    print(pattern, [text for p, text in cases if p == pattern and matches(p, text)])
