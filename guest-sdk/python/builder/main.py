"""Makes a component of CPython, the guest and some packages: what `everstep python build` runs.

Reads a request from standard input, `{"files": [FILE], "with": [REQUIREMENT], "preload": [MODULE], "name", "lock": text or null, "upgrade",
"cache": FOLDER}`, and writes `{"component": FILE, "lock": text, "digest", "is_cached"}` or `{"error": text}`. It runs in a folder of its own, beside which
nothing but the cache is written; progress goes to standard error. No code of a package runs here: what is imported is imported in the
component, while componentize-py makes it.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import archive
import guard
import libc
import lock
import resolving
import seek
import tools
from failure import Failure, say

# Built components that are kept, the ones used last.
KEPT = 8
SECTION = b"everstep-python"
WORK = Path(__file__).resolve().parent.parent


def build(request):
    cache = Path(request["cache"])
    wanted = lock.Wanted.of(request)
    pins = lock.known(request, wanted)
    environment = None
    if pins is None:
        environment = tools.environment(cache)
        pins = resolving.resolve(environment, wanted, WORK)
    key = hashlib.sha256(json.dumps([toolkit(), pins.lines, pins.requested, pins.preload]).encode()).hexdigest()
    built = cache / "built" / f"{key}.wasm"
    is_cached = built.is_file()
    if is_cached:
        say("taken from the cache")
        os.utime(built)
    else:
        store(make(environment or tools.environment(cache), pins), built)
    digest = "sha256:" + hashlib.sha256(built.read_bytes()).hexdigest()
    return {"component": str(built), "lock": lock.text(request["name"], wanted, pins, digest), "digest": digest, "is_cached": is_cached}


def toolkit():
    """The digest of all that a component is made of besides packages."""
    files = sorted(path for part in ("builder", "guest", "native", "wit") for path in (WORK / part).rglob("*") if path.is_file())
    whole = b"".join(b"%b\0%b\0" % (os.fsencode(path.relative_to(WORK)), path.read_bytes()) for path in files)
    return hashlib.sha256(whole).hexdigest()


def make(environment, pins):
    """The component, in the folder of the build."""
    folder, out = WORK / "packages", WORK / "component.wasm"
    folder.mkdir()
    installed = archive.install(environment, pins, WORK)
    archive.write(WORK / "site", folder / "packages.zip")
    imports = archive.imports(WORK / "site", installed, pins)
    (folder / "order.json").write_text(json.dumps({"imports": imports}))
    say(f"building CPython with {', '.join(map(str, installed))}")
    # Where componentize-py would look for more packages: there are none.
    (WORK / "none/lib/python3/site-packages").mkdir(parents=True)
    call = "import sys, componentize_py; sys.argv[0] = 'componentize-py'; componentize_py.script()"
    (WORK / "native").mkdir(exist_ok=True)
    folders = [argument for folder in ("guest", "packages", "native") for argument in ("-p", folder)]
    command = [environment.python, "-c", call, "-d", "wit", "-w", "durable", "componentize", *folders, "app", "-o", out]
    done = subprocess.run(command, cwd=WORK, env={**os.environ, "VIRTUAL_ENV": str(WORK / "none")}, capture_output=True, text=True)
    report = folder / "report.json"
    report = json.loads(report.read_text()) if report.exists() else {"errors": []}
    if report["errors"]:
        raise Failure("\n".join(archive.refusal(error, installed) for error in report["errors"]))
    if done.returncode != 0:
        raise Failure("componentize-py could not make the component:\n" + (done.stdout + done.stderr).partition("Stack backtrace:")[0][-4000:].strip())
    for each in report["waiting"]:
        where = f" ({each['where']})" if each["where"] else ""
        say(f"{each['module']} is imported by programs, as they run: {each['reason']} as it is imported{where}")
    guard.main(out)
    seek.main(out)
    libc.main(out)
    described = {
        "python": report["python"],
        "packages": [each.described() for each in installed],
        "imported": report["imported"],
        "waiting": [each["module"] for each in report["waiting"]],
    }
    with open(out, "ab") as file:
        file.write(guard.section(0, guard.put(len(SECTION)) + SECTION + json.dumps(described).encode()))
    return out


def store(component, built):
    built.parent.mkdir(parents=True, exist_ok=True)
    part = built.with_suffix(f".{os.getpid()}.part")
    shutil.move(component, part)
    part.rename(built)
    by_age = sorted(built.parent.glob("*.wasm"), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in by_age[KEPT:]:
        old.unlink(missing_ok=True)


def main():
    try:
        result = build(json.load(sys.stdin))
    except Failure as failure:
        result = {"error": str(failure)}
    except OSError as error:
        result = {"error": f"{error.filename or 'a file of the build'}: {error.strerror or error}"}
    json.dump(result, sys.stdout)


main()
