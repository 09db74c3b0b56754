"""The packages of a component: installed into a folder, without their native code, and put into an archive."""

import dataclasses
import re
import shutil
import sys
import zipfile
from pathlib import Path

import resolving
import tools
from alternatives import alternative
from failure import Failure

_NATIVE = (".so", ".pyd", ".dylib", ".dll", ".a", ".lib")
# What is of no use inside, or says where this was built.
_LEFT_OUT = {"__pycache__", "direct_url.json", "REQUESTED", "INSTALLER"}
_PYTHON = sys.stdlib_module_names | {"annotationlib", "compression", "concurrent"}
# Folders that some packages have beside their modules.
_NO_MODULES = {"test", "tests", "doc", "docs", "example", "examples", "benchmarks", "scripts", "bin"}
# What Python would import by itself as it starts.
_NO_MODULES |= {"sitecustomize", "usercustomize"}


@dataclasses.dataclass
class Package:
    """One that is installed: `modules` are those that a program imports first, `native` the files of native code that are left out."""

    name: str
    version: str
    modules: list
    native: list

    def __str__(self):
        return f"{self.name} {self.version}"

    def described(self):
        return {"name": self.name, "version": self.version, "without_native_code": bool(self.native)}


def install(environment, pins, work):
    """Installs what is pinned into the folder `site`, by pip, which compares every hash."""
    site, pinned = work / "site", work / "pinned.txt"
    pinned.write_text("".join(f"{line}\n" for line in pins.lines))
    options = ["--no-deps", "--no-compile", "--require-hashes", "--only-binary=:all:", "--python-version=3.14.0", "--ignore-installed"]
    done = resolving.pip(environment, "install", *options, "--target", site, "-r", pinned)
    if done.returncode != 0:
        raise Failure(f"pip cannot install what is locked: {tools.said(done)}\nremove the lock, or build with --upgrade, to find packages anew")
    found = [_package(folder) for folder in site.glob("*.dist-info")]
    for folder in (site / "bin", *site.glob("*.libs")):
        shutil.rmtree(folder, ignore_errors=True)
    return sorted(found, key=lambda package: package.name.lower())


def _package(folder):
    metadata = (folder / "METADATA").read_text("utf-8")
    name, version = (re.search(rf"^{key}: *(.+)$", metadata, re.M)[1].strip() for key in ("Name", "Version"))
    files = [path.relative_to(folder.parent) for path in _recorded(folder)]
    native = sorted(str(path) for path in files if path.suffix in _NATIVE)
    return Package(name, version, _modules(folder.parent, files), native)


def _recorded(folder):
    """The files that belong to it."""
    import csv

    with open(folder / "RECORD", encoding="utf-8", newline="") as file:
        paths = [folder.parent / row[0] for row in csv.reader(file) if row]
    return [path for path in paths if ".." not in path.parts and path.is_relative_to(folder.parent) and path.is_file()]


def _modules(site, files):
    """The modules at the top; of a folder that is shared with other packages, those in it."""
    files = {path for path in files if path.suffix == ".py"}
    found, pending = set(), [Path()]
    while pending:
        folder = pending.pop()
        for path in files:
            if path.parts[: len(folder.parts)] != folder.parts:
                continue
            rest = path.parts[len(folder.parts) :]
            top = rest[0].removesuffix(".py")
            if not top.isidentifier() or top in _NO_MODULES or top.startswith("__"):
                continue
            if len(rest) == 1 or folder / top / "__init__.py" in files:
                found.add(".".join((*folder.parts, top)))
            elif folder / top not in pending and len(folder.parts) < 4 and not (site / folder / top / "__init__.py").exists():
                pending.append(folder / top)
    public = {name for name in found if not any(part.startswith("_") for part in name.split("."))}
    return sorted(public or found)


def write(site, file):
    """The archive: the same bytes for the same packages."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(site.rglob("*")):
            inner = path.relative_to(site)
            if path.is_file() and path.suffix not in _NATIVE and not _LEFT_OUT & set(inner.parts):
                archive.writestr(zipfile.ZipInfo(inner.as_posix()), path.read_bytes(), zipfile.ZIP_DEFLATED)


def imports(site, installed, pins):
    """What is imported while the component is made: what is asked for, and what has to show that it does without its native code."""
    names = {re.sub(r"[-_.]+", "-", package.name).lower(): package for package in installed}
    found = [{"module": module, "may_wait": False, "may_lack": False} for module in pins.preload]
    for module in pins.preload:
        top = module.partition(".")[0]
        if not (site / top).is_dir() and not (site / f"{top}.py").is_file() and top not in _PYTHON:
            raise Failure(f"there is no module {module} to be imported: no package has {top}; name one that has with --with")
    for name, package in names.items():
        if name in pins.requested or package.native:
            modules = [module for module in package.modules if module not in pins.preload]
            # In a folder that packages share, each module stands for itself.
            found += [{"module": module, "may_wait": True, "may_lack": "." in module} for module in modules]
    return found


def refusal(error, installed):
    """Why a module that cannot be imported ends the build, and what to do about it."""
    module, reason = error["module"], error["reason"]
    what = f"import {module} ({error['where']}): {reason}" if error["where"] else f"import {module}: {reason}"
    package = next((each for each in installed if any(f"{module}.".startswith(f"{top}.") for top in each.modules)), None)
    if package is None:
        return f"there is no module {module} to be imported ({reason}); name the package that has it with --with"
    instead = alternative(re.sub(r"[-_.]+", "-", package.name).lower())
    if package.native:
        remedy = instead or "use a package without native code, or a release with a wheel that ends in -none-any.whl"
        return f"{package} is native code, which cannot run in the component, and its modules do not do without: {what}; {remedy}"
    if reason.startswith("it "):
        return f"{package} cannot be imported while the component is built: {what}; leave it out of --preload, and have programs import it"
    return f"{package} cannot be imported in the component: {what}; {instead or 'another release of it may do'}"
