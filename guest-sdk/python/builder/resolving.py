"""Finds one version for every package, by the resolver of pip."""

import json
import os
import re
import subprocess
from pathlib import Path

import tools
from alternatives import alternative
from failure import Failure, say
from lock import Pins

_HERE = Path(__file__).resolve().parent
# What pip says of an index that it cannot reach.
_UNREACHABLE = re.compile(r"connection (?:broken|to .* timed out)|NewConnectionError|NameResolutionError|Max retries exceeded|ConnectTimeoutError", re.I)


def pip(environment, command, *arguments):
    """Runs pip as inside of the component; where its user is, with its user's settings."""
    quiet = ["--disable-pip-version-check", "--no-input", "--no-color", "--find-links", environment.wheels]
    call = [environment.python, "-B", _HERE / "within.py", command, *quiet, *arguments]
    return subprocess.run(call, capture_output=True, text=True, env={"PIP_RETRIES": "1", **os.environ})


def resolve(environment, wanted, work):
    """The pins of what is asked for, with what that needs."""
    found = []
    if wanted.files or wanted.requirements:
        say("finding packages")
        report = work / "resolved.json"
        arguments = [argument for file in wanted.files for argument in ("-r", file)] + ["--", *wanted.requirements]
        options = ["--dry-run", "--ignore-installed", "--only-binary=:all:", "--python-version=3.14.0", "--report", report]
        done = pip(environment, "install", *options, *arguments)
        if done.returncode != 0:
            raise _failure(environment, done)
        found = json.loads(report.read_text())["install"]
    _refuse_known(found)
    lines = sorted(map(_line, found), key=str.lower)
    if not any(_name(each) == "tzdata" for each in found):
        lines.append(tools.ALWAYS)
    return Pins(lines, sorted(_name(each) for each in found if each["requested"]), wanted.preload)


def _name(each):
    return re.sub(r"[-_.]+", "-", each["metadata"]["name"]).lower()


def _line(each):
    info, version = each["download_info"], each["metadata"]["version"]
    digest = info.get("archive_info", {}).get("hashes", {}).get("sha256")
    if digest is None:
        raise Failure(f"the index tells no SHA-256 of {_name(each)} {version}; without it a lock cannot name that file")
    where = f"{_name(each)} @ {info['url']}" if each["is_direct"] else f"{_name(each)}=={version}"
    return f"{where} --hash=sha256:{digest}"


def _refuse_known(found):
    """Those whose native code is known to be all there is, before they are downloaded."""
    for each in found:
        is_native = not each["download_info"]["url"].partition("#")[0].endswith("-any.whl")
        remedy = alternative(_name(each)) if is_native else None
        if remedy is not None:
            raise Failure(f"{_name(each)} {each['metadata']['version']}{_needed(found, each)} is native code, which cannot run in the component; {remedy}")


def _needed(found, each):
    """Who needs it, and so on until somebody was asked for."""
    text, seen = "", set()
    while not each["requested"] and _name(each) not in seen:
        seen.add(_name(each))
        asking = [other for other in found if _needs(other, _name(each))]
        if not asking:
            break
        text += f", which {' and '.join(map(_name, asking))} needs"
        each = next((other for other in asking if other["requested"]), asking[0])
    return text and f"{text},"


def _needs(other, name):
    needs = (re.match(r"[A-Za-z0-9._-]+", line)[0] for line in other["metadata"].get("requires_dist", ()))
    return any(re.sub(r"[-_.]+", "-", need).lower() == name for need in needs)


def _failure(environment, done):
    whole = done.stdout + done.stderr
    missing = re.search(r"No matching distribution found for (.+)", whole)
    if _UNREACHABLE.search(whole):
        return Failure(f"the package index does not answer: {tools.said(done)}\nsee the index and the proxy in pip's settings (pip config list)")
    if "The conflict is caused by:" in whole:
        why = whole.partition("The conflict is caused by:")[2].strip("\n").partition("\n\n")[0]
        return Failure(f"the requirements contradict each other:\n{why}\nloosen one of them")
    if missing:
        return _unfound(environment, missing[1].strip(), whole)
    return Failure(f"pip refuses the requirements: {tools.said(done)}")


def _unfound(environment, requirement, whole):
    """A package that is not there, or that has nothing but its sources."""
    name = re.match(r"[A-Za-z0-9._-]*", requirement)[0]
    remedy = alternative(re.sub(r"[-_.]+", "-", name).lower())
    if remedy is not None:
        return Failure(f"{name} has no wheel for the component; {remedy}")
    versions = re.search(r"\(from versions: (.*)\)", whole)
    if versions and versions[1] != "none":
        return Failure(f"no version of {name} fits {requirement} and Python 3.14; there are {versions[1]}")
    call = [environment.python, "-m", "pip", "index", "versions", "--disable-pip-version-check", "--no-input", name]
    if subprocess.run(call, capture_output=True, env={"PIP_RETRIES": "1", **os.environ}).returncode == 0:
        return Failure(
            f"{requirement} is there without a wheel, and code of a package is not run to make one; make it yourself "
            f"(pip wheel --no-deps '{requirement}'), and name the file with --with"
        )
    return Failure(f"there is no package {requirement} in the package index; see how it is spelled, and the index in pip's settings (pip config list)")
