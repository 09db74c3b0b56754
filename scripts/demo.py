#!/usr/bin/env python3
"""Runs `word-count` over a real folder, kills the host with SIGKILL half way, resumes, and checks what it claims.

usage: demo.py [FOLDER]     (default: /usr/share/common-licenses)
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
EVERSTEP = PROJECT / "target/release/everstep"
GUEST = PROJECT / "examples/word-count/guest"
COMPONENT = PROJECT / "target/word-count.wasm"
WORK = PROJECT / "target/demo"
STORE = WORK / "store"
# What the function had printed when it was killed.
PRINTED = WORK / "printed.txt"

MIB = 1 << 20
LARGEST = 64 * MIB
LARGEST_SUM = 1024 * MIB
FEWEST = 4
ATTEMPTS = 10

POLICY = """\
version = 1
name = "demo"

[limits]
steps = 10_000_000
journal = "4GiB"
bytes_per_call = "64MiB"
memory = "1GiB"
wall = "30m"
cpu = "10m"

[[capability]]
name = "print"

[[files]]
id = "in"
guest = "/in"
host = {folder}
access = "read"
max_file = "64MiB"

[[files]]
id = "out"
guest = "/out"
host = "./out"
access = "write"
max_written = "1GiB"
max_files = 1_000_000

[audit]
file = "audit.jsonl"
"""


def main():
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "/usr/share/common-licenses").resolve()
    files = regular_files(folder)
    say(f"a sandboxed function counts the words of {len(files)} files in {folder}")
    say(f"it may read that folder, write {shown(WORK / 'out')}, and print: {shown(WORK / 'policy.toml')}")
    run(EVERSTEP, "build", GUEST, "-o", COMPONENT)

    if not any(killed_half_way(folder, len(files)) for _ in range(ATTEMPTS)):
        fail(f"the host was done {ATTEMPTS} times before it could be killed; name a folder with more or larger files")
    written, (recorded, begun) = snapshot(), steps()
    excerpt(PRINTED.read_text().splitlines())
    say(f"killed with SIGKILL: {len(written)} of {len(files)} files written, {len(recorded)} steps recorded, {begun} begun")

    resumed = run(EVERSTEP, "resume", "demo", "--json", "--store", STORE, stderr=subprocess.PIPE)
    excerpt(resumed.stderr.splitlines())
    result = json.loads(resumed.stdout)
    check(result["state"] == "completed", f"the execution ended as {result}")
    say(f"resumed to the end: {result['steps']} steps in all, {result['replayed']} of them replayed from the journal")
    check_nothing_repeated(written, recorded)
    check_totals(folder, files, result["result"])
    say(f"the store has every step: {shown(EVERSTEP)} show demo --store {shown(STORE)}")


def regular_files(folder):
    """The names of the files that the guest will count: links, folders, special files and odd names are skipped."""
    if not folder.is_dir():
        fail(f"{folder} is no folder")
    found = {entry.name: entry for entry in os.scandir(folder) if entry.is_file(follow_symlinks=False) and nameable(entry.name)}
    if len(found) < FEWEST:
        fail(f"{folder} holds {len(found)} regular files; name a folder with at least {FEWEST}")
    sizes = {name: entry.stat().st_size for name, entry in found.items()}
    refuse("larger than 64 MiB", folder, [name for name, size in sizes.items() if size > LARGEST])
    refuse("unreadable", folder, [name for name, entry in found.items() if not os.access(entry.path, os.R_OK)])
    refuse("too long a name for another .json", folder, [name for name in found if len(os.fsencode(name)) > 250])
    if sum(sizes.values()) > LARGEST_SUM:
        fail(f"{folder} holds more than 1 GiB, and all that is read is recorded; name a smaller folder")
    return sorted(found, key=os.fsencode)


def nameable(name):
    """Whether a guest can name the file: UTF-8, no control characters, no dot or space at the end."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return not re.search(r"[\x00-\x1f\x7f-\x9f]|[. ]\Z", name)


def refuse(what, folder, names):
    if names:
        fail(f"{folder} holds files that are {what}: {', '.join(names[:3])}; name another folder")


def killed_half_way(folder, files):
    """Starts the host in a fresh folder and kills it when half of the files are written; false if it was faster."""
    fresh_folder()
    (WORK / "out").mkdir(parents=True)
    # A JSON text is a TOML text.
    (WORK / "policy.toml").write_text(POLICY.format(folder=json.dumps(str(folder), ensure_ascii=False)))
    arguments = json.dumps({"input": "/in", "output": "/out"})
    command = [EVERSTEP, "run", COMPONENT, "count", "--id", "demo", "--args", arguments]
    command += ["--policy", WORK / "policy.toml", "--store", STORE]
    with PRINTED.open("wb") as printed:
        host = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=printed)
    try:
        while len(finished()) < files // 2 and host.poll() is None:
            pass
    finally:
        host.send_signal(signal.SIGKILL)
        code = host.wait()
    if code not in (0, -signal.SIGKILL):
        fail(f"the host ended with exit code {code} before it could be killed; it says why above")
    return code == -signal.SIGKILL and len(finished()) < files


def fresh_folder():
    """Clears the work folder, also when a host of an interrupted demo still writes there."""
    if WORK.exists():
        WORK.rename(WORK.with_name(f"demo.old.{os.getpid()}"))
    for old in WORK.parent.glob("demo.old.*"):
        shutil.rmtree(old, ignore_errors=True)


def steps():
    """Number, kind and subject of every step whose outcome is recorded, and how many more had begun."""
    told = json.loads(run(EVERSTEP, "show", "demo", "--json", "--store", STORE).stdout)["steps"]
    done = [step for step in told if step["outcome"]["state"] != "pending"]
    return [(step["n"], step["kind"], step["subject"]) for step in done], len(told) - len(done)


def check_nothing_repeated(written, recorded):
    """A recorded step has one line in the audit; a file whose write was recorded is the same file as before."""
    audit = map(json.loads, (WORK / "audit.jsonl").read_text().splitlines())
    made = Counter((line["step"], line["capability"]) for line in audit)
    for n, kind, subject in recorded:
        check(made[n, kind] == 1, f"step {n}, {kind} {subject}, was made {made[n, kind]} times")
    after = snapshot()
    paths = {subject for _, kind, subject in recorded if kind == "files.write"}
    whole = [name for name in written if f"/out/{name}" in paths]
    for name in whole:
        check(after[name] == written[name], f"{name} was written again")
    say(f"none of the {len(recorded)} recorded steps was made again: each has one line in {shown(WORK / 'audit.jsonl')}")
    say(f"none of the {len(whole)} files whose write was recorded was written again: inodes and times are those of before")


def check_totals(folder, files, totals):
    """The result, and the files that it is the sum of, against `wc`; words of files that are no plain text, against Python."""
    counts = {name: json.loads((WORK / "out" / f"{name}.json").read_text()) for name in files}
    for key in ("words", "bytes"):
        check(totals[key] == sum(count[key] for count in counts.values()), f"{key} is not the sum of the files'")
    check(totals["files"] == len(files) == len(finished()), f"{totals['files']} of {len(files)} files were counted")

    contents = ((name, (folder / name).read_bytes()) for name in files)
    others = {name: words(content) for name, content in contents if not is_plain(content)}
    plain = [name for name in files if name not in others]
    check(totals["bytes"] == wc("-c", folder, files), "wc counts other bytes; did a file change meanwhile?")
    check(sum(counts[name]["words"] for name in plain) == wc("-w", folder, plain), "wc counts other words")
    for name, expected in others.items():
        check(counts[name]["words"] == expected, f"{name} has {expected} words, not {counts[name]['words']}")
    exceptions = f" (words of {len(others)} files that are no plain text: Python's count)" if others else ""
    say(f"the totals equal those of wc{exceptions}: {json.dumps(totals)}")


# What Unicode calls white space.
WHITE_SPACE = re.compile("[\t-\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+")


def words(content):
    return len([word for word in WHITE_SPACE.split(content.decode(errors="replace")) if word])


def is_plain(content):
    """Whether every program agrees on what a word of it is: UTF-8, no control characters, no white space beyond ASCII."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return False
    return text.isascii() and not re.search(r"[\x00-\x08\x0e-\x1f\x7f]", text) or all(
        one.isprintable() or one in "\t\n\v\f\r" for one in text
    )


def wc(option, folder, names):
    """What `wc` counts in all those files together."""
    paths = b"".join(os.fsencode(folder / name) + b"\0" for name in names)
    command = ["wc", option, "--files0-from=-"]
    counted = subprocess.run(command, input=paths, stdout=subprocess.PIPE, env={**os.environ, "LC_ALL": "C.UTF-8"}, check=True)
    lines = counted.stdout.splitlines()
    return int(lines[-1].split()[0]) if lines else 0


def finished():
    """The names of the files written so far."""
    return [name for name in os.listdir(WORK / "out") if name.endswith(".json")]


def snapshot():
    """Inode and time of every file written so far."""
    status = {name: (WORK / "out" / name).stat() for name in finished()}
    return {name: (one.st_ino, one.st_mtime_ns) for name, one in status.items()}


def run(*command, stderr=None):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=stderr, text=True, errors="replace")
    if done.returncode != 0:
        sys.stderr.write(done.stderr or "")
        fail(f"{' '.join(map(str, command))} failed with exit code {done.returncode}")
    return done


def excerpt(lines):
    """The first and the last of many lines."""
    omitted = len(lines) - 4
    if omitted > 1:
        lines = lines[:2] + [f"... {omitted} lines ..."] + lines[-2:]
    for line in lines:
        print(f"      {line}", flush=True)


def shown(path):
    """A path of the project as a user would type it from there."""
    return path.relative_to(PROJECT)


def check(holds, message):
    if not holds:
        fail(f"FAILED: {message}")


def fail(message):
    sys.exit(f"demo: {message}")


def say(message):
    print(f"demo: {message}", flush=True)


try:
    main()
except KeyboardInterrupt:
    sys.exit("demo: interrupted")
