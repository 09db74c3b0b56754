"""What CPython with science runs: `prepare` once, before its memory becomes that of the module, and `turn` when the host calls."""

import json
import os
import sys

import _canonical

# Where all modules are. CPython finds them there itself until they are in memory.
ARCHIVE = "/usr/local/lib/python315.zip"
# What programs find imported.
PRELOADED = ("numpy", "pandas", "matplotlib.pyplot", "scipy.stats", "scipy.optimize", "sklearn.base", "lxml.etree")

_world = _guest = None


def prepare():
    """Imports everything that programs begin with."""
    global _world, _guest
    _world = _canonical.World(json.loads(__loader__.get_data(f"{ARCHIVE}/interfaces.json")))
    from everstep import _preload

    # In the place of the packages of other components.
    _preload.install = _install
    import app
    from wit_world.imports import context

    class Guest(app.Guest):
        def start(self, name, args):
            os.environ.update(context.environment())
            return super().start(name, args)

    app.SEEDS.append(_seed)
    _guest = Guest()
    sys.stdout.flush()


def turn():
    """Does what the host has called."""
    _world.turn(_guest)


def _install():
    # The names in an archive are in that encoding; from here on nothing is read from the file.
    import encodings.cp437

    import _figures
    from everstep import _host, _interrupt, _packages, _run

    with open(ARCHIVE, "rb") as file:
        content = file.read()
    _packages.ROOT = ARCHIVE
    _packages.install(content)
    _packages.adopt()
    # Modules read the clock, and nobody can interrupt them yet.
    noticed, _interrupt.noticed = _interrupt.noticed, lambda: False
    _figures.install()
    _run.OURS.update(f"{ARCHIVE}/{name}.py" for name in (__name__, "_canonical", "_figures"))
    for name in PRELOADED:
        __import__(name)
    _interrupt.noticed = noticed
    _host.is_built = True


def _seed(seed):
    """numpy has one generator that all programs share, and its state is that of the build."""
    sys.modules["numpy.random"].seed(list(seed))
