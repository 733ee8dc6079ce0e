"""The canvas of all figures: matplotlib's, without its state, in one style.

matplotlib is imported where it is used, since most runs of the program never draw. Figures are built without
pyplot, which would keep every figure alive and share state with the user's own plots.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from PIL import Image

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Margins = tuple[float, float, float, float]  # left, right, below, above, in inches

INK = "#2b2f36"
FAINT = "#8a919c"
SIZES = {"font.size": 9, "axes.titlesize": 9, "axes.labelsize": 9, "xtick.labelsize": 8, "ytick.labelsize": 8}
FONT = "system-ui, sans-serif"
LOCK = threading.RLock()  # of the style


@contextlib.contextmanager
def style() -> Iterator[None]:
    """The style of all figures, whatever the user's matplotlibrc says; one thread at a time, since it is global."""
    matplotlib = _matplotlib()
    colors = dict.fromkeys(["text.color", "axes.labelcolor", "xtick.color", "ytick.color"], INK)
    # The salt makes the same run give the same file.
    svg = {"svg.fonttype": "none", "svg.hashsalt": "ensgan"}
    more = {"font.family": "DejaVu Sans", "axes.edgecolor": FAINT}
    with LOCK, matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({**SIZES, **colors, **svg, **more})
        yield


def _matplotlib() -> Any:
    """The library. It refuses to be imported with an MPLBACKEND that is not installed, which no figure here needs."""
    if "matplotlib" in sys.modules:
        return sys.modules["matplotlib"]
    backend = os.environ.pop("MPLBACKEND", None)
    try:
        import matplotlib
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend
    if backend:
        with contextlib.suppress(ValueError):  # for figures of the user
            matplotlib.rcParams["backend"] = backend
    return matplotlib


def _empty(width: float, height: float, margins: Margins) -> Figure:
    """A figure in inches. Margins are fixed, since a layout that finds them draws everything several times."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    left, right, bottom, top = margins
    figure.subplots_adjust(left / width, bottom / height, 1 - right / width, 1 - top / height, hspace=0.12)
    return figure


def figure_of(width: float, height: float, margins: Margins) -> tuple[Figure, Axes]:
    """A figure with one pair of axes."""
    figure = _empty(width, height, margins)
    return figure, figure.add_subplot()


def stacked(width: float, height: float, margins: Margins) -> tuple[Figure, tuple[Axes, Axes]]:
    """A figure with two pairs of axes above each other that share the horizontal one, the upper larger."""
    figure = _empty(width, height, margins)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    return figure, (upper, lower)


def raster(figure: Figure) -> Image.Image:
    """The figure as a picture of 100 pixels an inch."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return Image.open(buffer).convert("RGB")


def svg_of(figure: Figure) -> bytes:
    """The figure as SVG, with the reader's own font."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    # The reader's own font looks like the page around it, and is there; matplotlib's may not be.
    text = re.sub(r"'DejaVu Sans'[^;\"]*", FONT, buffer.getvalue())
    # A hundredth of a point is finer than any screen. Attributes only: labels must keep their digits.
    shorten = lambda attribute: re.sub(r"(\d\.\d\d)\d+", r"\1", attribute[0])
    return re.sub(r'"[^"]*"', shorten, text).encode()
