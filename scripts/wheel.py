"""`wheel.py PROGRAM COMPONENT FOLDER` writes the wheel of the client with the program and the component in it.

The same files make the same wheel, byte for byte: sorted entries, one time for all (`SOURCE_DATE_EPOCH`, else that of the first files that
zip can date).
"""

import base64
import hashlib
import os
import sys
import time
import tomllib
import zipfile
from pathlib import Path

PROJECT = Path(__file__).parent.parent
TAG = "py3-none-manylinux_2_28_x86_64"
# 1980-01-01, before which zip has no time.
EARLIEST = 315532800


def metadata(version: str, project: dict) -> str:
    """What installers and people read of the package, with the beginning of the README."""
    description = (PROJECT / "README.md").read_text().split("\n## ", 1)[0]
    return f"""Metadata-Version: 2.4
Name: {project["name"]}
Version: {version}
Summary: {project["description"]}
License-Expression: {project["license"]["text"]}
License-File: LICENSE
Requires-Python: {project["requires-python"]}
Classifier: Operating System :: POSIX :: Linux
Classifier: Typing :: Typed
Description-Content-Type: text/markdown

{description}"""


def contents(program: Path, component: Path) -> tuple[str, dict[str, tuple[bytes, int]]]:
    """The version, and each file of the wheel by its name: its bytes and its mode."""
    version = tomllib.loads((PROJECT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    project = tomllib.loads((PROJECT / "client/pyproject.toml").read_text())["project"]
    info, data = f"everstep-{version}.dist-info", f"everstep-{version}.data"
    files = {
        f"{data}/scripts/everstep": (program.read_bytes(), 0o755),
        f"{data}/data/share/everstep/everstep-python.wasm": (component.read_bytes(), 0o644),
        f"{info}/METADATA": (metadata(version, project).encode(), 0o644),
        f"{info}/WHEEL": (f"Wheel-Version: 1.0\nGenerator: everstep\nRoot-Is-Purelib: false\nTag: {TAG}\n".encode(), 0o644),
        f"{info}/licenses/LICENSE": ((PROJECT / "LICENSE").read_bytes(), 0o644),
    }
    for path in sorted((PROJECT / "client/everstep").iterdir()):
        if path.is_file():
            files[f"everstep/{path.name}"] = (path.read_bytes(), 0o644)
    if f'__version__ = "{version}"'.encode() not in files["everstep/__init__.py"][0]:
        raise SystemExit(f"wheel: client/everstep/__init__.py has another version than Cargo.toml, which has {version}")
    rows = [f"{name},sha256={digest(content)},{len(content)}" for name, (content, _) in sorted(files.items())]
    files[f"{info}/RECORD"] = ("\n".join([*rows, f"{info}/RECORD,,", ""]).encode(), 0o644)
    return version, files


def digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def write(wheel: Path, files: dict[str, tuple[bytes, int]]) -> None:
    """As an archive whose last entries are those of `dist-info`, as the format recommends."""
    moment = time.gmtime(max(int(os.environ.get("SOURCE_DATE_EPOCH", EARLIEST)), EARLIEST))[:6]
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in sorted(files, key=lambda name: (".dist-info/" in name, name)):
            content, mode = files[name]
            entry = zipfile.ZipInfo(name, moment)
            entry.external_attr = (0o100000 | mode) << 16
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED, compresslevel=6)


def main() -> None:
    program, component, folder = map(Path, sys.argv[1:])
    version, files = contents(program, component)
    folder.mkdir(exist_ok=True)
    for old in folder.glob("everstep-*.whl"):
        old.unlink()
    wheel = folder / f"everstep-{version}-{TAG}.whl"
    write(wheel, files)
    print(f"wheel: {wheel}, {wheel.stat().st_size / 1e6:.1f} MB")


main()
