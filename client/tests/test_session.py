"""The client against a real host: `everstep` on the PATH, a fresh store for each test."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest
import unittest.mock
from pathlib import Path

import jsonschema

from everstep import errors
from everstep import CellError, CellLimitExceeded, Session, SessionError, SessionLost, Unanswered

POLICY = """
version = 1
name = "test"
[clock]
mode = "recorded"
[random]
mode = "seeded"
[limits]
wasm_stack = "8MiB"
[[capability]]
name = "session"
[[capability]]
name = "print"
[[capability]]
name = "display"
[[capability]]
name = "input"
[[capability]]
name = "promise"
[[capability]]
name = "served"
"""
# For a slow machine; nothing takes as long on another.
LONG = 60


def schemas():
    printed = subprocess.run(["everstep", "session", "--schema"], check=True, capture_output=True, timeout=LONG).stdout
    return {name: jsonschema.Draft202012Validator(schema) for name, schema in json.loads(printed).items()}


class Sessions(unittest.TestCase):
    """Sessions in one fresh store, every message of which fits its schema."""

    @classmethod
    def setUpClass(cls):
        cls.schemas = schemas()

    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.policy = self.folder / "policy.toml"
        self.policy.write_text(POLICY)
        self.messages, self.wrong = [], []
        self.addCleanup(lambda: self.assertEqual(self.wrong, [], "messages that do not fit their schema"))

    def trace(self, direction, message):
        self.messages.append((direction, message))
        if not self.schemas["request" if direction == "out" else "message"].is_valid(message):
            self.wrong.append(message)

    def open(self, id="test", **more):
        session = Session(id, self.folder / "store", self.policy, trace=self.trace, **{"on_output": lambda *_: None, **more})
        self.addCleanup(session.close)
        return session

    def received(self, kind):
        return [message for direction, message in self.messages if direction == "in" and message["type"] == kind]

    def until(self, holds):
        end = time.monotonic() + LONG
        while not holds():
            self.assertLess(time.monotonic(), end, "it never came to hold")
            time.sleep(0.01)

    def kill(self, session):
        os.kill(session.pid, signal.SIGKILL)


class Cells(Sessions):
    def test_cells_share_a_namespace(self):
        session = self.open()
        self.assertEqual(session.execute("x = 20").value, None)
        result = session.execute("x + 1")
        self.assertEqual((result.value, result.repr, result.data, result.cell), (21, "21", {"text/plain": "21"}, 2))

    def test_what_a_cell_says_comes_in_order_and_before_its_result(self):
        said = []
        session = self.open(
            on_output=lambda stream, text: said.append((stream, text)), on_display=said.append, on_denied=lambda *denied: said.append(denied[:2])
        )
        session.execute(
            "import sys\nprint('a')\nprint('b', file=sys.stderr)\ndisplay({'c': 1})\ntry:\n  open('/etc/passwd')\nexcept PermissionError: pass\nprint('d', end='')"
        )
        self.assertEqual(
            said, [("stdout", "a\n"), ("stderr", "b\n"), {"text/plain": "{'c': 1}"}, ("files.stat", "/etc/passwd"), ("stdout", "d")]
        )

    def test_an_exception_of_a_cell_is_an_error_with_its_traceback(self):
        session = self.open()
        with self.assertRaises(CellError) as raised:
            session.execute("def f():\n    raise ValueError('no good')\nf()")
        error = raised.exception
        self.assertEqual((error.name, error.message, error.cell), ("ValueError", "no good", 1))
        self.assertIn("line 2, in f", error.traceback)
        with self.assertRaises(CellError) as raised:
            session.execute("1 +")
        self.assertEqual(raised.exception.name, "SyntaxError")
        self.assertEqual(session.execute("1").value, 1)

    def test_a_limit_of_a_cell_is_an_error_of_its_own(self):
        error = errors.of_message({"name": "LimitExceeded", "message": "the limit of 1s CPU is reached (limits.cpu)", "cell": 3})
        self.assertIsInstance(error, CellLimitExceeded)
        self.assertEqual(error.cell, 3)

    def test_names_are_completed_and_described(self):
        session = self.open()
        session.execute("def area(width, height=1): 'Of a rectangle.'")
        self.assertEqual(session.complete("2 * are"), (["area"], 4, 7))
        self.assertEqual(session.complete("are + 1", 2)[0], ["area"])
        text = session.inspect("area(")
        self.assertIn("area(width, height=1)", text)
        self.assertIn("Of a rectangle.", text)
        self.assertIsNone(session.inspect("nothing"))

    def test_two_cells_sent_at_once_come_back_in_order(self):
        session, ended = self.open(), []
        cells = [session.submit(f"import asyncio\nawait asyncio.sleep({0.3 / n})\n{n}", id=f"cell-{n}") for n in (1, 2, 3)]
        for cell in cells:
            cell.add_done_callback(lambda done: ended.append(done.result().value))
        self.assertEqual([cell.result(LONG).value for cell in cells], [1, 2, 3])
        self.assertEqual(ended, [1, 2, 3])

    def test_a_cell_that_is_sent_twice_runs_once(self):
        served = []
        session = self.open(capabilities={"served": lambda message: served.append(message) or len(served)})
        code = "from everstep import request\nawait request('served', 'effect')"
        self.assertEqual([session.execute(code, id="one").value for _ in range(2)], [1, 1])
        queued = [session.submit(code, id="two") for _ in range(2)]
        self.assertEqual([cell.result(LONG).value for cell in queued], [2, 2])
        self.assertEqual(served, ["effect", "effect"])
        with self.assertRaises(SessionError) as raised:
            session.execute("another()", id="one")
        self.assertEqual(raised.exception.name, "InvalidCell")

    def test_large_messages_pass(self):
        output = []
        session = self.open(on_output=lambda _, text: output.append(text), capabilities={"served": lambda message: message})
        session.execute(f"text = {'x' * 500_000!r}\nprint(text)\nfrom everstep import request")
        self.assertEqual(sum(map(len, output)), 500_001)
        self.assertEqual(session.execute("len(await request('served', text + 'ü'))").value, 500_001)

    def test_a_callback_that_fails_and_a_message_that_is_not_known_change_nothing(self):
        session = self.open(on_output=lambda *_: self.fail("on purpose"))
        session._take({"id": "x", "execution_id": "test", "type": "of a later version"})
        with unittest.mock.patch("traceback.print_exc") as shown:
            self.assertEqual(session.execute("print('a')\n1").value, 1)
        shown.assert_called_once()


class Interruptions(Sessions):
    def interrupted(self, code):
        session = self.open(on_output=lambda *_: running.set())
        running = threading.Event()
        cell = session.submit(f"import asyncio, time\nx = 1\nprint('runs')\n{code}")
        self.assertTrue(running.wait(LONG))
        session.interrupt()
        with self.assertRaises(CellError) as raised:
            cell.result(LONG)
        self.assertEqual(raised.exception.name, "KeyboardInterrupt")
        self.assertEqual(session.execute("x + 1").value, 2)

    def test_an_endless_loop(self):
        self.interrupted("while True: pass")

    def test_a_sleep(self):
        self.interrupted("time.sleep(1000)")

    def test_a_durable_sleep(self):
        self.interrupted("await asyncio.sleep(1000)")

    def test_a_question(self):
        self.interrupted("input('never answered')")

    def test_an_idle_session(self):
        session = self.open()
        session.execute("x = 1")
        with self.assertRaises(SessionError) as raised:
            session.interrupt()
        self.assertEqual(raised.exception.name, "idle")
        self.assertEqual(session.execute("x").value, 1)


class Answers(Sessions):
    def test_a_question_is_answered_by_the_client(self):
        asked = []

        def answer(*question):
            asked.append(question)
            return {"input": "Ada", "promise": [1, 2]}[question[1]]

        session = self.open(on_input=answer)
        self.assertEqual(session.execute("input('Name? ')").value, "Ada")
        self.assertEqual(session.execute("import everstep\nawait everstep.promise({'for': 'you'})").value, [1, 2])
        self.assertEqual(asked[0], ("Name? ", "input", None, None))
        self.assertEqual(asked[1][1::2], ("promise", {"for": "you"}))

    def test_an_answer_that_does_not_fit_is_asked_for_again(self):
        given = iter(["many", 3, "a", "b", "c"])
        session = self.open(on_input=lambda *_: next(given))
        code = "import everstep\nawait everstep.ask('How many? ', schema={'type': 'integer'})"
        self.assertEqual(session.execute(code).value, 3)
        with self.assertRaises(CellError):
            session.execute(code)
        self.assertEqual(list(given), [])

    def test_an_approval_is_given_with_the_call_in_view(self):
        (self.folder / "out").mkdir()
        grant = '\n[[files]]\nid = "out"\nguest = "/out"\nhost = "./out"\naccess = "write"\n[[ask]]\nid = "writes"\nwhen = "files.write"\n'
        self.policy.write_text(self.policy.read_text() + grant)
        asked = []
        session = self.open(on_input=lambda *question: asked.append(question) or {"approved": True, "by": "ada"})
        session.execute("open('/out/x', 'w').write('text')")
        self.assertEqual((self.folder / "out/x").read_text(), "text")
        self.assertTrue(all(kind == "approval" for _, kind, _, _ in asked) and asked)
        self.assertIn("/out/x", asked[0][3])

    def test_what_a_callable_raises_is_an_error_of_the_cell(self):
        session = self.open(capabilities={"served": lambda message: {"bad": 1 / message["by"], "worse": {1}}[message["key"]]})
        code = "from everstep import request\nawait request('served', {'by': %d, 'key': %r})"
        for by, key, name in [(0, "bad", "ZeroDivisionError"), (1, "worse", "TypeError"), (1, "none", "KeyError")]:
            with self.assertRaises(CellError) as raised:
                session.execute(code % (by, key))
            self.assertIn(name, raised.exception.message)
        self.assertEqual(session.execute(code % (1, "bad")).value, 1)

    def test_a_response_to_nothing_changes_nothing(self):
        session = self.open()
        session.execute("x = 1")
        cell = session.submit("from everstep import request\nx += await request('served')")
        self.until(lambda: self.received("capability_request"))
        open_ = self.received("capability_request")[0]["id"]
        for kind, request_id in [("capability", "test.99999"), ("capability", "nonsense"), ("input", open_)]:
            with self.assertRaises(SessionError) as raised:
                session.respond(kind, request_id, {"value": 7}).result(LONG)
            self.assertEqual(raised.exception.name, "not-pending")
        self.assertEqual(session.status()["open"], [open_])
        session.respond("capability", open_, {"value": 2}).result(LONG)
        cell.result(LONG)
        with self.assertRaises(SessionError):
            session.respond("capability", open_, {"value": 50}).result(LONG)
        self.assertEqual(session.execute("x").value, 3)

    def test_several_requests_are_served_at_once(self):
        together = threading.Barrier(3)
        session = self.open(capabilities={"served": lambda message: together.wait(LONG) and message or message})
        code = "import asyncio\nfrom everstep import request\nawait asyncio.gather(*(request('served', n) for n in (1, 2, 3)))"
        self.assertEqual(session.execute(code).value, [1, 2, 3])


class Restarts(Sessions):
    CODE = "from everstep import request\nprint('before')\ny = x + await request('served', {'n': 1})\ny"

    def test_a_host_that_is_killed_in_the_middle_of_a_cell_delivers_the_same_request_again(self):
        output, served, dead = [], [], threading.Event()

        def serve(message):
            served.append(message)
            dead.wait(LONG)
            return 41

        options = {"on_output": lambda _, text: output.append(text), "capabilities": {"served": serve}}
        session = self.open(**options)
        session.execute("x = 1")
        cell = session.submit(self.CODE, id="cell")
        self.until(lambda: served)
        self.kill(session)
        with self.assertRaises(SessionLost) as raised:
            cell.result(LONG)
        self.assertEqual(raised.exception.status, -signal.SIGKILL)
        with self.assertRaises(SessionLost):
            session.execute("x")
        again = self.open(**options)
        self.until(lambda: len(self.received("capability_request")) == 2)
        dead.set()
        self.assertTrue(again.resumed)
        self.assertEqual(again.execute(self.CODE, id="cell").value, 42)
        self.assertEqual(again.execute("y").value, 42)
        first, second = self.received("capability_request")
        self.assertEqual((first["id"], first["message"]), (second["id"], second["message"]))
        self.assertEqual((served, output), ([{"n": 1}], ["before\n"]))

    def test_a_request_that_nobody_served_is_delivered_to_the_next_client(self):
        session = self.open()
        session.execute("x = 1")
        session.submit(self.CODE, id="cell")
        self.until(lambda: self.received("capability_request"))
        session.close()
        again = self.open(capabilities={"served": lambda message: 9})
        self.assertEqual(again.execute(self.CODE, id="cell").value, 10)

    def test_what_is_left_unanswered_is_asked_again(self):
        calls = []

        def serve(message):
            calls.append(message)
            if len(calls) == 1:
                raise Unanswered
            return 9

        session = self.open(capabilities={"served": serve})
        session.execute("x = 1")
        cell = session.submit(self.CODE)
        self.until(lambda: calls)
        self.until(lambda: not session._asked)
        session.resume()
        self.assertEqual(cell.result(LONG).value, 10)

    def test_the_history_is_told_again(self):
        output = []
        options = {"on_output": lambda _, text: output.append(text)}
        session = self.open(**options)
        session.execute("print('one')\nprint('two')")
        session.close()
        again = self.open(**options)
        again.resume(history=True)
        self.assertEqual(output, ["one\n", "two\n"] * 2)

    def test_a_session_is_left_as_it_is_or_ended(self):
        session = self.open(id=None)
        session.execute("x = 5")
        session.close()
        session.close()
        running = threading.Event()
        again = self.open(session.id, on_output=lambda *_: running.set())
        self.assertEqual((again.resumed, again.execute("x").value), (True, 5))
        status = again.status()
        self.schemas["status"].validate(status)
        self.assertEqual((status["busy"], status["cells"], status["open"]), (False, 2, []))
        cell = again.submit("import asyncio\nprint('runs')\nawait asyncio.sleep(1000)")
        self.assertTrue(running.wait(LONG))
        with self.assertRaises(SessionError) as raised:
            again.close(end=True)
        self.assertEqual(raised.exception.name, "busy")
        again.interrupt()
        self.assertRaises(CellError, cell.result, LONG)
        again.close(end=True)
        errors = []
        ended = self.open(session.id, on_error=errors.append)
        self.until(lambda: errors)
        with self.assertRaises(SessionError) as raised:
            ended.execute("x")
        self.assertEqual((errors[0].name, raised.exception.name), ("completed", "ended"))

    def test_a_host_that_does_not_start_is_lost(self):
        with self.assertRaises(SessionLost) as raised:
            Session("test", self.folder / "store", self.folder / "none.toml", ["sh", "-c", "exit 2"])
        self.assertEqual(raised.exception.status, 2)
        self.assertRaises(OSError, Session, command=["/none/such"])

    def test_a_host_that_does_not_answer_is_killed(self):
        session = self.open()
        os.kill(session.pid, signal.SIGSTOP)
        session.close(timeout=0.2)
        self.assertEqual(session._process.returncode, -signal.SIGKILL)


if __name__ == "__main__":
    unittest.main()
