"""Fakes against reals in one table: floors, intervals, and what is refused."""

from functools import partial

import numpy as np
import pytest
from toys import points

from ensgan import metrics
from ensgan.evaluation import comparison, families
from ensgan.evaluation.comparison import compare
from ensgan.evaluation.families import DIRECTIONS, METRICS, NEIGHBOURS
from ensgan.metrics.transport import Unconverged
from ensgan.types import InputError


@pytest.fixture(scope="module")
def close():
    return compare(points(160, 0), points(80, 1), repeats=30)


def test_every_row_has_a_floor_an_interval_and_n(close):
    assert set(close.rows) == {name for metric in METRICS for name in metric.names}
    assert (close.reals, close.fakes, close.floor, close.refused) == (160, 80, 80, {})
    for name, row in close.rows.items():
        assert row.low <= row.value <= row.high, name
        assert row.low < row.high or name == "coverage", name
        assert np.isfinite(row.floor), name
        assert row.n == 80, name


def test_rows_are_the_metrics(close):
    real, fake = points(160, 0).astype(np.float64), points(80, 1).astype(np.float64)
    rows = close.rows
    want = metrics.frechet_distance(metrics.moments(real), metrics.moments(fake))
    assert rows["Fréchet distance"].value == pytest.approx(want, rel=1e-9)
    # Where pairs are compared, as many of both are: given as many, the order of samples is all that may differ.
    rows, real = compare(real[:80], fake, repeats=4).rows, real[:80]
    cover = metrics.neighbours(real, fake)
    assert [rows[name].value for name in NEIGHBOURS] == pytest.approx(list(cover))
    assert rows["Wasserstein"].value == pytest.approx(metrics.wasserstein(real, fake))
    sliced = metrics.sliced_wasserstein(real, fake, directions=DIRECTIONS)
    assert rows["sliced Wasserstein"].value == pytest.approx(sliced)
    assert rows["Sinkhorn divergence"].value == pytest.approx(metrics.sinkhorn(real, fake).value, rel=1e-3)
    kid = metrics.kid(real, fake, subsets=1, size=80).value
    assert rows["kernel distance (cubic)"].value == pytest.approx(kid)
    share = metrics.duplicates(fake, metrics.duplicate_radius(real))
    assert rows["duplicate pairs"].value == pytest.approx(share)


def test_equal_laws_are_at_the_floor_and_others_above(close):
    far = compare(points(160, 0), points(80, 1, shift=2.0), repeats=30).rows
    for name in ("Fréchet distance", "sliced Wasserstein", "Wasserstein", "Sinkhorn divergence", "MMD² (Gaussian)"):
        near = close.rows[name]
        assert near.low - 0.1 < near.floor < near.high + 0.1, name
        assert far[name].low > 3 * abs(near.floor), name
        assert far[name].floor == near.floor, name
    for name in ("precision", "recall", "density", "coverage"):
        assert far[name].value < 0.8 * close.rows[name].floor, name


def test_where_the_floor_comes_from(close):
    real, fake = points(160, 0), points(80, 1)
    compare = partial(comparison.compare, names=["Fréchet distance"], repeats=2)
    few = compare(real[:80], fake)
    assert few.floor == 40  # two halves
    assert few.rows["Fréchet distance"].floor > close.rows["Fréchet distance"].floor
    other = compare(real[:80], fake, more=real[80:])
    assert other.floor == 80
    parts = (metrics.moments(part) for part in (real[:80], real[80:]))
    assert other.rows["Fréchet distance"].floor == pytest.approx(metrics.frechet_distance(*parts), rel=1e-5)
    assert compare(real[:80], fake[:40], more=real[80:]).floor == 40  # as many as there are fakes
    small = compare(points(7, 0), points(6, 1))  # halves of three have no covariance
    assert np.isnan(small.rows["Fréchet distance"].floor)


def test_what_is_refused_is_raised_or_noted(monkeypatch):
    with pytest.raises(InputError, match="there are 3 reals with 3 features each"):
        compare(points(3, 0), points(9, 1))
    names = [*NEIGHBOURS, "duplicate pairs", "Fréchet distance"]
    few = compare(points(9, 0), points(9, 1), names=names, repeats=2, strict=False)
    assert set(few.refused) == {"duplicate pairs"}
    assert set(few.rows) == {"Fréchet distance", *NEIGHBOURS}
    assert np.isfinite(few.rows["recall"].value)
    assert np.isnan([few.rows["recall"].low, few.rows["recall"].high]).all()  # a value has fewer demands
    with pytest.raises(InputError, match="9 reals; at least 12 are needed: give more, or take no interval"):
        compare(points(9, 0), points(9, 1), names=["recall"], repeats=2)
    assert set(compare(points(6, 0), points(9, 1), names=["recall"], repeats=0).rows) == {"recall"}
    with pytest.raises(InputError, match=r"there are 5 reals; at least 6 are needed: give more$"):
        compare(points(5, 0), points(9, 1), names=["recall"], repeats=0)
    with pytest.raises(InputError, match="unknown metric 'FID'; known: Fréchet distance, MMD"):
        compare(points(9, 0), points(9, 1), names=["FID"])
    wide = np.random.default_rng(0).standard_normal((20, 30))
    with pytest.raises(InputError, match="a Fréchet distance needs more samples than features: give at least 31"):
        compare(wide, wide + 1.0)
    with pytest.raises(InputError, match=r"fakes have the shape \[2\], reals \[3\]"):
        compare(points(50, 0), points(50, 1)[:, :2])

    # What no more samples would mend is noted even where all else is raised.
    def unconverged(*args):
        raise Unconverged("Sinkhorn's iteration misses the marginals")

    monkeypatch.setattr(families, "sinkhorn", unconverged)
    found = compare(points(50, 0), points(50, 1), repeats=2, names=["Sinkhorn divergence", "Wasserstein"])
    assert set(found.rows) == {"Wasserstein"}
    assert "misses the marginals" in found.refused["Sinkhorn divergence"]
    bad = points(50, 1)
    bad[4, 1] = np.nan
    with pytest.raises(InputError, match="1 of 50 fakes hold NaN or infinite numbers"):
        compare(points(50, 0), bad)


def test_a_comparison_without_intervals_and_with_a_known_floor_is_the_same():
    names = ["Fréchet distance", "MMD² (Gaussian)"]
    whole = compare(points(60, 0), points(40, 1), more=points(40, 2), names=names, repeats=2)
    floor = {name: row.floor for name, row in whole.rows.items()}
    again = compare(points(60, 0), points(40, 1), more=points(40, 2), names=names, repeats=0, floor=floor)
    bare = compare(points(60, 0), points(40, 1), more=points(40, 2), names=names, repeats=0)
    for name, row in whole.rows.items():
        assert np.isfinite([row.low, row.high]).all()
        assert np.isnan([again.rows[name].low, again.rows[name].high]).all()
        assert (
            again.rows[name]._replace(low=0, high=0)
            == row._replace(low=0, high=0)
            == bare.rows[name]._replace(low=0, high=0)
        )
    lied = compare(points(60, 0), points(40, 1), names=names, repeats=0, floor=dict.fromkeys(names, 7.0))
    assert {row.floor for row in lied.rows.values()} == {7.0}
