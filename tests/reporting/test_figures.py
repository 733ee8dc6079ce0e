"""Figures: the same every time, with every number, whatever the values are."""

import re

import numpy as np

from ensgan.reporting.figures import Band, bands, course, curves, heat_map, scatter_panel, thin


def test_a_diverged_generator_does_not_shrink_the_reals():
    real = np.array([[-1.0, -1.0], [1.0, 1.0]])
    near = np.asarray(scatter_panel(real, real, "#ff0000"))
    far = np.asarray(scatter_panel(np.array([[1e30, 0.0], [np.nan, 0.0]]), real, "#ff0000"))
    assert near.shape == far.shape == (360, 360, 3)
    assert not (far == (255, 0, 0)).all(axis=-1).any()
    ys, xs = np.nonzero((far == (180, 186, 195)).all(axis=-1))
    assert np.ptp(xs) > 100
    assert np.ptp(ys) > 100


def test_thin_keeps_the_ends():
    assert thin(3, 400).tolist() == [0, 1, 2]
    assert thin(1, 400).tolist() == [0]
    kept = thin(10_000, 400)
    assert (len(kept), kept[0], kept[-1]) == (400, 0, 9_999)


def test_heat_map_shows_every_number_and_gaps():
    svg = heat_map(np.array([[0.123, 0.5], [np.nan, 0.987]])).decode()
    for text in ("0.12", "0.50", "–", "0.99", "G 0", "G 1", "D 0", "D 1"):
        assert f">{text}</text>" in svg


def test_figures_are_the_same_every_time_and_leave_settings_alone():
    import matplotlib

    before = dict(matplotlib.rcParams)
    fool = np.random.default_rng(0).random((30, 3, 2))
    assert course(np.arange(30), fool) == course(np.arange(30), fool)
    assert dict(matplotlib.rcParams) == before


def test_ticks_keep_their_digits():
    svg = curves(np.arange(3), np.array([[0.0], [0.012], [0.025]]), ylabel="loss").decode()
    ticks = [float(tick) for tick in re.findall(r">(0\.\d+)</text>", svg)]
    assert 0.005 in ticks
    assert len(set(ticks)) == len(ticks)


def test_curves_take_gaps_single_points_and_outliers():
    steps = np.arange(50)
    values = np.ones((50, 2))
    values[3] = np.nan
    values[7] = 1e6
    assert b"10^" in curves(steps, values, ylabel="loss") or b"mathdefault" in curves(steps, values, ylabel="loss")
    curves(steps[:1], values[:1], ylabel="loss", errors=values[:1], line=(0.5, "½"))
    curves(steps, np.full((50, 2), np.nan), ylabel="loss")


def test_an_axis_with_one_value_has_one_tick():
    labels = lambda svg: re.findall(r">([^<>\n]+)</text>", svg.decode())
    assert labels(curves(np.array([200]), np.array([[1.0, 2.0]]), ylabel="y"))[:2] == ["200", "step"]
    seeds = np.array([[1.0], [2.0]])
    one = Band("#1f77b4", np.array([1.5e12]), seeds, seeds.mean(axis=0), seeds[0], seeds[1])
    assert labels(bands([one], xlabel="FLOPs", ylabel="y"))[:2] == ["1.5e+12", "FLOPs"]
