# Compares two versions of a text.
import difflib

before = "one\ntwo\nthree\nfour\n".splitlines(keepends=True)
after = "one\n2\nthree\nfour\nfive\n".splitlines(keepends=True)
print("".join(difflib.unified_diff(before, after, "before", "after")))
print("".join(difflib.ndiff(["colour\n"], ["color\n"])))
matcher = difflib.SequenceMatcher(None, "private thread", "private volatile")
print(round(matcher.ratio(), 4), matcher.get_opcodes())
