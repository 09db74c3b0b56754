"""wheels.py FOLDER: writes wheels of made-up packages, the same bytes each time, for builds that look at no index."""

import base64
import hashlib
import sys
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
            "fast/__init__.py": "try:\n    from fast._speed import add\nexcept ImportError:\n    def add(a, b):\n        return a + b\n",
            f"fast/_speed.{LIBRARY}": "\x7fELF, as it were",
        },
    ),
    ("hard", "1.0", NATIVE, [], {"hard/__init__.py": "# nothing but\nfrom hard._core import run\n", f"hard/_core.{LIBRARY}": "\x7fELF, as it were"}),
    ("drawn", "1.0", PURE, [], {"drawn.py": "import os\nTOKEN = os.urandom(4).hex()\n"}),
    ("broken", "1.0", PURE, [], {"broken/__init__.py": "import broken.inner\n", "broken/inner.py": "\n\n1 / 0\n"}),
    ("picky", "1.0", PURE, ["tint<2"], {"picky.py": ""}),
    ("later", "1.0", PURE, ["tint>=2"], {"later.py": ""}),
]


def write(folder, name, version, tag, needs, files):
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n" + "".join(f"Requires-Dist: {need}\n" for need in needs)
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


for each in WHEELS:
    write(Path(sys.argv[1]), *each)
