#!/usr/bin/env python3
"""Programs of the Resonate SDK for TypeScript, as it comes from npm, against `everstep serve`: check.py EVERSTEP FOLDER-WITH-THE-SDK"""

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

    def begin(self, name, function, *args):
        tags = {"resonate:target": "poll://any@default", "resonate:scope": "global"}
        tags |= {f"resonate:{tag}": name for tag in ("origin", "branch", "parent", "prefix")}
        param = {"data": encoded({"func": function, "args": args, "version": 1})}
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


def check(everstep, sdk, dialect):
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        server = Server(everstep, folder, dialect)
        notes, workers = folder / "notes", []

        def worker(group):
            workers.append(subprocess.Popen(["node", sdk / "worker.mjs", server.url, group, notes]))
            return workers[-1]

        def noted(line):
            return notes.read_text().splitlines().count(line) if notes.exists() else 0

        try:
            first = worker("default")
            worker("other")
            server.begin("order-1", "order", 20)

            def asked():
                pending = server.ask("promise.search", state="pending")["promises"]
                return [one["id"] for one in pending if one["tags"].get("resonate:target") is None and one["id"] != "order-1"]

            until("the detached call", lambda: noted("aside 20"))
            question = until("the external promise", asked)[0]
            # Suspended: another worker goes on once it is answered.
            first.send_signal(signal.SIGKILL)
            first.wait()
            second = worker("default")
            server.ask("promise.settle", id=question, state="resolved", value={"data": encoded("yes")})
            assert server.outcome("order-1") == ("resolved", [21, 42, "yes"]), server.outcome("order-1")
            assert [noted(line) for line in ("more 20", "double 21", "aside 20")] == [1, 1, 1], notes.read_text()

            server.begin("stuck-1", "stuck")
            until("the first step", lambda: noted("stuck"))
            # In the middle: its lease runs out.
            second.send_signal(signal.SIGKILL)
            second.wait()
            worker("default")
            assert server.outcome("stuck-1") == ("resolved", "free")

            server.ask(
                "schedule.create", id="ticks", cron="* * * * * *", promiseId="{{.id}}-{{.timestamp}}", promiseTimeout=60_000,
                promiseParam={"data": encoded({"func": "tick", "args": [], "version": 1})},
                promiseTags={"resonate:target": "poll://any@default", "resonate:scope": "global"},
            )
            until("two firings", lambda: noted("tick") >= 2)
            server.ask("schedule.delete", id="ticks")
        finally:
            for process in [*workers, server.process]:
                process.kill()
                process.wait()


def main():
    everstep, sdk = (pathlib.Path(argument).resolve() for argument in sys.argv[1:])
    for dialect in ("permissive", "a"):
        check(everstep, sdk, dialect)
        print(f"sdk: the programs of the TypeScript SDK end as they should ({dialect})")


main()
