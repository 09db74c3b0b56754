"""pip as it would run inside of the component: within.py ARGUMENTS OF PIP.

Its resolver decides by the version and the platform of the Python in the component, and takes wheels alone, so that no code of a package runs
here. A wheel without native code goes before one with it, which is there for packages that do without when they have to.
"""

import sys

from pip._internal.cli.main import main
from pip._internal.distributions.sdist import SourceDistribution
from pip._internal.exceptions import InstallationError
from pip._internal.models import target_python
from pip._internal.operations.prepare import RequirementPreparer
from pip._internal.resolution.resolvelib import factory
from pip._vendor.packaging import markers
from pip._vendor.packaging.tags import Tag

VERSION = "3.14.0"
# What markers such as `sys_platform == "win32"` see.
ENVIRONMENT = {
    "implementation_name": "cpython",
    "implementation_version": VERSION,
    "os_name": "posix",
    "platform_machine": "wasm32",
    "platform_python_implementation": "CPython",
    "platform_release": "0.0.0",
    "platform_system": "wasi",
    "platform_version": "0.0.0",
    "python_full_version": VERSION,
    "python_version": "3.14",
    "sys_platform": "wasi",
}


def tags():
    """What is taken, the best first: the same on every machine."""
    minors = range(14, -1, -1)
    yield Tag("cp314", "none", "any")
    yield from (Tag(f"py3{minor}", "none", "any") for minor in minors)
    yield from (Tag(python, "none", "any") for python in ("py3", "cp3"))
    linux = [f"manylinux_2_{glibc}_x86_64" for glibc in range(41, 4, -1)]
    linux += ["manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64", "linux_x86_64"]
    for minor in range(14, 6, -1):
        for abi in (f"cp3{minor}", "abi3", "none"):
            yield from (Tag(f"cp3{minor}", abi, platform) for platform in linux)
    yield from (Tag("py3", "none", platform) for platform in linux)


def only_wheels(self, *_, **__):
    raise InstallationError(
        f"{self.req} is no wheel, and code of a package is not run to make one; run pip wheel for it, and name the wheel"
    )


def not_editable(self, req, *_, **__):
    raise InstallationError(f"{req} is editable, which nothing in a component is; run pip wheel for it, and name the wheel")


target_python.get_supported = factory.get_supported = lambda *_, **__: list(tags())
markers.default_environment = lambda: dict(ENVIRONMENT)
SourceDistribution.prepare_distribution_metadata = only_wheels
RequirementPreparer.prepare_editable_requirement = not_editable
sys.exit(main())
