"""Checks CPython with science as a user has it: `check.py EVERSTEP`, with EVERSTEP_PYTHON_CACHE naming the folder where `everstep python science` has put it."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROGRAM = Path(sys.argv[1]).resolve()
HERE = Path(__file__).resolve().parent
POLICY = """\
version = 1
name = "science"
[limits]
cpu = "5s"
memory = "512MiB"
output = "1MiB"
[clock]
mode = "recorded"
[random]
mode = "seeded"
[[capability]]
name = "print"
[[capability]]
name = "display"
[[capability]]
name = "session"
[[files]]
id = "scratch"
guest = "/tmp"
access = "scratch"
max_file = "64MiB"
max_written = "128MiB"
max_files = 1000
"""
# Each with what the error of its cell says.
ATTACKS = [
    ("while True: pass", "limits.cpu"),
    ("import numpy as np\na = np.ones((3000, 3000))\nwhile True: a @ a", "limits.cpu"),
    ("import numpy as np\nnp.ones((1 << 13, 1 << 13))", "MemoryError"),
    ("import numpy as np\nkept = []\nwhile True: kept.append(np.ones(1 << 20))", "MemoryError"),
    ("import sys\nsys.setrecursionlimit(10 ** 7)\ndef f(): f()\nf()", ""),
    ("def f(): f()\nf()", "RecursionError"),
    ("import json\njson.loads('[' * 100000)", "RecursionError"),
    ("eval('(' * 5000 + ')' * 5000)", ""),
    ("x = []\nfor _ in range(200000): x = [x]\nrepr(x)", "RecursionError"),
    ("import numpy as np\nnp.lib.stride_tricks.as_strided(np.ones(1), (1 << 28,), (8,)).sum()", ""),
    ("import numpy as np\nnp.lib.stride_tricks.as_strided(np.ones(4), (1 << 24,), (8,))[:] = 7.0", ""),
    ("from lxml import etree\netree.fromstring('<a>' * 100000)", ""),
    ("from lxml import etree\netree.parse('http://169.254.169.254/')", "OSError"),
    ("import lxml.etree as e\ne.fromstring('<!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]><a>&b;</a>').text + ''", ""),
    ("import _host\n_host.call(bytes(range(256)))", ""),
    ("import _host\n_host.call(b'\\xff' * 64)", ""),
    ("import _host, struct\n_host.call(struct.pack('<4I', 1, 1 << 29, 0, 0) + bytes(64))", ""),
    ("import os\nos.abort()", ""),
    ("open('/etc/passwd')", "PermissionError"),
    ("import socket\nsocket.create_connection(('127.0.0.1', 22))", "Error"),
    ("await fetch('http://169.254.169.254/')", "Denied"),
    ("print('x' * 100_000_000)", ""),
]


def run(*args, **options):
    return subprocess.run([PROGRAM, *args], capture_output=True, text=True, **options)


def session(cells, more=()):
    """The last answer to each cell, by its id, what was displayed, and how the host has ended."""
    lines = "".join(json.dumps({"type": "execute", "id": ident, "code": code}) + "\n" for ident, code in cells)
    done = run("session", "--python", "science", "--store", "memory", "--id", "s", *more, input=lines)
    answers, shown = {}, []
    for line in done.stdout.splitlines():
        message = json.loads(line)
        if message["type"] in ("result", "error"):
            answers[message.get("reply_to")] = message
        if message["type"] == "display":
            shown.append(message)
    return answers, shown, done


def programs_print_what_they_should(folder):
    for program in sorted(HERE.glob("*.py")):
        if program.name != "check.py":
            done = run("exec", "--python", "science", program)
            assert done.returncode == 0, (program.name, done.stderr)
            assert done.stdout == program.with_suffix(".out").read_text(), (program.name, done.stdout)


def a_killed_program_goes_on_where_it_was(folder):
    code = "import numpy, time\ndrawn = numpy.random.rand(3)\nprint(drawn, flush=True)\ntime.sleep(1)\nprint(drawn.sum())"
    call = [PROGRAM, "exec", "--python", "science", "--store", folder / "store", "--id", "killed", "-c", code]
    with subprocess.Popen(call, stdout=subprocess.PIPE, text=True) as host:
        first = host.stdout.readline()
        host.send_signal(signal.SIGKILL)
    done = run("resume", "--store", folder / "store", "killed")
    assert done.returncode == 0, done.stderr
    numbers = [float(number) for number in first.strip("[]\n").split()]
    assert abs(float(done.stdout.split()[-1]) - sum(numbers)) < 1e-6, (first, done.stdout)
    again = run("replay", "--store", folder / "store", "killed")
    assert again.returncode == 0, again.stderr


def every_execution_draws_numbers_of_its_own(folder):
    code = "import numpy, random\nprint(numpy.random.rand(), numpy.random.default_rng().random(), random.random())"
    first, second = (run("exec", "--python", "science", "-c", code).stdout.split() for _ in range(2))
    assert len(first) == 3 and not set(first) & set(second), (first, second)


def a_session_shows_figures_and_frames(folder):
    plot = "import matplotlib.pyplot as plt\nplt.plot([1, 3, 2])\nplt.title('é')\nNone"
    frame = "import pandas\nframe = pandas.DataFrame({'a': [1, 2]})\nframe"
    answers, shown, done = session([("1", plot), ("2", frame), ("3", "int(frame.a.sum())")])
    assert [list(one["data"])[0] for one in shown] == ["image/png"], (shown, done.stderr)
    assert shown[0]["data"]["image/png"].startswith("iVBORw0KGgo"), shown
    assert "<table" in answers["2"]["data"]["text/html"], answers
    assert answers["3"]["value"] == 3, answers


def attacks_leave_the_session_usable_or_cleanly_ended(folder):
    policy = folder / "policy.toml"
    policy.write_text(POLICY)
    wrong = []
    for attack, says in ATTACKS:
        cells = [("before", "alive = 'alive'"), ("attack", attack), ("after", "alive")]
        answers, _, done = session(cells, ["--policy", policy])
        told, after = answers.get("attack", {}), answers.get("after", {})
        is_alive = after.get("value") == "alive" or after.get("name") == "ended"
        # A signal that has ended the host is a negative number.
        if done.returncode < 0 or not is_alive or says not in f"{told.get('name')} {told.get('message')}":
            wrong.append((attack, done.returncode, told, after, done.stderr))
    assert not wrong, "\n".join(map(str, wrong))


def every_command_and_a_policy_know_it_by_its_name(folder):
    listed = json.loads(run("python", "list", "science", "--json").stdout)
    assert {"numpy", "pandas"} <= {package["name"] for package in listed["packages"]}, listed
    policy = folder / "named.toml"
    policy.write_text(POLICY + '[python]\ncomponent = "science"\n')
    code = "import numpy\nprint(numpy.arange(4).sum())"
    done = run("exec", "--policy", policy, "--store", "memory", "-c", code)
    assert done.stdout == "6\n", done.stderr
    done = run("repl", "--python", "science", "--store", "memory", input="import numpy\nnumpy.arange(5).sum()\n")
    assert "10" in done.stdout, (done.stdout, done.stderr)
    # As the Jupyter kernel starts it.
    sys.path.insert(0, str(HERE.parent.parent / "client"))
    import everstep

    with everstep.Session(store=folder / "sessions", policy=policy, command=[PROGRAM]) as session:
        assert session.execute("import numpy\nint(numpy.arange(6).sum())").value == 15


def a_worker_runs_it_for_a_server(folder):
    serve = [PROGRAM, "serve", "--listen", "127.0.0.1:0", "--store", folder / "served"]
    with subprocess.Popen(serve, stderr=subprocess.PIPE, text=True) as server:
        try:
            url = next(line for line in server.stderr if "serving " in line).split()[-1]
            call = [PROGRAM, "worker", "--remote", url, "--python=science"]
            with subprocess.Popen(call, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=folder) as worker:
                try:
                    next(line for line in worker.stderr if "worker of group" in line)
                    code = "import numpy\nprint(numpy.arange(7).sum())"
                    done = run("exec", "--remote", url, "--python", "science", "--id", "far", "-c", code, cwd=folder)
                    assert done.stdout == "21\n", (done.stdout, done.stderr)
                finally:
                    worker.kill()
        finally:
            server.kill()


def main():
    for check in (
        programs_print_what_they_should,
        a_killed_program_goes_on_where_it_was,
        every_execution_draws_numbers_of_its_own,
        a_session_shows_figures_and_frames,
        every_command_and_a_policy_know_it_by_its_name,
        a_worker_runs_it_for_a_server,
        attacks_leave_the_session_usable_or_cleanly_ended,
    ):
        began = time.monotonic()
        with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
            check(Path(folder))
        print(f"{check.__name__.replace('_', ' ')}: {time.monotonic() - began:.1f} s", flush=True)


main()
