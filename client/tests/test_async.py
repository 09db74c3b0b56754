"""The client for asyncio, its errors, and where it finds the program, against a real host: `everstep` on the PATH."""

import asyncio
import os
import shutil
import signal
import tempfile
import threading
import unittest
from pathlib import Path
from unittest import mock

import everstep
from everstep import program
from test_session import LONG, POLICY, Sessions


class Asynchronous(unittest.IsolatedAsyncioTestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        (self.folder / "policy.toml").write_text(POLICY)

    def session(self, **options):
        return everstep.AsyncSession("test", self.folder / "store", self.folder / "policy.toml", **options)

    async def test_what_a_cell_says_is_told_in_the_loop_before_its_result(self):
        said = []
        async with self.session(on_output=lambda stream, text: said.append((stream, text, threading.get_ident()))) as session:
            self.assertFalse(session.resumed)
            result = await session.execute("print('a')\n6 * 7")
            self.assertEqual((result.value, said), (42, [("stdout", "a\n", threading.get_ident())]))
            self.assertEqual((await session.status())["cells"], 1)

    async def test_coroutine_functions_and_others_answer(self):
        async def served(message):
            await asyncio.sleep(0)
            return [message, threading.get_ident()]

        async with self.session(capabilities={"served": served}, on_input=lambda *_: "Ada") as session:
            code = "from everstep import request\n[await request('served', 'x'), input()]"
            self.assertEqual((await session.execute(code)).value, [["x", threading.get_ident()], "Ada"])

    async def test_an_interrupted_cell_raises(self):
        running = asyncio.Event()
        async with self.session(on_output=lambda *_: running.set()) as session:
            cell = asyncio.ensure_future(session.execute("print('runs')\nwhile True: pass"))
            await asyncio.wait_for(running.wait(), LONG)
            await session.interrupt()
            with self.assertRaises(everstep.CellInterrupted):
                await cell

    async def test_a_killed_host_is_lost_and_the_session_goes_on(self):
        session = await self.session()
        await session.execute("x = 1")
        os.kill(session.pid, signal.SIGKILL)
        with self.assertRaises(everstep.SessionLost):
            while True:
                await session.execute("x")
        await session.close()
        self.assertTrue(session.lost)
        async with self.session() as session:
            self.assertEqual((session.resumed, (await session.execute("x")).value), (True, 1))
            await session.close(end=True)

    async def test_what_is_not_open_says_so(self):
        with self.assertRaises(RuntimeError):
            await self.session().execute("1")


class Errors(Sessions):
    def test_each_failure_has_its_type(self):
        session = self.open()
        for code, error in [
            ("open('/etc/passwd')", everstep.CellDenied),
            ("raise TimeoutError('late')", everstep.CellTimedOut),
            ("1 / 0", everstep.CellError),
        ]:
            with self.assertRaises(everstep.Error) as raised:
                session.execute(code)
            self.assertIs(type(raised.exception), error)
        with self.assertRaises(everstep.Idle):
            session.interrupt()
        with self.assertRaises(everstep.InvalidRequest):
            session.respond("input", "test.99999", {"value": 1}).result(LONG)
        session.close(end=True)
        with self.assertRaises(everstep.SessionEnded):
            self.open().execute("1")

    def test_a_session_that_uses_up_its_steps_has_ended_or_halted(self):
        self.policy.write_text(self.policy.read_text().replace('wasm_stack = "8MiB"', 'wasm_stack = "8MiB"\nsteps = 300'))
        session = self.open(on_error=lambda _: None)
        with self.assertRaises((everstep.Halted, everstep.CellError)):
            for _ in range(1000):
                session.execute("import time; time.time()")


class Programs(unittest.TestCase):
    def test_the_environment_names_the_program_before_the_path(self):
        with mock.patch.dict(os.environ, {"EVERSTEP": "/some/everstep"}):
            self.assertEqual(program.find(), "/some/everstep")

    def test_without_a_program_the_error_says_what_to_do(self):
        with mock.patch.dict(os.environ, {"PATH": "/nowhere", "EVERSTEP": ""}), mock.patch.object(program, "_installed", lambda: None):
            with self.assertRaisesRegex(everstep.ProgramNotFound, "EVERSTEP"):
                everstep.Session()


if __name__ == "__main__":
    unittest.main()
