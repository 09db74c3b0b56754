"""A server of the Resonate protocol, the processes that use it, and what they leave behind."""

import base64
import http.server
import json
import os
import pathlib
import re
import secrets
import signal
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request

# Far more than anything here takes.
PATIENCE = 60


class Server:
    """A server with ids that nothing else has used: `everstep serve` in a dialect, or the one at RESONATE_URL."""

    def __init__(self, everstep, folder, dialect):
        self.url, self.process, self.mark = os.environ.get("RESONATE_URL"), None, f"-{secrets.token_hex(4)}"
        if self.url is None:
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
        return promise["state"], decoded(promise["value"])

    def pending(self, root):
        """The id and the tags of each pending promise below a root."""
        pending = self.ask("promise.search", state="pending", tags={"resonate:origin": root})["promises"]
        return [(one["id"], one["tags"]) for one in pending if one["id"] != root]

    def questions(self, root):
        """Those that are settled from outside."""
        worked = {"resonate:target", "resonate:timer"}
        return [id for id, tags in self.pending(root) if "resonate:external" in tags or not tags.keys() & worked]

    def call(self, root, group):
        """The one that a worker of a group settles."""

        def called():
            calls = [id for id, tags in self.pending(root) if tags.get("resonate:target") == f"poll://any@{group}"]
            return calls[0] if calls else None

        return until(f"a call of {group} by {root}", called)

    def answer(self, root, value):
        question = until(f"a question of {root}", lambda: self.questions(root))[0]
        self.ask("promise.settle", id=question, state="resolved", value={"data": encoded(value)})


class Ground:
    """A folder, a server and processes, which end with it; lines that the SDKs note in a file, and posts that reach a witness."""

    def __init__(self, everstep, dialect):
        self.everstep, self.folder = everstep, tempfile.TemporaryDirectory()
        self.path = pathlib.Path(self.folder.name)
        self.notes, self.processes, self.posts = self.path / "notes", [], []
        self.witness = http.server.ThreadingHTTPServer(("127.0.0.1", 0), witness(self.posts))
        self.witness_url = f"http://127.0.0.1:{self.witness.server_port}"
        threading.Thread(target=self.witness.serve_forever, daemon=True).start()
        self.server = Server(everstep, self.path, dialect)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in [*self.processes, self.server.process]:
            if process is not None:
                process.kill()
                process.wait()
        self.witness.shutdown()
        self.folder.cleanup()

    def start(self, *command, **how):
        self.processes.append(subprocess.Popen(command, **how))
        return self.processes[-1]

    def worker(self, language, group):
        return self.start(*language.worker, self.server.url, group, self.notes, self.witness_url)

    def noted(self, line):
        return self.notes.read_text().splitlines().count(line) if self.notes.exists() else 0

    def posted(self, path):
        return self.posts.count(path)


class Language:
    """The programs of one SDK: how to start its worker and its client, and what the names of its functions begin with."""

    def __init__(self, name, worker, client, prefix, arguments):
        self.name, self.worker, self.client, self.prefix, self.arguments = name, worker, client, prefix, arguments


def witness(posts):
    """A handler that keeps the path of each post, without its slash."""

    class Witness(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            self.rfile.read(int(self.headers.get("content-length", 0)))
            posts.append(self.path[1:])
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    return Witness


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.wait()


def settled(promise):
    return promise if promise["state"] != "pending" else None


def encoded(value):
    return base64.b64encode(json.dumps(value).encode()).decode()


def decoded(value):
    return json.loads(base64.b64decode(value["data"])) if value.get("data") else None


def ms():
    return int(time.time() * 1000)


def until(what, look):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.05)
    raise AssertionError(f"it does not come to this: {what}")
