"""The lock beside a component: a requirements file of pip with every package, its version and its hash, and what was asked for."""

import dataclasses
import hashlib
import json
import re
from pathlib import Path

from failure import Failure

_MARK = "# everstep: "
# The options of a requirements file that name another one.
_OTHER = re.compile(r"(?:-r|-c|--requirement|--constraint)[= ]*(.+)")


@dataclasses.dataclass
class Wanted:
    """What is asked for: files of requirements, further requirements, modules; and a digest of it all."""

    files: list
    requirements: list
    preload: list
    digest: str

    @classmethod
    def of(cls, request):
        files, requirements, preload = request["files"], request["with"], sorted(set(request["preload"]))
        for requirement in requirements:
            if requirement.startswith("-") or not requirement.strip():
                raise Failure(f"{requirement!r} is no requirement; name a package, such as jinja2 or 'jinja2>=3', or the file of a wheel")
        for module in preload:
            if not all(part.isidentifier() for part in module.split(".")):
                raise Failure(f"{module!r} is no module; --preload takes names such as jinja2.sandbox")
        texts = [text for file in files for text in _texts(Path(file), set())]
        digest = hashlib.sha256(json.dumps([texts, requirements, preload]).encode()).hexdigest()
        return cls(files, requirements, preload, digest)


@dataclasses.dataclass
class Pins:
    """Exactly one version of every package: lines of a requirements file, the names asked for, and the modules to be imported besides theirs."""

    lines: list
    requested: list
    preload: list


def known(request, wanted):
    """The pins of a lock that fits what is asked for; none if pip has to find them."""
    if len(wanted.files) == 1 and not wanted.requirements:
        pins, _ = _parsed(_read(Path(wanted.files[0])))
        if pins is not None:
            return Pins(pins.lines, pins.requested, sorted({*pins.preload, *wanted.preload}))
    if request["lock"] is None:
        return None
    pins, asked = _parsed(request["lock"])
    if pins is None:
        raise Failure(f"{request['name']}.lock is there, and is no lock of a component; move it away, or name another file with -o")
    return None if request["upgrade"] or asked != wanted.digest else pins


def text(name, wanted, pins, digest):
    """The lock of a component that is built."""
    told = json.dumps({"asked": wanted.digest, "requested": pins.requested, "preload": pins.preload, "component": digest})
    head = f"# The Python packages of {name}; to build them in again: everstep python build -r {name}.lock -o {name}\n{_MARK}{told}\n"
    return head + "".join(f"{line}\n" for line in pins.lines)


def _parsed(text):
    told = next((line for line in text.splitlines() if line.startswith(_MARK)), None)
    if told is None:
        return None, None
    try:
        told = json.loads(told.removeprefix(_MARK))
        lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
        return Pins(lines, list(told["requested"]), list(told["preload"])), told["asked"]
    except (ValueError, KeyError, TypeError):
        raise Failure("the second line of the lock was changed; remove the lock, and build again") from None


def _read(file):
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"cannot read the requirements {file}: {getattr(error, 'strerror', None) or error}") from None


def _texts(file, seen):
    """What a file of requirements says, and those that it names."""
    if file in seen:
        return
    seen.add(file)
    whole = _read(file)
    yield whole
    for line in whole.splitlines():
        other = _OTHER.fullmatch(line.strip())
        if other and "://" not in other[1]:
            yield from _texts(file.parent / other[1].strip("'\" "), seen)
