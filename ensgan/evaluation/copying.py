"""Do generators copy? Distances of samples to their nearest training samples, against those of held-out reals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from shlex import quote
from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtri

from ensgan.data.source import Source
from ensgan.evaluation import comparison
from ensgan.evaluation.features import Features, extract, identity
from ensgan.evaluation.nearest import Seen, search, training_samples
from ensgan.metrics.checks import Undefined
from ensgan.metrics.copying import Copying, copying, smallest_share
from ensgan.types import InputError

LEVEL = 0.01  # chance that perfect generators are suspected, over all tests of one table
REALS_IN_CELL = 50  # held-out reals for each cell
CELLS = 10
FITTED = 5_000  # training samples that cells are found with
TRAIN = 50_000  # training samples whose features are taken


class Row(NamedTuple):
    """One kind of samples."""

    name: str
    n: int
    median: float  # distance to the nearest training sample, root mean square over numbers
    near: int  # samples less than half as far as any held-out real
    found: Copying | None
    why: str  # the test is not defined; empty where it is


class Space(NamedTuple):
    """What distances are taken in."""

    name: str
    train: int  # training samples
    reals: int  # of the report split
    median: float  # of their distances
    rows: list[Row]
    floor: Row  # other held-out reals


class CopyTable(NamedTuple):
    """The data-copying test of several kinds of samples; `why` says why there is none."""

    spaces: list[Space]
    why: str = ""

    @property
    def tests(self) -> int:
        """How many tests there are."""
        return sum(row.found is not None for space in self.spaces for row in space.rows)

    @property
    def suspects(self) -> list[str]:
        """Who is nearer to the training data than held-out reals are, at `LEVEL` over all tests."""
        least = LEVEL / max(self.tests, 1)
        low = [row.name for space in self.spaces for row in space.rows if row.found and row.found.p < least]
        return list(dict.fromkeys(low))

    @property
    def far(self) -> list[str]:
        """Who is farther from them than held-out reals are, at the same level, in any space."""
        most = 1 - LEVEL / max(self.tests, 1)
        high = [row.name for space in self.spaces for row in space.rows if row.found and row.found.p > most]
        return list(dict.fromkeys(high))

    @property
    def near(self) -> list[str]:
        """Who has samples that are less than half as far as any held-out real, and how many of them."""
        most: dict[str, int] = {}
        for row in (row for space in self.spaces for row in space.rows if row.near):
            most[row.name] = max(row.near, most.get(row.name, 0))
        return [f"{count} of {name}" for name, count in most.items()]

    @property
    def smallest(self) -> float:
        """The least share of pairs that makes a suspect, in one cell and without ties."""
        z = -float(ndtri(LEVEL / max(self.tests, 1)))
        return max(smallest_share(space.reals, row.n, z) for space in self.spaces for row in space.rows)


def evaluate_copying(
    source: Source,
    fakes: Mapping[str, Any],
    *,
    features: Features | None = None,
    num: int = 1000,
    train: int = TRAIN,
    seed: int = 0,
    cache: Any = None,
) -> CopyTable:
    """The test `metrics.copying` of samples, in the samples themselves and in features.

    The reals are those of the report split; those of the select split, tested as fakes are, are the floor: their z is
    that of a perfect generator. Reals have the noise that training reals had, as fakes have learnt it. Cells are those
    of k-means on training samples in the features, one for every 50 reals and ten at most.

    Args:
        source: the data that the generators were trained on.
        fakes: samples `[n, ...]` by the name of what drew them, with labels by the law of the data if there are any.
        features: as in `compare`; without them, images of at most 8 pixels a side.
        num: largest number of reals of each kind.
        train: largest number of training samples that features are taken of; the samples themselves meet all of them.
        seed: the seed of the cells.
        cache: a folder that keeps features.
    """
    if source.num["train"] is None:
        return CopyTable([], "training samples are drawn anew at every step, so there are none to copy")
    try:
        stored, seen = training_samples(source)
    except InputError:
        return CopyTable([], "the training samples are not held in memory")
    real, other = (source.held_out(split, num)["x"] for split in ("report", "select"))
    fakes = {name: np.asarray(x, np.float32) for name, x in fakes.items()}
    kinds = {"report": real, "select": other, **fakes}
    if broken := [name for name, x in fakes.items() if not np.isfinite(x).all()]:
        return CopyTable([], f"samples of {', '.join(broken)} are not finite")

    of = features or identity(comparison.PIXELS)
    part = seen(stored[:train])
    rows = {name: extract(of, x, cache=cache) for name, x in {"train": part, **kinds}.items()}
    rows = {name: x[:, : x.shape[1] - of.classes] for name, x in rows.items()}
    cells = _cells(rows, min(CELLS, len(real) // REALS_IN_CELL), seed)
    spaces = [_space("the samples themselves", kinds, (stored, seen), cells)]
    if rows["report"].shape[1] != np.prod(source.shape) or features is not None:
        spaces.append(_space(f"the features: {of.name}", rows, (rows.pop("train"), lambda x: x), cells))
    return CopyTable(spaces)


def _cells(rows: dict[str, np.ndarray], count: int, seed: int) -> dict[str, np.ndarray]:
    """The cell of each sample, from features of the training samples alone."""
    few = rows["train"][:FITTED]
    count = min(count, len(np.unique(few, axis=0)))
    if count < 2:
        return {name: np.zeros(len(x), int) for name, x in rows.items()}
    from sklearn.cluster import KMeans

    fitted = KMeans(count, n_init=1, random_state=seed).fit(few)
    return {name: fitted.predict(x) for name, x in rows.items() if name != "train"}


def _space(
    name: str, kinds: dict[str, np.ndarray], against: tuple[np.ndarray, Seen | Callable[..., Any]], cells: Any
) -> Space:
    far = {who: search(x, *against, 1)[0][:, 0] for who, x in kinds.items() if who != "train"}

    def row(who: str, title: str) -> Row:
        found, why = None, ""
        try:
            found = copying(far["report"], far[who], cells["report"], cells[who])
        except Undefined as error:
            why = str(error)
        near = int((far[who] < 0.5 * far["report"].min()).sum())
        return Row(title, len(far[who]), float(np.median(far[who])), near, found, why)

    rows = [row(who, who) for who in far if who not in ("report", "select")]
    floor = row("select", f"{len(far['select'])} other reals")
    return Space(name, len(against[0]), len(far["report"]), float(np.median(far["report"])), rows, floor)


def describe_copying(table: CopyTable, run: str) -> str:
    """A table of `evaluate_copying` as text, with what it means in a sentence."""
    if table.why:
        return f"whether generators copy training samples is not defined, because {table.why}"
    lines = ["do generators copy training samples? (data-copying test, Meehan et al. 2020)"]
    for space in table.spaces:
        head = f"distances to the nearest of {space.train} training samples, in {space.name}"
        lines.append(f"{head}; of {space.reals} held-out reals (report split) their median is {space.median:.4g}")
        lines.append(f"{'':<18} {'median':>9}   nearer than reals     C_T        z         p      n")
        lines += [_line(row) for row in [*space.rows, space.floor]]
    return "\n".join([*lines, *_sentences(table, run)])


def _line(row: Row) -> str:
    if row.found is None:
        return f"{row.name:<18} {row.median:>9.4g}   not defined, because {row.why}"
    found = row.found
    return (
        f"{row.name:<18} {row.median:>9.4g}   {found.share:>17.1%} {found.statistic:>7.2f} {found.z:>8.2f} "
        f"{found.p:>9.2g} {row.n:>6}"
    )


def _sentences(table: CopyTable, run: str) -> list[str]:
    """What the test says."""
    if not table.tests:
        return ["so it is not known whether they copy; hold out more reals"]
    lines: list[str] = []
    level = f"level {LEVEL:g} over all {table.tests} tests"
    if table.suspects:
        lines.append(
            f"{', '.join(table.suspects)}: nearer to training samples than held-out reals are ({level}). These are "
            f"copies, or samples that vary less than reals; look at them: ensgan sample {quote(str(run))} --nearest 5"
        )
    else:
        lines.append(
            f"no sign of copies: none is nearer to training samples than held-out reals are ({level}; about "
            f"{table.smallest:.0%} of pairs would be a sign, and a perfect generator has 50%)"
        )
    if table.near:
        lines.append(f"less than half as far from a training sample as any held-out real: {', '.join(table.near)}")
    if table.far:
        lines.append(
            f"{', '.join(table.far)}: farther from them than reals are. Among samples that are off the data, a few "
            "copies would not be seen here"
        )
    return lines
