"""Functions of Everstep and of the SDKs call each other, settle each other's promises, and go on when any of their workers is killed."""

import json
import subprocess

from ground import PATIENCE, kill, until

POLICY = """
version = 1
clock = { mode = "recorded" }
network = { block = ["non-global"], allow = ["127.0.0.1/32"] }
fetch = [{ id = "witness", url = "WITNESS/*", methods = ["POST"], on_crash = "fail" }]

[[capability]]
name = "promise"
[[capability]]
name = "call"
groups = ["typescript", "python", "rust/rust_charge", "rust/rust_add", "rust/rust_silent", "rust/rust_decline"]
"""


class Beside:
    def __init__(self, ground, guest):
        self.ground, self.server, self.guest = ground, ground.server, guest
        self.policy = ground.path / "policy.toml"
        self.policy.write_text(POLICY.replace("WITNESS", ground.witness_url))

    def everstep_worker(self):
        return self.ground.start(
            self.ground.everstep, "worker", self.guest, "--remote", self.server.url, "--group", "everstep",
            "--policy", self.policy, "--lease", "2s", "--cache", self.ground.path / "cache",
        )

    def named(self, name):
        return f"{name}{self.server.mark}"

    def relay(self, name, group, function, args, **more):
        """Begins a function of Everstep that calls one of a group; returns its id."""
        relay = {"name": name, "witness": self.ground.witness_url, "group": group, "function": function, "args": args}
        self.server.begin("everstep", self.named(name), "relays", [relay | more])
        return self.named(name)

    def relayed(self, *call, **more):
        name = self.relay(*call, **more)
        state, value = self.server.outcome(name)
        assert state == "resolved", (call, state, value)
        return value

    def client(self, language, name, *arguments):
        """Starts a client, whose output is one JSON value."""
        command = [*language.client, self.server.url, name, *arguments]
        return self.ground.start(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def once(self, *texts, of):
        assert [of(text) for text in texts] == [1] * len(texts), (texts, self.ground.posts, self.ground.notes.read_text())


def check(ground, guest, languages):
    beside = Beside(ground, guest)
    beside.everstep_worker()
    for language in languages:
        ground.worker(language, language.name)
    everstep_calls(beside, [language.name for language in languages])
    for language in languages:
        everstep_is_called(beside, language)
    promises(beside, languages)
    beside.server.mark += "-k"
    everything_is_killed(beside, languages[0])


def printed(client):
    out, err = client.communicate(timeout=PATIENCE)
    assert client.returncode == 0, err
    return json.loads(out)


def everstep_calls(beside, groups):
    relayed, ground = beside.relayed, beside.ground
    for name, group, function, args, value in [
        ("two", "typescript", "charge", ["ada", 700], {"card": "ada", "cents": 700}),
        ("none", "typescript", "silent", None, None),
        ("one", "rust", "rust_charge", "ada", ["ada", 7]),
        ("sum", "rust", "rust_add", [2, 3], 5),
        ("rust-none", "rust", "rust_silent", None, None),
        ("python-two", "python", "python_charge", ["ada", 700], {"card": "ada", "cents": 700}),
        ("python-none", "python", "python_silent", None, None),
    ]:
        if group in groups:
            equal(relayed(name, group, function, args), {"value": value})
            beside.once(f"before-{name}", f"after-{name}", of=ground.posted)
    for name, group, function, why in [
        ("declined", "typescript", "decline", "no funds"),
        ("rust-declined", "rust", "rust_decline", "application error: no funds"),
        ("python-declined", "python", "python_decline", "no funds"),
    ]:
        if group in groups:
            error = {"code": "failed", "message": f"{beside.named(name)}.1: {why}"}
            equal(relayed(name, group, function, "no funds"), {"error": error})
            beside.once(f"before-{name}", f"after-{name}", of=ground.posted)
    beside.once("charge ada", "decline", of=ground.noted)
    beside.once(*(f"{group}_charge ada" for group in groups if group != "typescript"), of=ground.noted)
    late = relayed("late", "typescript", "slow", [1], timeout_ms=500)
    equal(late["error"]["code"], "timed-out")
    denied = relayed("denied", "rust", "rust_half", [1])
    equal(denied["error"]["code"], "denied")
    assert '"rust/rust_half"' in denied["error"]["message"], denied


def everstep_is_called(beside, language):
    server, ground, prefix = beside.server, beside.ground, language.name
    separator = "_" if language.prefix else "-"
    asks, pardons = (f"{language.prefix}{verb}{separator}everstep" for verb in ("asks", "pardons"))
    asking, pardoning = (beside.named(f"{prefix}-{what}") for what in ("asks", "pardons"))
    server.begin(language.name, asking, asks, [7, prefix])
    equal(server.outcome(asking), ("resolved", [None, 21, prefix]))
    until("the detached call", lambda: ground.posted(f"noted-{prefix}-aside"))
    beside.once(f"noted-{prefix}", f"noted-{prefix}-aside", of=ground.posted)
    server.begin(language.name, pardoning, pardons, language.arguments("not today"))
    equal(server.outcome(pardoning), ("resolved", [True, "not today"]))

    def called(name, timeout, function, *arguments):
        listed = json.dumps(language.arguments(*arguments) if len(arguments) < 2 else arguments)
        return beside.client(language, beside.named(f"{prefix}-{name}"), "call", str(timeout), function, listed)

    equal(printed(called("triple", 60_000, "triple", 7)), 21)
    equal(printed(called("nothing", 60_000, "nothing")), None)
    equal(printed(called("refuse", 60_000, "refuse", "not today")), {"error": "not today"})
    timed_out = {"typescript": "Promise timedout", "rust": "timeout", "python": "timeout"}[language.name]
    equal(printed(called("late", 500, "waits", f"{prefix}-late", ground.witness_url)), {"error": timed_out})
    canceled = called("canceled", 60_000, "waits", f"{prefix}-canceled", ground.witness_url)
    until("the beginning", lambda: ground.posted(f"begins-{prefix}-canceled"))
    command = [ground.everstep, "cancel", beside.named(f"{prefix}-canceled"), "--remote", server.url]
    subprocess.run(command, check=True, capture_output=True)
    equal(printed(canceled), {"error": "Promise canceled"})


def promises(beside, languages):
    """A promise that a function of Everstep has made is settled by a program of an SDK, and the other way round."""
    server, ground = beside.server, beside.ground
    for language in languages:
        name = beside.named(f"settles-{language.name}")
        server.begin("everstep", name, "settles", [])
        kept, broken, now = until("three questions", lambda: (asked := server.questions(name)) and asked[2:] and asked)
        waiting = [beside.client(language, promise, "wait") for promise in (kept, broken)]
        for client in waiting:
            equal(client.stderr.readline(), "waiting\n")
        equal(printed(beside.client(language, now, "resolve", '{"by": "Ada"}')), "resolved")
        equal([printed(client) for client in waiting], [41, {"error": "broken"}])
        equal(server.outcome(name), ("resolved", [{"by": "Ada"}, 41]))
    for action, argument, outcome in [
        ("resolve", '{"by": "Ada"}', ("resolved", {"by": "Ada"})),
        ("reject", "not today", ("rejected", {"__type": "error", "message": "not today"})),
        ("cancel", None, ("rejected", {"__type": "error", "message": "the promise was canceled"})),
    ]:
        name = beside.named(f"waits-{action}")
        server.begin("everstep", name, "waits", [action, ground.witness_url])
        question = until("its question", lambda: server.questions(name))[0]
        printed(beside.client(languages[0], question, action, *([argument] if argument else [])))
        equal(server.outcome(name), outcome)
    canceled = beside.named("canceled-below")
    server.begin("typescript", canceled, "waits-for-everstep", ["below"])
    until("the beginning", lambda: ground.posted("begins-below"))
    below = server.call(canceled, "everstep")
    subprocess.run([ground.everstep, "cancel", below, "--remote", server.url], check=True, capture_output=True)
    equal(server.outcome(canceled), ("resolved", "it was canceled"))


def everything_is_killed(beside, typescript):
    """Both workers are killed in the middle of calls in both directions; no recorded step runs again."""
    ground, server = beside.ground, beside.server
    # From now on only these run.
    for process in ground.processes:
        kill(process)
    ours, theirs = beside.everstep_worker(), ground.worker(typescript, "typescript")
    down = beside.relay("down", "typescript", "slow", [5])
    up = beside.named("up")
    server.begin("typescript", up, "waits-for-everstep", ["up"])
    until("the step of the SDK", lambda: ground.noted("slow 5"))
    until("the step of Everstep", lambda: ground.posted("begins-up"))
    until("the question of Everstep", lambda: server.questions(up))
    # Ours is dead while theirs ends.
    kill(ours)
    call = server.call(down, "typescript")
    server.answer(down, "yes")
    equal(server.outcome(call), ("resolved", [5, "yes"]))
    kill(theirs)
    beside.everstep_worker()
    equal(server.outcome(down), ("resolved", {"value": [5, "yes"]}))
    # Theirs is dead while ours ends.
    call = server.call(up, "everstep")
    server.answer(up, "done")
    equal(server.outcome(call), ("resolved", "done"))
    ground.worker(typescript, "typescript")
    equal(server.outcome(up), ("resolved", "done"))
    beside.once("before-down", "after-down", "begins-up", "ends-up", of=ground.posted)
    beside.once("slow 5", "quick 5", "before up", "after up", of=ground.noted)


def equal(found, wanted):
    assert found == wanted, f"{found!r} instead of {wanted!r}"
