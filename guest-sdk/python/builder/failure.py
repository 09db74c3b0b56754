"""What a build tells its user."""

import sys


class Failure(Exception):
    """It cannot be built; the text names the thing and the remedy."""


def say(line):
    print(f"python: {line}", file=sys.stderr, flush=True)
