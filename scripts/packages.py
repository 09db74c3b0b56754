#!/usr/bin/env python3
"""Builds the packages of tests/packages/top in, a file of it into one component, runs the example of each, and writes the table
tests/packages/RESULTS.md. It needs the package index.

usage: packages.py [NAME ...]     (default: all of them; with names, nothing is written)
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
EVERSTEP = PROJECT / "target/release/everstep"
TOP = PROJECT / "tests/packages/top"
RESULTS = PROJECT / "tests/packages/RESULTS.md"
# Seconds that an example may take, on a busy machine too.
PATIENCE = 300
# What they have: all of the packages of a file take memory, also of an example that uses one.
POLICY = """version = 1
[limits]
memory = "512MiB"
wall = "300s"
cpu = "60s"
[clock]
mode = "recorded"
[random]
mode = "seeded"
[[capability]]
name = "print"
[[files]]
id = "tmp"
guest = "/tmp"
access = "scratch"
"""
# A build that cannot import a package names it so, with the reason; or one that it needs.
REFUSED = re.compile(r"(?:error: |^)(\S+?) (\S+) (?:cannot be imported|is native code)[^\n]*", re.M)
NEEDED = re.compile(r"error: \S+ \S+((?:, which .+? needs)+), is native code[^\n]*")


def examples(file):
    """The names of its packages, each with its example and what that prints."""
    for part in re.split(r"^#: ", file.read_text("utf-8"), flags=re.M)[1:]:
        name, _, code = part.partition("\n")
        lines = [line.removeprefix("#>").removeprefix(" ") for line in code.splitlines() if line.startswith("#>")]
        yield name, code, lines


def build(names, component):
    """Builds those in that can be; the others with the reason why not."""
    refused = {}
    while True:
        wanted = [name for name in names if name not in refused]
        call = [EVERSTEP, "python", "build", "--cache", PROJECT / "target/python-top", "-o", component, "--upgrade", "--json", "--with", *wanted]
        done = subprocess.run(call, capture_output=True, text=True)
        if done.returncode == 0:
            return json.loads(done.stdout), refused
        found = _refused(done.stderr, wanted)
        if not found:
            raise SystemExit(f"{component.name} cannot be built:\n{done.stderr}")
        refused |= found


def _refused(said, wanted):
    """The packages that a build refuses, by the names that were asked for."""
    found = {}
    needed = NEEDED.search(said)
    for match in [needed] if needed else REFUSED.finditer(said):
        named = re.split(" and |, which | needs", match[1])
        for name in wanted:
            if any(normal(name) == normal(each) for each in named):
                found[name] = match[0].removeprefix("error: ")
    return found


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def run(component, code, folder):
    """What an example prints, and the last line of its error."""
    script = folder / "example.py"
    script.write_text(code, "utf-8")
    (folder / "policy.toml").write_text(POLICY)
    call = [EVERSTEP, "exec", "--store", "memory", "--policy", folder / "policy.toml", "--python", component, script]
    try:
        done = subprocess.run(call, capture_output=True, text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        return [], f"it took more than {PATIENCE} s"
    return done.stdout.splitlines(), (done.stderr.strip().splitlines() or [""])[-1] if done.returncode else ""


def main():
    asked = sys.argv[1:]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for file in sorted(TOP.glob("*.py")):
            sections = [section for section in examples(file) if not asked or section[0] in asked]
            if not sections:
                continue
            component = folder / f"{file.stem}.wasm"
            built, refused = build([name for name, _, _ in sections], component)
            versions = {normal(each["name"]): each["version"] for each in built["packages"]}
            for name, code, expected in sections:
                if name in refused:
                    rows.append((name, "", False, False, refused[name]))
                    continue
                printed, error = run(component, code, folder)
                why = error or ("" if printed == expected else f"it prints {printed!r}")
                rows.append((name, versions[normal(name)], True, not why, why))
                print(f"{name}: {why or 'works'}", flush=True)
    write(rows, asked)
    sys.exit(not all(works or not imported for _, _, imported, works, _ in rows))


def write(rows, asked):
    """The table, and its sum."""
    imported, worked = sum(row[2] for row in rows), sum(row[3] for row in rows)
    says = f"{len(rows)} packages: {imported} are imported, the example of {worked} does what it does elsewhere"
    print(says)
    for name, _, is_imported, _, why in rows:
        if not is_imported:
            print(f"{name}: {why}")
    if asked:
        return
    lines = [
        "# Packages that people install most",
        "",
        "Written by `make packages` from the examples in [`top`](top): pure packages, and those that may do without their native code, of the ones that are",
        "installed most from PyPI. Each file of `top` is one component, with all of its packages imported while it is built; an example runs alone in it,",
        "with `limits.memory` of 512 MiB.",
        "",
        f"**{says}.**",
        "",
        "| package | version | imported | example | why not |",
        "|---|---|---|---|---|",
    ]
    for name, version, is_imported, works, why in sorted(rows):
        lines.append(f"| {name} | {version} | {'yes' if is_imported else 'no'} | {'yes' if works else 'no'} | {why.replace('|', '/')} |")
    RESULTS.write_text("\n".join(lines) + "\n", "utf-8")


main()
