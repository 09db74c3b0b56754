#!/usr/bin/env python3
"""Programs of the Resonate SDKs against `everstep serve`: check.py EVERSTEP FOLDER-WITH-THAT-FOR-TYPESCRIPT WORKER-IN-RUST

Their workers call each other, are killed, and replaced."""

import base64
import json
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

# Far more than anything here takes.
PATIENCE = 60


class Server:
    def __init__(self, everstep, folder, dialect):
        command = [everstep, "serve", "--listen", "127.0.0.1:0", "--store", folder / "store", "--dialect", dialect]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.url = re.search(r"http://\S+", self.process.stderr.readline())[0]

    def ask(self, kind, **data):
        body = {"kind": kind, "head": {"corrId": "1", "version": "2026-04-01"}, "data": data}
        request = urllib.request.Request(self.url, json.dumps(body).encode(), method="POST")
        try:
            with urllib.request.urlopen(request) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{kind} {data}: {error.code} {error.read().decode()}") from None

    def begin(self, group, name, function, arguments):
        tags = {"resonate:target": f"poll://any@{group}", "resonate:scope": "global"}
        tags |= {f"resonate:{tag}": name for tag in ("origin", "branch", "parent", "prefix")}
        param = {"data": encoded({"func": function, "args": arguments, "version": 1})}
        self.ask("promise.create", id=name, timeoutAt=ms() + 3_600_000, param=param, tags=tags)

    def outcome(self, name):
        promise = until(f"the end of {name}", lambda: settled(self.ask("promise.get", id=name)["promise"]))
        return promise["state"], json.loads(base64.b64decode(promise["value"]["data"]))


def settled(promise):
    return promise if promise["state"] != "pending" else None


def encoded(value):
    return base64.b64encode(json.dumps(value).encode()).decode()


def ms():
    return int(time.time() * 1000)


def until(what, look):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.05)
    raise AssertionError(f"it does not come to this: {what}")


class Language:
    """The programs of one SDK: how to start a worker of a group, and what its functions are called."""

    def __init__(self, name, command, prefix, arguments):
        self.name, self.command, self.prefix, self.arguments = name, command, prefix, arguments


def check(everstep, dialect, languages):
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        server = Server(everstep, folder, dialect)
        notes, workers = folder / "notes", []

        def worker(language, group):
            workers.append(subprocess.Popen([*language.command, server.url, group, notes]))
            return workers[-1]

        def noted(line):
            return notes.read_text().splitlines().count(line) if notes.exists() else 0

        def kill(process):
            process.send_signal(signal.SIGKILL)
            process.wait()

        def programs(language):
            group, prefix = language.name, language.prefix
            first = worker(language, group)
            server.begin(group, f"{group}-order", f"{prefix}order", language.arguments(20))

            def asked():
                pending = server.ask("promise.search", state="pending")["promises"]
                outside = [one for one in pending if not one["tags"].keys() & {"resonate:target", "resonate:timer"}]
                return [one["id"] for one in outside if one["id"] != f"{group}-order"]

            until("the detached call", lambda: noted(f"{prefix}aside 20"))
            question = until("the external promise", asked)[0]
            # Suspended: another worker goes on once it is answered.
            kill(first)
            second = worker(language, group)
            server.ask("promise.settle", id=question, state="resolved", value={"data": encoded("yes")})
            outcome = server.outcome(f"{group}-order")
            assert outcome == ("resolved", [21, 42, "yes"]), outcome
            steps = [noted(line) for line in (f"{prefix}more 20", "double 21", f"{prefix}aside 20")]
            assert steps[0] == 1 and steps[2] == 1, notes.read_text()

            server.begin(group, f"{group}-stuck", f"{prefix}stuck", language.arguments())
            until("the first step", lambda: noted(f"{prefix}wait"))
            # In the middle: its lease runs out.
            kill(second)
            worker(language, group)
            assert server.outcome(f"{group}-stuck") == ("resolved", "free")

            server.ask(
                "schedule.create", id=f"{group}-ticks", cron="* * * * * *", promiseId="{{.id}}-{{.timestamp}}", promiseTimeout=60_000,
                promiseParam={"data": encoded({"func": f"{prefix}tick", "args": language.arguments(), "version": 1})},
                promiseTags={"resonate:target": f"poll://any@{group}", "resonate:scope": "global"},
            )
            until("two firings", lambda: noted(f"{prefix}tick") >= 2)
            server.ask("schedule.delete", id=f"{group}-ticks")

        try:
            worker(languages[0], "other")
            for language in languages:
                programs(language)
            # The one calls the other, which calls the first.
            server.begin("typescript", "mixed-1", "mixed", [9])
            assert server.outcome("mixed-1") == ("resolved", 6), server.outcome("mixed-1")
            assert noted("double 21") == len(languages) and noted("rust_more 9") == 1, notes.read_text()
        finally:
            for process in [*workers, server.process]:
                process.kill()
                process.wait()


def main():
    everstep, sdk, rust = (pathlib.Path(argument).resolve() for argument in sys.argv[1:])
    typescript = Language("typescript", ["node", sdk / "worker.mjs"], "", lambda *arguments: list(arguments))
    languages = [typescript, Language("rust", [rust], "rust_", lambda *arguments: arguments[0] if arguments else None)]
    for dialect in ("permissive", "a"):
        check(everstep, dialect, languages)
        print(f"sdk: the programs of the SDKs for TypeScript and Rust end as they should ({dialect})")


main()
