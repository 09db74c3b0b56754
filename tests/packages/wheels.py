"""wheels.py FOLDER: writes wheels of made-up packages, the same bytes each time, for builds that look at no index."""

import base64
import hashlib
import io
import sys
import tarfile
import zipfile
from pathlib import Path

PURE, NATIVE = "py3-none-any", "cp314-cp314-manylinux_2_17_x86_64"
LIBRARY = "cpython-314-x86_64-linux-gnu.so"

# Name, version, tag, what it needs, files.
WHEELS = [
    (
        "palette", "1.0", PURE,
        ["tint>=1", "nowhere-1; sys_platform == 'linux'", "nowhere-2; python_version < '3.14'"],
        {
            "palette/__init__.py": "import importlib.metadata, tint\n"
            "__version__ = importlib.metadata.version('palette')\n"
            "def mix(*names):\n    return tint.shade('+'.join(names))\n",
            "palette/data.py": "import importlib.resources, os, pkgutil\n"
            "def read():\n"
            "    beside = os.path.join(os.path.dirname(__file__), 'colours.txt')\n"
            "    ways = [importlib.resources.files('palette').joinpath('colours.txt').read_text(), open(beside).read()]\n"
            "    return ways + [pkgutil.get_data('palette', 'colours.txt').decode()]\n",
            "palette/colours.txt": "red\ngreen\n",
        },
    ),
    ("tint", "1.0", PURE, [], {"tint.py": "def shade(name):\n    return 'pale ' + name\n"}),
    ("tint", "2.0", PURE, [], {"tint.py": "def shade(name):\n    if not name:\n        raise ValueError('no name')\n    return 'dark ' + name\n"}),
    (
        "fast", "1.0", NATIVE, [],
        {
            "fast/__init__.py": "import ctypes.util, curses, fcntl, multiprocessing.shared_memory, pty, resource, termios\ntry:\n    from fast._speed import add\nexcept ImportError:\n    def add(a, b):\n        return a + b\n",
            f"fast/_speed.{LIBRARY}": "\x7fELF, as it were",
        },
    ),
    ("hard", "1.0", NATIVE, [], {"hard/__init__.py": "# nothing but\nfrom hard._core import run\n", f"hard/_core.{LIBRARY}": "\x7fELF, as it were"}),
    ("drawn", "1.0", PURE, [], {"drawn.py": "import os\nTOKEN = os.urandom(4).hex()\n"}),
    (
        "shared", "1.0", PURE, [],
        {"common/shared/alone.py": "", "common/shared/other.py": "import nobody_has_it\n"},
    ),
    ("broken", "1.0", PURE, [], {"broken/__init__.py": "import broken.inner\n", "broken/inner.py": "\n\n1 / 0\n"}),
    ("picky", "1.0", PURE, ["tint<2"], {"picky.py": ""}),
    ("later", "1.0", PURE, ["tint>=2"], {"later.py": ""}),
    (
        "spy", "1.0", PURE, [],
        {
            "spy/__init__.py": "import os, socket, subprocess\n"
            "ACTS = {\n"
            "    'read': lambda: open('/etc/passwd').read(), 'list': lambda: os.listdir('/root'), 'write': lambda: open('/spied', 'w'),\n"
            "    'link': lambda: os.symlink('/etc/passwd', '/python/site-packages/spied'), 'connect': lambda: socket.create_connection(('127.0.0.1', 22), 9),\n"
            "    'run': lambda: subprocess.run(['id']), 'fork': lambda: os.fork(), 'become': lambda: os.execv('/bin/id', ['id']),\n"
            "}\n"
            "def tried(act):\n    try:\n        act()\n    except Exception as error:\n        return type(error).__name__\n    return 'done'\n"
            "def done():\n    return sorted(name for name, act in ACTS.items() if tried(act) == 'done')\n"
            "DONE, ENVIRONMENT = done(), sorted(os.environ)\n",
            "spy.pth": "import builtins; builtins.SPIED = 'pth'\n",
            "sitecustomize.py": "import builtins\nbuiltins.SPIED = 'site'\n",
            "usercustomize.py": "import builtins\nbuiltins.SPIED = 'user'\n",
            "spy-1.0.data/scripts/python3": "#!/bin/sh\nexit 7\n",
            "spy-1.0.data/data/lib/python3.11/site-packages/spied.pth": "import builtins; builtins.SPIED = 'data'\n",
        },
    ),
    ("escape", "1.0", PURE, [], {"escape.py": "", "../../escaped.py": ""}),
    ("nested", "1.0", PURE, [], {"nested.py": "", "nested-1.0.data/data/../../../../escaped.py": ""}),
    ("rooted", "1.0", PURE, [], {"rooted.py": "", "/tmp/escaped.py": ""}),
]
# What a wheel says of itself, in the place of what is true.
LIES = [("named", "Name: ../../escaped"), ("versioned", "Version: ../../../escaped")]


def write(folder, name, version, tag, needs, files, lie=""):
    info = f"{name}-{version}.dist-info"
    said = {"Name": name, "Version": version, **dict([lie.split(": ")] if lie else [])}
    metadata = "Metadata-Version: 2.1\n" + "".join(f"{key}: {value}\n" for key, value in said.items())
    metadata += "".join(f"Requires-Dist: {need}\n" for need in needs)
    files = {
        **files,
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: {str(tag == PURE).lower()}\nTag: {tag}\n",
        f"{info}/entry_points.txt": f"[tests.plugins]\n{name} = {name}\n",
    }
    record = "".join(f"{path},sha256={digest(text)},{len(text.encode())}\n" for path, text in files.items())
    with zipfile.ZipFile(folder / f"{name}-{version}-{tag}.whl", "w") as wheel:
        for path, text in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            wheel.writestr(zipfile.ZipInfo(path), text)


def digest(text):
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def write_sources(folder, name):
    """A package that is there as its sources alone, and whose code would say that it has run."""
    ran = "import pathlib\npathlib.Path('%s').write_text('ran')\nfrom setuptools import setup\nsetup(name='%s', version='1.0')\n" % (folder.parent / "ran", name)
    with tarfile.open(folder / f"{name}-1.0.tar.gz", "w:gz") as archive:
        for path, text in {"setup.py": ran, "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"}.items():
            member = tarfile.TarInfo(f"{name}-1.0/{path}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    sources = folder.parent / "sources"
    sources.mkdir()
    (sources / "setup.py").write_text(ran)


TO = Path(sys.argv[1]).resolve()
for each in WHEELS:
    write(TO, *each)
for name, lie in LIES:
    write(TO, name, "1.0", PURE, [], {f"{name}.py": ""}, lie)
write_sources(TO, "unbuilt")
