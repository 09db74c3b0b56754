"""`wheel.py WHEEL` looks into a wheel, and does what docs/install.md says in an environment that knows nothing of this folder."""

import base64
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
import zipfile
from pathlib import Path

from elftools.elf.elffile import ELFFile

PROJECT = Path(__file__).resolve().parents[2]
WHEEL = Path(sys.argv.pop(1)).resolve()
PROGRAM, COMPONENT = "scripts/everstep", "share/everstep/everstep-python.wasm"
# For a slow machine, which compiles the component.
LONG = 400


def run(*command, **options):
    """What a command prints; its errors are shown if it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=LONG, **options)
    if done.returncode:
        raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


class Contents(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with zipfile.ZipFile(WHEEL) as archive:
            cls.files = {name: archive.read(name) for name in archive.namelist()}
        cls.elf = ELFFile(io.BytesIO(cls.one(PROGRAM)))

    @classmethod
    def one(cls, ending):
        (content,) = (content for name, content in cls.files.items() if name.endswith(ending))
        return content

    def test_the_program_runs_with_glibc_2_28(self):
        needed = {
            tuple(map(int, version.name[len("GLIBC_") :].split(".")))
            for _, versions in self.elf.get_section_by_name(".gnu.version_r").iter_versions()
            for version in versions
            if version.name.startswith("GLIBC_2")
        }
        self.assertIn((2, 2, 5), needed)
        self.assertLessEqual(max(needed), (2, 28))
        shown = run(Path(sys.executable).with_name("auditwheel"), "show", WHEEL)
        self.assertIn('"manylinux_2_28_x86_64"', " ".join(shown.split()))

    def test_the_program_is_stripped(self):
        names = [section.name for section in self.elf.iter_sections()]
        self.assertIn(".text", names)
        self.assertEqual([name for name in names if name == ".symtab" or name.startswith(".debug")], [])

    def test_nothing_is_compiled_ahead(self):
        # A component, not a module and no machine code.
        self.assertEqual(self.one(COMPONENT)[:8], b"\0asm\x0d\0\1\0")
        self.assertEqual([name.split(".data/")[1] for name, content in self.files.items() if content[:4] == b"\x7fELF"], [PROGRAM])
        self.assertEqual([name for name in self.files if name.endswith((".cwasm", ".so", ".pyc"))], [])

    def test_it_says_what_it_holds(self):
        metadata, record = self.one("/METADATA").decode(), self.one("/RECORD").decode()
        version = re.search(r'^version = "(.*)"', (PROJECT / "Cargo.toml").read_text(), re.M).group(1)
        self.assertIn(f"\nName: everstep\nVersion: {version}\n", metadata)
        self.assertIn("\n# Everstep\n", metadata)
        self.assertIn("everstep/py.typed", self.files)
        self.assertEqual(self.one("licenses/LICENSE"), (PROJECT / "LICENSE").read_bytes())
        for name, content in self.files.items():
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            self.assertIn(f"{name},,\n" if name.endswith("/RECORD") else f"{name},sha256={digest},{len(content)}\n", record)

    def test_the_same_files_make_the_same_wheel(self):
        with tempfile.TemporaryDirectory() as folder:
            for name, ending in [("everstep", PROGRAM), ("python.wasm", COMPONENT)]:
                Path(folder, name).write_bytes(self.one(ending))
            run("python3", PROJECT / "scripts/wheel.py", f"{folder}/everstep", f"{folder}/python.wasm", f"{folder}/dist")
            again = Path(folder, "dist", WHEEL.name)
            self.assertEqual(hashlib.sha256(again.read_bytes()).digest(), hashlib.sha256(WHEEL.read_bytes()).digest())


class Installed(unittest.TestCase):
    """In a fresh folder and environment. `PATH` has what a system has, and so neither Rust nor a build of this project."""

    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp())
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        kept = {name: os.environ[name] for name in ("HOME", "XDG_CACHE_HOME") if name in os.environ}
        cls.environment = {"PATH": "/usr/bin:/bin", **kept}
        run("python3", "-m", "venv", cls.folder / "fresh")
        cls.inside("fresh/bin/pip", "install", "--quiet", "--no-index", "--disable-pip-version-check", WHEEL)

    @classmethod
    def inside(cls, program, *arguments):
        return run(cls.folder / program, *arguments, cwd=cls.folder, env=cls.environment)

    def test_the_program_runs(self):
        self.assertIsNone(shutil.which("cargo", path=self.environment["PATH"]))
        self.assertEqual(self.inside("fresh/bin/everstep", "exec", "-c", "print(1+1)"), "2\n")

    def test_what_the_document_shows_is_what_happens(self):
        document = (PROJECT / "docs/install.md").read_text()
        written = re.findall(r"^\$ cat > (\S+) <<'EOF'\n(.*?)^EOF$", document, re.M | re.S)
        self.assertEqual([name for name, _ in written], ["policy.toml", "cell.py", "orders.py"])
        for name, content in written:
            (self.folder / name).write_text(content)
        (self.folder / "orders").mkdir()
        (self.folder / "orders/today").write_text("3\n4\n5\n")
        shown = re.search(r"^\$ fresh/bin/python orders.py\n(.*?)^```$", document, re.M | re.S).group(1)
        self.assertEqual(self.inside("fresh/bin/python", "orders.py"), shown)

    def test_types_hold_for_those_who_use_it(self):
        def check(*paths):
            options = ["--strict", "--python-executable", self.folder / "fresh/bin/python"]
            return subprocess.run([sys.executable, "-m", "mypy", *options, *paths], cwd=self.folder, capture_output=True, text=True, timeout=LONG)

        (self.folder / "right.py").write_text(
            "import everstep\n"
            "async def use() -> int | None:\n"
            "    async with everstep.AsyncSession('a', policy='p') as session:\n"
            "        return (await session.execute('1')).cell\n"
            "with everstep.Session('a', on_output=lambda stream, text: print(text)) as session:\n"
            "    cell: int | None = session.execute('1').cell\n"
        )
        (self.folder / "wrong.py").write_text("import everstep\neverstep.Session(policy=3)\n")
        right, package, wrong = check("right.py"), check(PROJECT / "client/everstep"), check("wrong.py")
        self.assertEqual(right.returncode, 0, right.stdout)
        self.assertEqual(package.returncode, 0, package.stdout)
        self.assertIn('Argument "policy"', wrong.stdout)


unittest.main()
