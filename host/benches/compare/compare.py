"""Everstep beside what a user could pick instead, on this machine and in one run: prints a table, and draws docs/compare.svg.

Each contestant is a process that does what it reads, a line of JSON each, and answers each with a line of JSON; times are seconds:

    ["steps", N]                    an execution of N steps: how long it took
    ["external", N]                 the same with steps whose effect leaves the process (Everstep alone tells the two apart)
    ["one", N]                      N executions of one step, one after the other: how long each took
    ["wide", W, N]                  N executions of one step, W of them under way at any time: how long all took
    ["witnessed", ID, N, FILE]      starts an execution whose steps each add the moment, in nanoseconds, to FILE
    ["resume", ID, N, FILE]         whatever is needed, after a kill, for that to go on

Rounds are taken in turns, each from an empty store, because the speed of a disk drifts; a figure is the median of three rounds. The
raw sync is measured before each contestant: 256 bytes appended to a file, or written over, and `fdatasync`.
"""

import contextlib
import json
import math
import os
import pathlib
import platform
import pwd
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
PROJECT = HERE.parents[2]
TOOLS = PROJECT / "target/compare"
EVERSTEP = PROJECT / "target/release/everstep"
ROUNDS = 3
STEPS, ONES, WIDTH, WIDE = 1_000, 200, 16, 1_600
KILLED_AT = 500

PROGRAMS = {
    "print(1+1)": "print(1+1)",
    "words, JSON and regular expressions": """
import collections, json, re
text = " ".join(f"word{number * 7919 % 977}" for number in range(60_000))
counts = collections.Counter(re.findall(r"w(ord\\d+)", text))
for _ in range(40):
    assert json.loads(json.dumps(counts)) == counts
print(counts.most_common(1))
""",
}


class Process:
    """A process that ends with the comparison, and what it says once it is ready."""

    started = []

    def __init__(self, command, ready=None, stdout=subprocess.PIPE, **options):
        self.child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=stdout, text=True, **options)
        self.started.append(self)
        if ready:
            said = self.child.stdout.readline().strip()
            assert said == ready, f"{command[0]}: {said!r}"

    def ask(self, *command):
        self.child.stdin.write(json.dumps(command) + "\n")
        self.child.stdin.flush()
        return json.loads(self.child.stdout.readline())

    def end(self, how=signal.SIGKILL):
        self.child.send_signal(how)
        self.child.wait()


class Contestant:
    """A contestant in a folder: processes beside the one that is asked, and the one whose death is survived."""

    def __init__(self, folder):
        self.folder, self.others = folder, []
        self.start()

    def ask(self, *command):
        return self.driver.ask(*command)

    def end(self):
        for process in [self.driver, *reversed(self.others)]:
            process.end()

    def kill(self):
        """Kills what runs the steps."""
        self.driver.end()

    def restart(self):
        self.start_driver()

    def memory(self):
        """The memory of all of its processes, in MB: what several share counts once."""
        roots = {process.child.pid for process in [self.driver, *self.others]}
        return sum(map(proportional, descendants(roots))) / 1e3


class Everstep(Contestant):
    name = "Everstep"
    versions = json.loads(subprocess.check_output([EVERSTEP, "version", "--json"]))
    version = versions["everstep"]
    durable = "before anything that depends on it leaves the process; SQLite's log, `fsync`"

    def start(self):
        self.start_driver()

    def start_driver(self):
        self.driver = Process([os.environ["COMPARE_EVERSTEP"], self.folder], '"ready"')


class Dbos(Contestant):
    name = "DBOS"
    version = "Rust 0.5.0"
    durable = "before the next step begins; PostgreSQL, `synchronous_commit`"
    postgres = None

    def start(self):
        name = self.folder.name.replace("-", "_")
        subprocess.run([binary("createdb"), "--host", "127.0.0.1", "--port", str(self.postgres.port), "--username", "compare", name], check=True)
        self.url = f"postgres://compare@127.0.0.1:{self.postgres.port}/{name}"
        self.start_driver()

    def start_driver(self):
        program = TOOLS / "dbos/release/compare-dbos"
        self.driver = Process([program], '"ready"', env={**os.environ, "DBOS_DATABASE_URL": self.url})

    def memory(self):
        return super().memory() + sum(map(proportional, descendants({self.postgres.process.child.pid}))) / 1e3


class Restate(Contestant):
    name = "Restate"
    version = "1.7.12, TypeScript"
    durable = "before the next step begins; its own log on RocksDB, `fdatasync`"

    def start(self):
        self.ingress, admin, node, self.port = (free_port() for _ in range(4))
        environment = {
            **os.environ,
            "RESTATE_INGRESS__BIND_ADDRESS": f"127.0.0.1:{self.ingress}",
            "RESTATE_ADMIN__BIND_ADDRESS": f"127.0.0.1:{admin}",
            "RESTATE_BIND_ADDRESS": f"127.0.0.1:{node}",
            "RESTATE_ADVERTISED_ADDRESS": f"http://127.0.0.1:{node}",
            "RESTATE_DISABLE_TELEMETRY": "true",
            "RESTATE_LISTEN_MODE": "tcp",
        }
        program = next((TOOLS / "restate/node_modules/@restatedev").glob("restate-server-*/bin/restate-server"))
        with open(self.folder / "log", "wb") as log:
            command = [program, "--no-logo", "--base-dir", self.folder / "data"]
            server = Process(command, env=environment, stdout=log, stderr=log)
        self.worker = self.start_worker()
        self.others = [server, self.worker]
        until("Restate", lambda: answers(f"http://127.0.0.1:{admin}/health"))
        request = urllib.request.Request(
            f"http://127.0.0.1:{admin}/deployments",
            data=json.dumps({"uri": f"http://127.0.0.1:{self.port}"}).encode(),
            headers={"content-type": "application/json"},
        )
        urllib.request.urlopen(request).read()
        until("Restate", lambda: answers(f"http://127.0.0.1:{self.ingress}/restate/health"))
        self.start_driver()

    def start_worker(self):
        with open(self.folder / "worker.log", "wb") as log:
            worker = Process(["node", TOOLS / "restate/worker.mjs", str(self.port)], stdout=log, stderr=log)
        until("the worker", lambda: accepts(self.port))
        return worker

    def start_driver(self):
        self.driver = Process(["node", TOOLS / "restate/driver.mjs", f"http://127.0.0.1:{self.ingress}"], '"ready"')

    def kill(self):
        self.worker.end()

    def restart(self):
        self.worker = self.start_worker()
        self.others[1] = self.worker


class Postgres:
    """A PostgreSQL of its own, which root has to start as somebody else."""

    def __init__(self, folder):
        self.port = free_port()
        data = folder / "postgres"
        data.mkdir()
        as_user = []
        if os.getuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(data, user.pw_uid, user.pw_gid)
            as_user = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        options = ["--username=compare", "--auth=trust", "--encoding=UTF8", "--locale=C"]
        subprocess.run([*as_user, binary("initdb"), f"--pgdata={data}", *options], check=True, stdout=subprocess.DEVNULL)
        serve = [binary("postgres"), "-D", data, "-p", str(self.port), "-k", data, "-h", "127.0.0.1"]
        with open(folder / "postgres.log", "wb") as log:
            self.process = Process([*as_user, *serve], stdout=log, stderr=log)
        ready = [binary("pg_isready"), "--host", "127.0.0.1", "--port", str(self.port)]
        until("PostgreSQL", lambda: subprocess.run(ready, stdout=subprocess.DEVNULL).returncode == 0)

    def end(self):
        self.process.end(signal.SIGINT)


def end_all():
    for process in Process.started:
        process.child.kill()


def binary(name):
    """A program of PostgreSQL, which Debian keeps where no path leads."""
    found = shutil.which(name) or next(map(str, sorted(pathlib.Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))), None)
    return found or sys.exit(f"{name} is missing: scripts/compare.sh installs PostgreSQL")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def accepts(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True


def answers(url):
    try:
        return urllib.request.urlopen(url, timeout=1).status == 200
    except OSError:
        return False


def until(what, look):
    for _ in range(6_000):
        if look():
            return
        time.sleep(0.01)
    sys.exit(f"{what} is not ready within a minute")


def descendants(roots):
    parents = {}
    for entry in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(entry.parent.name)] = int(entry.read_text().rsplit(")", 1)[1].split()[1])
    found = set(roots)
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def proportional(pid):
    """Kilobytes of a process; what it shares with others in part."""
    with contextlib.suppress(OSError):
        for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0


def raw_syncs(folder):
    """Syncs per second: of 256 bytes appended, and of 256 bytes written over."""
    rates, count = [], 300
    for in_place in [False, True]:
        path = folder / "raw"
        path.write_bytes(bytes(256) if in_place else b"")
        file = os.open(path, os.O_WRONLY)
        os.fsync(file)
        begun = time.perf_counter()
        for at in range(count):
            os.pwrite(file, bytes([7]) * 256, 0 if in_place else at * 256)
            os.fdatasync(file)
        rates.append(count / (time.perf_counter() - begun))
        os.close(file)
    return rates


def recovery(contestant):
    """Seconds from a SIGKILL after 500 steps to the next one."""
    file = contestant.folder / "witness"
    file.touch()
    order = ("killed", STEPS, str(file))
    contestant.ask("witnessed", *order)
    until("500 steps", lambda: file.read_bytes().count(b"\n") >= KILLED_AT)
    contestant.kill()
    killed = time.time_ns()
    seen = file.read_bytes().count(b"\n")
    assert seen < STEPS, "all steps were over before the kill"
    contestant.restart()
    contestant.ask("resume", *order)
    until("a step", lambda: file.read_bytes().count(b"\n") > seen)
    return (int(file.read_text().splitlines()[seen]) - killed) / 1e9


def measure(contestant):
    """The rows of one round."""
    contestant.ask("steps", 100)
    rows = {"steps": STEPS / contestant.ask("steps", STEPS)}
    rows["external"] = STEPS / contestant.ask("external", STEPS) if contestant.name == "Everstep" else rows["steps"]
    contestant.ask("one", 20)
    took = sorted(contestant.ask("one", ONES))
    rows["p50"], rows["p99"] = statistics.median(took), took[len(took) * 99 // 100]
    contestant.ask("wide", WIDTH, WIDTH)
    rows["wide"] = WIDE / contestant.ask("wide", WIDTH, WIDE)
    rows["memory"] = contestant.memory()
    rows["recovery"] = recovery(contestant)
    return rows


def pythons(folder):
    """Seconds of each program: of CPython without what is installed for it, and of ours over a store in a folder."""
    rows = {}
    for number, (name, program) in enumerate(PROGRAMS.items()):
        script = folder / f"program{number}.py"
        script.write_text(program)
        ours = [EVERSTEP, "exec", script, "--store", folder / "python"]
        for who, command in [("CPython", [sys.executable, "-S", script]), ("Everstep", ours)]:
            printed, took = set(), []
            for _ in range(6):
                begun = time.perf_counter()
                printed.add(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
                took.append(time.perf_counter() - begun)
            assert len(printed) == 1, printed
            # The first one fills the caches.
            rows[name, who] = statistics.median(took[1:])
    return rows


def medians(rounds):
    return {row: statistics.median(each[row] for each in rounds) for row in rounds[0]}


def milliseconds(seconds):
    return f"{seconds * 1e3:.3g} ms" if seconds < 1 else f"{seconds:.2f} s"


ROWS = [
    # Name, what is measured, how it is written, whether more is better.
    ("steps", "recorded steps in a loop of 1,000, per second", lambda value: f"{value:,.0f}", True),
    ("external", "steps with an effect outside, per second", lambda value: f"{value:,.0f}", True),
    ("p50", "execution of one step, median", milliseconds, False),
    ("p99", "... 99 of 100 within", milliseconds, False),
    ("wide", "executions of one step, 16 at once, per second", lambda value: f"{value:,.0f}", True),
    ("recovery", "from SIGKILL after 500 steps to the next step", milliseconds, False),
    ("memory", "memory of all processes", lambda value: f"{value:,.0f} MB", False),
]


def table(found, raw, python, files):
    """Markdown."""
    contestants = [Everstep, Dbos, Restate]
    lines = ["| | " + " | ".join(f"{each.name} {each.version}" for each in contestants) + " |", "|---|---|---|---|"]
    for row, what, written, more in ROWS:
        cells = []
        for each in contestants:
            value, ours = found[each.name][row], found["Everstep"][row]
            ratio = ours / value if more else value / ours
            cells.append(written(value) + ("" if each is Everstep else f" ({ratio:.3g} x)"))
        lines.append(f"| {what} | " + " | ".join(cells) + " |")
    lines.append("| a step is durable | " + " | ".join(each.durable for each in contestants) + " |")
    append, in_place = raw
    ours = found["Everstep"]
    lines += [
        "",
        "In brackets: how many times better Everstep is. Beside them, in the same run:",
        "",
        "| | | Everstep |",
        "|---|---|---|",
        f"| raw sync: 256 bytes appended; written over | {append:,.0f}/s; {in_place:,.0f}/s | external steps: {ours['external'] / append:.2f} of those appended |",
        f"| ... | {1e3 / append:.3f} ms | execution of one step: 1.5 syncs + {1e3 * (ours['p50'] - 1.5 / append):.2f} ms |",
        f"| plain wasmtime {Everstep.versions['wasmtime']}: a program reads 1,000 files | {milliseconds(files['bare files'])} | {milliseconds(files['files'])}, {files['files'] / files['bare files']:.2f} x |",
    ]
    for name in PROGRAMS:
        theirs, mine = python[name, "CPython"], python[name, "Everstep"]
        lines.append(f"| plain CPython {platform.python_version()} (`-S`): {name} | {milliseconds(theirs)} | {milliseconds(mine)}, {mine / theirs:.1f} x |")
    return "\n".join(lines)


def picture(found):
    """An SVG: for each row a bar of each contestant, on a logarithmic scale."""
    panels = [("steps", "recorded steps per second"), ("wide", "executions per second, 16 at once"), ("recovery", "kill to next step, shorter is better")]
    colours = {"Everstep": "#1f6feb", "DBOS": "#8b949e", "Restate": "#b1bac4"}
    parts, top = [], 16
    for row, title in panels:
        written = next(how for name, _, how, _ in ROWS if name == row)
        values = {name: rows[row] for name, rows in found.items()}
        least, most = min(values.values()) / 3, max(values.values())
        parts.append(f'<text x="12" y="{top}" font-weight="bold">{title}</text>')
        for number, (name, value) in enumerate(values.items()):
            y = top + 10 + number * 20
            width = 380 * math.log(value / least) / math.log(most / least)
            parts.append(f'<text x="12" y="{y + 12}">{name}</text>')
            parts.append(f'<rect x="84" y="{y}" width="{width:.0f}" height="15" fill="{colours[name]}"/>')
            parts.append(f'<text x="{90 + width:.0f}" y="{y + 12}">{written(value)}</text>')
        top += 96
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 580 {top - 16}" font-family="sans-serif" font-size="13" fill="#57606a">'
    title = "<title>Everstep, DBOS and Restate on one machine, in one run; logarithmic scales: make compare</title>"
    return "\n".join([head, title, *parts, "</svg>", ""])


def main():
    with tempfile.TemporaryDirectory(dir=os.environ.get("EVERSTEP_BENCH_DIR", TOOLS)) as temporary:
        folder = pathlib.Path(temporary)
        # PostgreSQL runs as somebody else.
        folder.chmod(0o755)
        Dbos.postgres = Postgres(folder)
        rounds, raws, programs, files = {}, [], [], []
        try:
            for number in range(ROUNDS):
                for kind in [Everstep, Dbos, Restate]:
                    own = folder / f"{kind.name.lower()}-{number}"
                    own.mkdir()
                    raws.append(raw_syncs(folder))
                    contestant = kind(own)
                    rounds.setdefault(kind.name, []).append(measure(contestant))
                    if kind is Everstep:
                        # Once more for each of the two, to fill the caches.
                        files.append([{row: contestant.ask(row) for row in ["bare files", "files"]} for _ in range(4)][1:])
                    contestant.end()
                    print(f"round {number + 1}, {kind.name}: {rounds[kind.name][-1]}", file=sys.stderr)
                programs.append(pythons(folder))
        finally:
            Dbos.postgres.end()
            end_all()
    found = {name: medians(each) for name, each in rounds.items()}
    raw = [statistics.median(each) for each in zip(*raws)]
    text = table(found, raw, medians(programs), medians([turn for each in files for turn in each]))
    print(text)
    if os.environ.get("WRITE"):
        print(f"{platform.machine()}, {os.cpu_count()} processors, Linux {platform.release()}")
        (PROJECT / "docs/compare.svg").write_text(picture(found))


if __name__ == "__main__":
    main()
