#!/usr/bin/env python3
"""Runs modules of CPython's test suite in the sandbox, each in an execution of its own, and compares the outcomes with `expected.json`.

check.py LIB [MODULE ...]            compare, all modules or those
check.py LIB --write [MODULE ...]    write what is found into expected.json and RESULTS.md; modules that are new join the table
"""

import collections
import concurrent.futures
import json
import pathlib
import re
import shutil
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
PROJECT = HERE.parent.parent
WORK = PROJECT / "target/cpython/run"
EXPECTED, REASONS, RESULTS = HERE / "expected.json", HERE / "reasons.json", HERE / "RESULTS.md"
# Tests for what read or wrote memory that was not its own in the component's Python. What such a test does depends on what lies there, which
# differs from one build of the component to the next, and what it overwrites ends a later test. From the changelog of CPython.
FAULTS = {rule["match"]: rule["reason"] for rule in json.loads((HERE / "faults.json").read_text())}
# Of CPU: most modules take less than one, and a busy machine does not count. What waits for ever ends with the other.
CPU, WALL = 60, 300
# A module that ends early more often than that is not worth its time.
MOST_LEFT_OUT = 8
POLICY = """\
version = 1
name = "cpython"
[limits]
wasm_stack = "8MiB"
cpu = "{cpu}s"
wall = "{wall}s"
memory = "1GiB"
steps = "unlimited"
output = "unlimited"
journal = "unlimited"
table_elements = "unlimited"
bytes_per_call = "64MiB"
[clock]
mode = "recorded"
[random]
mode = "seeded"
[[capability]]
name = "print"
[[files]]
id = "lib"
guest = "/lib"
host = "{lib}"
access = "read"
[[files]]
id = "tmp"
guest = "/tmp"
host = "./tmp"
access = "write"
max_file = "64MiB"
max_written = "16GiB"
max_files = 1_000_000
"""


class Run:
    """What became of the tests of a module: `passed` ids, `failed` and `skipped` ids with reasons; `broken` is how a run was cut off.

    `faults` are the tests of FAULTS, which do not run.
    """

    def __init__(self, lib, name, options):
        self.passed, self.failed, self.skipped, self.faults, self.broken, self.at = [], {}, {}, {}, None, None
        folder = WORK / name
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "tmp").mkdir(parents=True)
        (folder / "policy.toml").write_text(POLICY.format(lib=lib, cpu=CPU, wall=WALL))
        job = {key: list(options.get(key, ())) for key in ("left_out", "assumed", "stubs")}
        job |= {"module": name, "faults": list(FAULTS)}
        (folder / "tmp/job.json").write_text(json.dumps(job))
        command = [PROJECT / "target/release/everstep", "exec", HERE / "run.py", "--store", "memory", "--policy", "policy.toml", "--id", "cpython"]
        output, errors = (folder / "output").open("wb"), (folder / "errors").open("wb")
        try:
            code = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, timeout=WALL + 10).returncode
        except subprocess.TimeoutExpired:
            code = None
        ended = self._read((folder / "output").read_text(errors="replace"))
        if not ended:
            said = (folder / "errors").read_text(errors="replace").strip().splitlines() or [""]
            said = [line for line in said if "halted" in line or "Error" in line] or said
            self.broken = "no end" if code is None or "cpu" in said[-1] or "wall" in said[-1] else said[-1][:200]

    def _read(self, text):
        ended = False
        for line in text.splitlines():
            try:
                record = json.loads(line.partition("@{")[1].removeprefix("@") + line.partition("@{")[2])
            except ValueError:
                continue
            if "start" in record:
                self.at = record["start"]
            elif "end" in record:
                ended = True
            elif "fault" in record:
                self.faults[record["fault"]] = next(reason for match, reason in FAULTS.items() if re.search(match, record["fault"]))
            elif record["outcome"] == "passed":
                self.passed.append(record["id"])
            else:
                kind = self.skipped if record["outcome"] == "skipped" else self.failed
                kind[record["id"]] = " ".join(record["reason"].split())
            if "id" in record:
                self.at = None
        return ended


def differences(name, found, expected):
    """What a reader has to know: regressions first, then what the table says and what is not so any more."""
    if found.broken:
        return [f"{name}: {found.broken}, in {found.at or 'the module'}"], []
    worse = [f"{one}: {reason}" for one, reason in found.failed.items() if one not in expected["failed"]]
    worse += [f"{one}: skipped now: {reason}" for one, reason in found.skipped.items() if one not in expected["skipped"]]
    known = {*found.passed, *found.failed, *found.skipped}
    gone = [one for kind in ("failed", "skipped") for one in expected[kind] if one not in known]
    # Two classes made by one function share their names.
    passed = [one for one in found.passed if one not in found.failed and one not in found.skipped]
    better = [f"{one}: passes now" for one in passed if one in expected["failed"] or one in expected["skipped"]]
    if not worse and not better and (gone or len(found.passed) != expected["passed"]):
        worse.append(f"{name}: {len(found.passed)} pass instead of {expected['passed']}" + "".join(f"; {one} is gone" for one in gone))
    if not found.faults.items() <= expected["left_out"].items():
        better.append(f"{name}: other tests are left out for faults in memory")
    return worse, better


def compare(lib, names, table):
    regressions, stale = [], []

    def one(name):
        found = Run(lib, name, table["modules"][name])
        worse, better = differences(name, found, table["modules"][name])
        if worse or better:
            # Once more, so that a busy machine is not taken for a fault.
            found = Run(lib, name, table["modules"][name])
            worse, better = differences(name, found, table["modules"][name])
        return found, worse, better

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(one, names))
    for found, worse, better in outcomes:
        regressions += worse
        stale += better
    for line in regressions:
        print(f"cpython: REGRESSION {line}")
    for line in stale:
        print(f"cpython: STALE {line}; `make cpython WRITE=1` writes the table anew")
    if not regressions and RESULTS.read_text() != markdown(table):
        stale.append("RESULTS.md")
        print("cpython: STALE RESULTS.md is not what expected.json says; `make cpython WRITE=1` writes both")
    total = [sum(len(getattr(found, kind)) for found, _, _ in outcomes) for kind in ("passed", "failed", "skipped")]
    print("cpython: {} modules: {} tests pass, {} fail and {} are skipped".format(len(names), *total), end="")
    print(" otherwise than in tests/cpython/RESULTS.md" if regressions or stale else " as in tests/cpython/RESULTS.md")
    return 1 if regressions or stale else 0


def write(lib, names, table):
    rules = [(re.compile(rule["match"]), rule["reason"]) for rule in json.loads(REASONS.read_text())]

    def explained(one, message):
        return next((reason for pattern, reason in rules if pattern.search(f"{one}: {message}")), f"not explained: {message[:160]}")

    def one(name):
        options = table["modules"].setdefault(name, {})
        left_out = options.setdefault("left_out", {})
        while True:
            found = Run(lib, name, options)
            if not found.broken:
                break
            print(f"cpython: {name}: {found.broken}, in {found.at or 'the module'}", flush=True)
            if found.at is None or found.at in left_out or len(left_out) >= MOST_LEFT_OUT:
                print(f"cpython: {name}: left out whole", flush=True)
                del table["modules"][name]
                return
            left_out[found.at] = explained(found.at, found.broken)
        left_out = {key: explained(key, value.removeprefix("not explained: ")) if value.startswith("not explained: ") else value for key, value in left_out.items()}
        options["left_out"] = dict(sorted((left_out | found.faults).items()))
        options["passed"] = len(found.passed)
        options["failed"] = {key: explained(key, value) for key, value in sorted(found.failed.items())}
        options["skipped"] = dict(sorted(found.skipped.items()))

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for _ in pool.map(one, names):
            pass
    table["modules"] = dict(sorted(table["modules"].items()))
    EXPECTED.write_text(json.dumps(table, indent=1, ensure_ascii=False) + "\n")
    RESULTS.write_text(markdown(table))


def markdown(table):
    modules = table["modules"]
    total = {kind: sum(len(module[kind]) for module in modules.values()) for kind in ("failed", "skipped", "left_out")}
    passed = sum(module["passed"] for module in modules.values())
    lines = [
        "# CPython's own tests in the sandbox",
        "",
        "Written by `make cpython WRITE=1` from [`expected.json`](expected.json), which has every test that fails or is skipped, with the reason.",
        f"The component holds CPython {table['python']}; the tests are those of {table['suite']} (Debian's `libpython3.14-testsuite`), so a test of",
        "something that was fixed between the two fails here. A test that would end the whole module, by a trap or by never ending, is left out, and so",
        "is a test for a fault in memory that the component's Python still has ([`faults.json`](faults.json)): what it finds there differs by build.",
        "The reasons of failures are given by pattern ([`reasons.json`](reasons.json)), those of skips by the tests themselves.",
        "",
        f"**{len(modules)} modules: {passed} tests pass, {total['failed']} fail, {total['skipped']} are skipped, {total['left_out']} are left out.**",
        "",
        "| module | passed | failed | skipped | left out | why |",
        "|---|---|---|---|---|---|",
    ]
    for name, module in modules.items():
        counts = [module["passed"], *(len(module[kind]) for kind in ("failed", "skipped", "left_out"))]
        why = "; ".join(grouped(module[kind], verb) for kind, verb in (("failed", "fails"), ("left_out", "left out"), ("skipped", "skipped")) if module[kind])
        lines.append("| " + " | ".join([name, *map(str, counts), why.replace("|", "\\|")]) + " |")
    return "\n".join(lines) + "\n"


def grouped(reasons, verb):
    counts = collections.Counter(reason if not reason.startswith("not explained") else "not explained" for reason in reasons.values())
    shown = [f"{count} × {reason}" for reason, count in counts.most_common(5)]
    rest = sum(count for _, count in counts.most_common()[5:])
    return f"{verb}: " + ", ".join(shown + [f"{rest} for other reasons"] * bool(rest))


def main(lib, *args):
    begin = time.monotonic()
    table = json.loads(EXPECTED.read_text())
    wanted = [arg for arg in args if arg != "--write"]
    if "--write" in args:
        write(lib, wanted or list(table["modules"]), table)
        code = 0
    else:
        code = compare(lib, wanted or list(table["modules"]), table)
    print(f"cpython: {time.monotonic() - begin:.0f} s")
    return code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
