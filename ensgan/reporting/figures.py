"""Figures: the score matrix, curves, points, reliability, all in one style."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image

from ensgan.reporting.canvas import FAINT, INK, figure_of, raster, stacked, style, svg_of
from ensgan.reporting.colors import PALETTE, member_color

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANEL = 360  # side of a panel, in pixels
REAL = "#b4bac3"
CAUGHT, FOOLED = "#b2182b", "#2166ac"  # the ends of the colour map RdBu


def scatter_panel(points: np.ndarray, real: np.ndarray, color: str, title: str | None = None) -> Image.Image:
    """Points `[n, 2]` over the reals `[m, 2]` in grey, with equal axes; 360 pixels square.

    The frame is that of the reals, and points outside it are counted in a corner: a generator that is far off
    must not shrink the reals to a dot. Without reals it is that of the points.
    """
    lo, hi = _frame(real if len(real) else points)
    with style():
        figure, axes = figure_of(PANEL / 100, PANEL / 100, (0.5, 0.1, 0.3, 0.3))
        axes.scatter(*real.T, s=5, color=REAL, linewidths=0)
        axes.scatter(*points.T, s=5, color=color, linewidths=0, alpha=0.75)
        axes.set(xlim=(lo[0], hi[0]), ylim=(lo[1], hi[1]), aspect="equal", title=title or "")
        outside = int((~((points >= lo) & (points <= hi)).all(axis=1)).sum())  # NaN is outside, too
        if outside:
            where = {"xy": (0.98, 0.98), "xycoords": "axes fraction", "ha": "right", "va": "top"}
            axes.annotate(f"{outside} outside", **where, color=FAINT, fontsize=8)
        return raster(figure)


def reliability(before: dict[str, Any], after: dict[str, Any]) -> Image.Image:
    """Reliability diagrams before and after calibration (Guo et al. 2017, arXiv 1706.04599), side by side.

    Above, the share of reals in each bin of probability over the mean probability there, with Wilson's interval of two
    standard errors, which is no point where all of a few samples agree; on the diagonal, probabilities hold. Below, how
    many samples the bins have.

    Args:
        before: `predicted`, `observed` and `count` `[bins]`, `brier`, `error` and `z`, as in `calibration.Quality`.
        after: the same.
    """
    picture = Image.new("RGB", (2 * PANEL, PANEL + 60), "white")
    most = max(float(np.max(side["count"])) for side in (before, after))
    for k, (title, side, color) in enumerate(
        (("before calibration", before, FAINT), ("after calibration", after, PALETTE[0]))
    ):
        with style():
            figure, (axes, bars) = stacked(PANEL / 100, PANEL / 100 + 0.6, (0.6, 0.15, 0.45, 0.45))
            there = side["count"] > 0
            p, share, count = (side[key][there] for key in ("predicted", "observed", "count"))
            axes.plot([0, 1], [0, 1], color=INK, linewidth=0.9, linestyle=(0, (4, 3)))
            low, high = wilson(share, count)
            axes.errorbar(p, share, (share - low, high - share), color=color, marker="o", capsize=2)
            numbers = f"Brier {side['brier']:.4f}   ECE {side['error']:.4f}   Z {side['z']:.1f}"
            axes.set(xlim=(0, 1), ylim=(-0.02, 1.02), ylabel="share of reals", title=f"{title}\n{numbers}")
            edges = np.linspace(0, 1, len(side["count"]) + 1)
            bars.bar(edges[:-1], side["count"], width=np.diff(edges), align="edge", color=color, edgecolor="white")
            bars.set(ylim=(0, 1.05 * most), xlabel="probability of being real", ylabel="samples")
            for each in (axes, bars):
                each.spines[["top", "right"]].set_visible(False)
            picture.paste(raster(figure), (k * PANEL, 0))
    return picture


def wilson(share: np.ndarray, count: np.ndarray, z: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """The ends of the interval for a probability, from a share of `count` samples (Wilson 1927, JASA 22)."""
    scale = 1 + z**2 / count
    middle = (share + z**2 / (2 * count)) / scale
    half = z / scale * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return np.minimum(middle - half, share), np.maximum(middle + half, share)  # but for rounding, at 0 and 1


def _frame(real: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A square around the reals with a quarter to spare on each side."""
    lo, hi = real.min(axis=0).astype(np.float64), real.max(axis=0).astype(np.float64)
    half = 0.75 * max(float((hi - lo).max()), 1e-4 * float(np.abs(hi).max()), 1e-6)
    return (lo + hi) / 2 - half, (lo + hi) / 2 + half


def heat_map(fool: np.ndarray) -> bytes:
    """The matrix `fool` `[M, N]` in [0, 1] with a number in each cell, white at ½; SVG.

    Rows are generators, columns discriminators. A cell that is not finite is grey.
    """
    M, N = fool.shape
    with style():
        figure, axes = _matrix_figure(M, N)
        axes.imshow(np.ma.masked_invalid(fool), cmap=_diverging(), vmin=0.0, vmax=1.0, aspect="auto")
        size = min(11.0, _cell_points(N) / 3.2)
        for i, j in np.ndindex(M, N):
            value = fool[i, j]
            text, strong = (f"{value:.2f}", abs(value - 0.5) > 0.3) if np.isfinite(value) else ("–", False)
            axes.text(j, i, text, ha="center", va="center", fontsize=size, color="white" if strong else INK)
        _matrix_ticks(axes, M, N)
        return svg_of(figure)


def course(steps: np.ndarray, fool: np.ndarray) -> bytes:
    """How each entry of the matrix went: `fool` `[T, M, N]` at `steps` `[T]`, one small curve per pair; SVG.

    The cells lie as in the heat map. In each, time runs from left to right and the height is from 0 to 1,
    with a dotted line at ½. All cells share one pair of axes, since hundreds of axes would be slow.
    """
    _, M, N = fool.shape
    keep = thin(len(steps), max(8, min(200, 6000 // (M * N))))
    steps, fool = steps[keep], fool[keep]
    time = (steps - steps[0]) / max(1, steps[-1] - steps[0])
    row, column = np.mgrid[:M, :N].reshape(2, -1, 1).astype(float)  # each [M·N, 1]
    x = column - 0.4 + 0.8 * time
    y = row + 0.4 - 0.8 * fool.reshape(len(steps), -1).T  # [M·N, T]; rows count downwards
    # NaN between the cells lifts the pen.
    joined = lambda a: np.pad(np.broadcast_to(a, y.shape), ((0, 0), (0, 1)), constant_values=np.nan).ravel()
    with style():
        figure, axes = _matrix_figure(M, N)
        axes.set_facecolor("#f3f4f6")
        axes.fill_between(joined(x), joined(row), joined(np.minimum(y, row)), color=FOOLED, alpha=0.3, linewidth=0)
        axes.fill_between(joined(x), joined(row), joined(np.maximum(y, row)), color=CAUGHT, alpha=0.3, linewidth=0)
        axes.hlines(np.arange(M), -0.5, N - 0.5, color=FAINT, linewidth=0.7, linestyle=":")
        axes.plot(joined(x), joined(y), color=INK, linewidth=1.2)
        axes.plot(x[:, -1], y[:, -1], color=INK, linestyle="", marker="o", markersize=2.5)
        axes.set(xlim=(-0.5, N - 0.5), ylim=(M - 0.5, -0.5))
        _matrix_ticks(axes, M, N)
        return svg_of(figure)


def curves(
    steps: np.ndarray,
    values: np.ndarray,
    *,
    ylabel: str,
    errors: np.ndarray | None = None,
    line: tuple[float, str] | None = None,
) -> bytes:
    """One curve per member: `values` `[T, members]` at `steps` `[T]`, thinned to at most 400 points; SVG.

    Args:
        steps: the horizontal axis.
        values: NaN leaves a gap.
        ylabel: what the values are.
        errors: half the height of the band around each curve, `[T, members]`.
        line: height and name of a dashed reference line.
    """
    from matplotlib.ticker import MaxNLocator

    keep = thin(len(steps), min(400, 3200 // values.shape[1]))
    steps, values = steps[keep], values[keep]
    errors = np.zeros_like(values) if errors is None else np.nan_to_num(errors[keep])
    members = values.shape[1]
    with style():
        figure, axes = figure_of(5.2, 2.7, (0.7, 0.1, 0.42, 0.22))
        for m in range(members):
            color, y, e = member_color(m), values[:, m], errors[:, m]
            if e.any() and len(steps) == 1:  # a band would have no width
                axes.errorbar(steps, y, e, color=color, capsize=3)
            elif e.any():
                axes.fill_between(steps, y - e, y + e, color=color, alpha=0.16, linewidth=0)
            # Later curves are thinner, so that those beneath them still show where they coincide.
            width = 2.2 - 1.1 * m / max(1, members - 1)
            axes.plot(steps, y, color=color, linewidth=width, marker="o" if len(steps) < 30 else "", markersize=3)
        if line is not None:
            _reference(axes, *line)
        if _spans_decades(values):
            axes.set_yscale("log")
        else:
            axes.ticklabel_format(axis="y", scilimits=(-3, 4))  # labels of few digits fit into the margin
        axes.grid(color="#e8eaee", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        _one_tick(axes, steps)
        axes.set(xlabel="step", ylabel=ylabel)
        axes.margins(x=0.02)
        return svg_of(figure)


class Band(NamedTuple):
    """Curves of one colour: those of every seed, their mean, and the interval around it.

    Attributes:
        color: of all of them.
        x: the horizontal axis, `[T]`.
        every: `[seeds, T]`.
        mean: `[T]`; NaN leaves a gap.
        low: lower end of the interval, `[T]`; NaN where there is none.
        high: upper end, `[T]`.
    """

    color: str
    x: np.ndarray
    every: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


def bands(groups: Sequence[Band], *, xlabel: str, ylabel: str) -> bytes:
    """Curves of several sides with their seeds, thinned to at most 200 points each; SVG."""
    with style():
        figure, axes = figure_of(5.2, 2.9, (0.7, 0.1, 0.42, 0.22))
        for color, x, every, mean, low, high in groups:
            keep = thin(len(x), 200) if len(x) else slice(0)
            mark = "o" if len(x) < 30 else ""
            for values in every:
                axes.plot(x[keep], values[keep], color=color, linewidth=0.6, alpha=0.45)
            axes.fill_between(x[keep], low[keep], high[keep], color=color, alpha=0.18, linewidth=0)
            axes.plot(x[keep], mean[keep], color=color, linewidth=2, marker=mark, markersize=3.5)
        if _spans_decades(np.concatenate([each.every.ravel() for each in groups])):
            axes.set_yscale("log")
        else:
            axes.ticklabel_format(axis="y", scilimits=(-3, 4))
        axes.grid(color="#e8eaee", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        _one_tick(axes, np.concatenate([each.x for each in groups]))
        axes.set(xlabel=xlabel, ylabel=ylabel)
        axes.margins(x=0.02)
        return svg_of(figure)


def _one_tick(axes: Axes, x: np.ndarray) -> None:
    """The only value of a horizontal axis as its tick, where there is one; those around it would be made up."""
    if len(np.unique(x)) == 1:
        axes.set_xticks([x[0]], [f"{x[0]:.4g}" if x[0] % 1 or x[0] >= 1e6 else f"{x[0]:.0f}"])


def thin(count: int, most: int) -> np.ndarray:
    """At most `most` indices below `count`, evenly spread, with the first and the last."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))


def _reference(axes: Axes, height: float, name: str) -> None:
    axes.axhline(height, color=INK, linewidth=0.9, linestyle=(0, (4, 3)))
    # On the left, since curves that come close to their reference do so at the end.
    where = {"xy": (0.01, height), "xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
    axes.annotate(name, **where, xytext=(0, 2), ha="left", va="bottom", fontsize=8, color=INK)


def _spans_decades(values: np.ndarray) -> bool:
    """Whether a few values would flatten all others on a linear axis."""
    finite = values[np.isfinite(values)]
    return finite.size > 0 and bool(finite.min() > 0 and finite.max() > 50 * np.median(finite))


def _diverging() -> Any:
    from matplotlib import colormaps

    return colormaps["RdBu"].with_extremes(bad="#d5d8dd")


def _cell_points(N: int) -> float:
    """How wide a cell of a matrix figure with N columns is, in points."""
    return (4.6 if N <= 8 else 9.6) * 72 / N


def _matrix_figure(M: int, N: int) -> tuple[Figure, Axes]:
    """Half the width of the page for up to 8 columns, else all of it."""
    width = 5.2 if N <= 8 else 10.4
    cell = min(0.9, max(0.28, 0.72 * _cell_points(N) / 72))
    return figure_of(width, M * cell + 0.35, (0.5, 0.1, 0.05, 0.3))


def _matrix_ticks(axes: Axes, M: int, N: int) -> None:
    """Names on top and on the left, at the middles of cells; white lines at their edges."""
    axes.spines[:].set_visible(False)
    axes.tick_params(which="both", length=0)
    axes.xaxis.tick_top()
    axes.set_xticks(range(N), [f"D {j}" for j in range(N)], minor=True)
    axes.set_yticks(range(M), [f"G {i}" for i in range(M)], minor=True)
    axes.set(xticks=np.arange(1, N) - 0.5, yticks=np.arange(1, M) - 0.5)
    axes.tick_params(which="minor", labelsize=9 if N <= 24 else 7)
    axes.tick_params(which="major", labeltop=False, labelleft=False)
    axes.grid(which="major", color="white", linewidth=3)
