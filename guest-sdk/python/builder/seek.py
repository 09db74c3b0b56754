#!/usr/bin/env python3
"""Lets a file that is opened to be appended to be read: seek.py COMPONENT.

The C library of the component goes to the end of such a file whenever somebody seeks in it or asks where it is, so that `open(path, "a+")` reads
nothing. It does so if a flag of the file is set, which is looked at twice in the function; here neither look finds it. What is written goes to
the end all the same: the host appends it.
"""

import re
import sys

# `if (flags & 1 && seek_end(file) < 0) return -1; switch (whence)`, and in one of its cases `if (!(flags & 1))`; the same function is called.
FLAG = b"\x20\x00\x2d\x00\x10\x41\x01\x71"
TO_END = b"\x20\x00\x10(.{5})\x41\x00\x4e\x0d\x00\x42\x7f\x0f\x0b"
SEEK = re.compile(
    b"(\x02\x40)" + re.escape(FLAG) + b"(\x45\x0d\x00" + TO_END + b"(?:\x02\x40){4}\x20\x02\x0e.{5,8}?\x0b)" + re.escape(FLAG) + b"(\x0d\x01\x20\x00\x10\\3)",
    re.S,
)


def main(path):
    with open(path, "rb") as file:
        component = file.read()
    no_flag = FLAG.replace(b"\x41\x01", b"\x41\x00")
    found, count = SEEK.subn(lambda match: match[1] + no_flag + match[2] + no_flag + match[4], component)
    assert count == 1 and len(found) == len(component), f"{count} functions seek in a file"
    with open(path, "wb") as file:
        file.write(found)


if __name__ == "__main__":
    main(sys.argv[1])
