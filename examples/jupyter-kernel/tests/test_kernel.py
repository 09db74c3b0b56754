"""The kernel as a frontend sees it, and a notebook through nbclient. `everstep` is on the PATH; each test has a fresh store."""

import os
import shutil
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import nbformat
import psutil
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parent.parent / "notebook.ipynb"
# For a slow machine; nothing takes as long on another.
LONG = 60
# The transport between the two, on this machine, is not encrypted.
QUIET = ["--log-level=ERROR"]


class Kernels(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        fresh = {name: value for name, value in os.environ.items() if not name.startswith("EVERSTEP")}
        patched = mock.patch.dict(os.environ, {**fresh, "EVERSTEP_STORE": str(self.folder / "store")}, clear=True)
        patched.start()
        self.addCleanup(patched.stop)

    def start(self):
        manager = KernelManager(kernel_name="everstep")
        manager.start_kernel(extra_arguments=QUIET)
        client = manager.client()
        client.start_channels()
        self.addCleanup(manager.context.destroy)
        self.addCleanup(client.stop_channels)
        self.addCleanup(lambda: manager.has_kernel and manager.shutdown_kernel())
        client.wait_for_ready(timeout=LONG)
        return manager, client

    def run_cell(self, client, code, answer=None, on_output=None):
        """What a cell says, and its reply."""
        said = []

        def output(message):
            kind, content = message["header"]["msg_type"], message["content"]
            if kind in ("stream", "display_data", "execute_result", "error"):
                said.append((kind, content))
                if on_output:
                    on_output()

        def asked(message):
            said.append(("input_request", message["content"]))
            if callable(answer):
                answer()
            else:
                client.input(answer)

        reply = client.execute_interactive(code, timeout=LONG, output_hook=output, stdin_hook=asked, allow_stdin=answer is not None)
        return said, reply["content"]

    def reply_to(self, client, request):
        # One to an earlier request, from the start of the client, may come first.
        while True:
            reply = client.get_shell_msg(timeout=LONG)
            if reply["parent_header"].get("msg_id") == request:
                return reply["content"]


class Execution(Kernels):
    def test_a_question_is_asked_at_the_frontend(self):
        _, client = self.start()
        said, reply = self.run_cell(client, "print('hello', input('Name? '))", answer="Ada")
        self.assertEqual([kind for kind, _ in said], ["input_request", "stream"])
        self.assertEqual((said[0][1]["prompt"], said[1][1]), ("Name? ", {"name": "stdout", "text": "hello Ada\n"}))
        self.assertEqual(reply["status"], "ok")
        # A frontend that answers nothing.
        said, reply = self.run_cell(client, "input('Name? ')")
        self.assertEqual(reply["status"], "error")
        self.assertIn("answers no questions", reply["evalue"])

    def test_a_cell_is_complete_or_not(self):
        _, client = self.start()
        cases = {"x = 1": "complete", "for x in y:": "incomplete", "await f()": "complete", "x = 1\ny = 2": "complete", "1 +": "invalid", "f(": "incomplete"}
        for code, status in cases.items():
            reply = self.reply_to(client, client.is_complete(code))
            self.assertEqual(reply["status"], status, code)
            if code.startswith("for"):
                self.assertEqual(reply["indent"], "    ")

    def test_names_are_completed_and_described(self):
        _, client = self.start()
        self.run_cell(client, "def area(width, height=1): 'Of a rectangle.'")
        found = self.reply_to(client, client.complete("2 * are", 7))
        self.assertEqual((found["matches"], found["cursor_start"], found["cursor_end"]), (["area"], 4, 7))
        found = self.reply_to(client, client.inspect("area(", 5))
        self.assertTrue(found["found"])
        self.assertIn("area(width, height=1)", found["data"]["text/plain"])
        self.assertFalse(self.reply_to(client, client.inspect("nothing", 3))["found"])

    def test_what_is_printed_between_two_cells_is_filed_under_the_first(self):
        _, client = self.start()
        code = "import asyncio\nasync def beside():\n    await asyncio.sleep(0.3)\n    print('beside')\ntask = asyncio.create_task(beside())"
        first = client.execute(code)
        self.reply_to(client, first)
        # The kernel has another request at hand by then.
        self.reply_to(client, client.complete("asy", 3))
        while (message := client.get_iopub_msg(timeout=LONG))["msg_type"] != "stream":
            pass
        self.assertEqual((message["content"]["text"], message["parent_header"]["msg_id"]), ("beside\n", first))

    def test_an_interrupted_cell_leaves_the_session_usable(self):
        manager, client = self.start()
        for code in ("while True: pass", "import time; time.sleep(1000)", "import asyncio; await asyncio.sleep(1000)"):
            said, reply = self.run_cell(client, f"x = 41\nprint('runs')\n{code}", on_output=Once(manager.interrupt_kernel))
            self.assertEqual((reply["status"], reply["ename"]), ("error", "KeyboardInterrupt"))
            said, _ = self.run_cell(client, "x + 1")
            self.assertEqual(said[0][1]["data"], {"text/plain": "42"})

    def test_an_interrupted_question_is_taken_back(self):
        manager, client = self.start()
        said, reply = self.run_cell(client, "input('never answered')", answer=manager.interrupt_kernel)
        self.assertEqual((said[0][1]["prompt"], reply["ename"]), ("never answered", "KeyboardInterrupt"))
        said, _ = self.run_cell(client, "input('again? ')", answer="yes")
        self.assertEqual(said[1][1]["data"], {"text/plain": "'yes'"})


class Once:
    """Calls a function the first time that it is called."""

    def __init__(self, function):
        self.function = function

    def __call__(self):
        function, self.function = self.function, lambda: None
        function()


class Restarts(Kernels):
    def test_a_session_with_a_name_survives_a_restart_and_a_lost_host(self):
        os.environ["EVERSTEP_SESSION"] = "notebook"
        manager, client = self.start()
        self.run_cell(client, "x = 41")
        manager.restart_kernel()
        client.wait_for_ready(timeout=LONG)
        said, reply = self.run_cell(client, "x + 1")
        self.assertEqual((said[0][1]["data"], reply["execution_count"]), ({"text/plain": "42"}, 1))
        self.kill_host(manager)
        said, _ = self.run_cell(client, "x + 2")
        self.assertEqual(said[-1][1]["data"], {"text/plain": "43"})

    def test_a_cell_goes_on_when_its_host_is_killed(self):
        manager, client = self.start()
        executed = client.execute("print('once')\nname = input('Name? ')", allow_stdin=True)
        self.assertEqual(client.get_stdin_msg(timeout=LONG)["content"]["prompt"], "Name? ")
        self.kill_host(manager)
        client.input("Ada")
        self.assertEqual(self.reply_to(client, executed)["status"], "ok")
        said, _ = self.run_cell(client, "name")
        self.assertEqual(said[0][1]["data"], {"text/plain": "'Ada'"})

    def kill_host(self, manager):
        [host] = psutil.Process(manager.provisioner.pid).children()
        self.assertEqual(host.name(), "everstep")
        host.kill()
        host.wait(LONG)

    def test_a_session_without_a_name_is_fresh_after_a_restart(self):
        manager, client = self.start()
        self.run_cell(client, "x = 41")
        manager.restart_kernel()
        client.wait_for_ready(timeout=LONG)
        _, reply = self.run_cell(client, "x")
        self.assertEqual(reply["ename"], "NameError")

    def test_a_question_that_is_open_when_the_kernel_is_killed_is_asked_by_the_next_one(self):
        os.environ["EVERSTEP_SESSION"] = "notebook"
        manager, client = self.start()
        client.execute("name = input('Name? ')", allow_stdin=True)
        client.get_stdin_msg(timeout=LONG)
        # Not through Jupyter, which interrupts first.
        kernel = psutil.Process(manager.provisioner.pid)
        kernel.kill()
        kernel.wait(LONG)
        manager, client = self.start()
        said, _ = self.run_cell(client, "name", answer="Ada")
        self.assertEqual(said[0][1]["prompt"], "Name? ")
        self.assertEqual(said[1][1]["data"], {"text/plain": "'Ada'"})


class Notebook(Kernels):
    def test_a_notebook_runs_to_its_end(self):
        notebook = nbformat.read(NOTEBOOK, as_version=4)
        NotebookClient(notebook, timeout=LONG, startup_timeout=LONG, coalesce_streams=True, extra_arguments=QUIET).execute(cwd=str(self.folder))
        nbformat.validate(notebook)
        names, printed, display, awaited, denied, stderr = (cell.outputs for cell in notebook.cells if cell.cell_type == "code")
        self.assertEqual(names, [])
        self.assertEqual(printed[0].text, "Bergen: 4\nOslo: -3\n")
        self.assertEqual((printed[1].output_type, printed[1].data, printed[1].execution_count), ("execute_result", {"text/plain": "1"}, 2))
        html = "<table><tr><td>Bergen<td>4<tr><td>Oslo<td>-3</table>"
        self.assertEqual(display[0].data, {"text/html": html, "text/plain": "Table({'Bergen': 4, 'Oslo': -3})"})
        self.assertEqual((display[0].output_type, display[1].output_type), ("display_data", "execute_result"))
        self.assertEqual(awaited[0].data, {"text/plain": "[8, -6]"})
        self.assertEqual((denied[0].output_type, denied[0].ename), ("error", "PermissionError"))
        self.assertIn("/etc/passwd", denied[0].evalue)
        self.assertIn("files stat", denied[0].traceback[-1])
        self.assertIn("Traceback", denied[0].traceback[0])
        self.assertEqual((stderr[0].name, stderr[0].text), ("stderr", "the session goes on with 2 cities\n"))


if __name__ == "__main__":
    unittest.main()
