"""The tools of a build, in a Python environment of their own: componentize-py, and a pip whose version is known."""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

from failure import Failure, say

COMPONENTIZE, PIP = "0.25.1", "26.0.1"
# In every component, unless another version is asked for.
ALWAYS = "tzdata==2026.6 --hash=sha256:0a10eec6e13ef16b627fabed9a5f2ba61a62b1c67f327305f4e7e412a70b4aec"


class Environment:
    """Where they are: `python` runs them, and `wheels` holds what is in every component."""

    def __init__(self, folder):
        self.folder, self.python, self.wheels = folder, folder / "bin/python", folder / "wheels"

    def works(self):
        try:
            return subprocess.run([self.python, "-c", "import componentize_py, pip"], capture_output=True).returncode == 0
        except OSError:
            return False


def environment(cache):
    """The tools; installed the first time."""
    cache.mkdir(parents=True, exist_ok=True)
    found = Environment(cache / f"componentize-py-{COMPONENTIZE}")
    with open(cache / "lock", "w") as held:
        # One at a time.
        fcntl.flock(held, fcntl.LOCK_EX)
        if not found.works():
            say(f"installing componentize-py {COMPONENTIZE}")
            _install(found.folder)
    return found


def _install(folder):
    shutil.rmtree(folder, ignore_errors=True)
    part = Environment(folder.with_name(folder.name + ".part"))
    shutil.rmtree(part.folder, ignore_errors=True)
    done = subprocess.run([sys.executable, "-m", "venv", part.folder], capture_output=True, text=True)
    if done.returncode != 0:
        raise Failure(f"{sys.executable} cannot make an environment for the tools (python3 -m venv); on Debian: apt install python3-venv")
    _pip(part, "install", f"pip=={PIP}", f"componentize-py=={COMPONENTIZE}")
    part.wheels.mkdir()
    pinned = part.wheels / "always.txt"
    pinned.write_text(ALWAYS + "\n")
    _pip(part, "download", "--no-deps", "--require-hashes", "-r", pinned, "-d", part.wheels)
    part.folder.rename(folder)


def _pip(environment, command, *arguments):
    call = [environment.python, "-m", "pip", command, "--quiet", "--disable-pip-version-check", "--no-input", *arguments]
    done = subprocess.run(call, capture_output=True, text=True, env={"PIP_RETRIES": "1", **os.environ})
    if done.returncode != 0:
        raise Failure(f"pip cannot install the tools of the build: {said(done)}\nit needs a package index with componentize-py; pip's own settings name another one")


def said(done):
    """The errors that pip ended with."""
    lines = (done.stdout + done.stderr).splitlines()
    errors, is_error = [], False
    for line in lines:
        # What belongs to it is indented.
        is_error = line.startswith("ERROR: ") or (is_error and line.startswith("  "))
        if is_error:
            errors.append(line.removeprefix("ERROR: "))
    if errors[:1] == ["Exception:"]:
        # Of pip itself, with a traceback.
        return lines[-1]
    return "\n".join(errors or lines[-5:])
