"""matplotlib without a screen: its figures come out as `display`, by `show` or when a cell of a session has run, as in a notebook."""

import atexit
import contextlib
import io
import shutil
import tempfile

import everstep
from everstep import _session

# What matplotlib keeps between programs would lie there.
CACHE = "/tmp/matplotlib"


def install():
    """Imports matplotlib, which finds its fonts then; there is no folder yet in which it could note them."""
    make, tempfile.mkdtemp = tempfile.mkdtemp, lambda *_, **__: CACHE
    try:
        import matplotlib
        import matplotlib.font_manager
        import matplotlib.figure
    finally:
        tempfile.mkdtemp = make
        atexit.unregister(shutil.rmtree)
    matplotlib.use("module://_figures")
    matplotlib.figure.Figure._repr_png_ = _png
    _session.AFTER.append(_show_what_is_left)


def _png(figure):
    content = io.BytesIO()
    figure.savefig(content, format="png", bbox_inches="tight")
    return content.getvalue()


def _show():
    from matplotlib._pylab_helpers import Gcf

    for manager in Gcf.get_all_fig_managers():
        everstep.display(manager.canvas.figure)
    Gcf.destroy_all()


def _show_what_is_left():
    """Where the policy lets nothing be displayed, that is no error of a cell which has not asked for it."""
    with contextlib.suppress(everstep.EverstepError):
        _show()


def __getattr__(name):
    """What matplotlib asks of a backend, once it is there."""
    if name not in ("FigureCanvas", "FigureManager"):
        raise AttributeError(name)
    from matplotlib.backend_bases import FigureManagerBase
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    class FigureManager(FigureManagerBase):
        @classmethod
        def pyplot_show(cls, *, block=None):
            _show()

    class FigureCanvas(FigureCanvasAgg):
        manager_class = FigureManager

    globals().update(FigureCanvas=FigureCanvas, FigureManager=FigureManager)
    return globals()[name]
