"""The contract checks of data, judges and refinements pass on what ships and fail on what breaks a promise."""

from dataclasses import replace

import jax.numpy as jnp
import judges
import numpy as np
import pytest
from jax.tree_util import Partial

from ensgan import combine, data, refine, testing
from ensgan.sampling.judge import Judge

PICTURES = np.random.default_rng(0).integers(0, 256, (80, 4, 4), np.uint8)


LABELLED = data.from_arrays("labelled", PICTURES, np.arange(80) % 3)


RECORDS = [{"x": x, "label": int(k % 3)} for k, x in enumerate(PICTURES)]


@pytest.mark.parametrize(
    "source", [data.gaussian_ring(), LABELLED, data.stream(RECORDS, classes=3)], ids=["ring", "arrays", "stream"]
)
def test_sources_keep_the_contract(source):
    testing.check_source(source)


def drifting(split, num, _count=[0]):  # noqa: B006
    _count[0] += 1
    batch = LABELLED.held_out(split, num)
    return batch | {"x": batch["x"] * (1 - 0.01 * _count[0])}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"held_out": drifting}, "asked again, gives another result"),
        ({"classes": 2}, r"labels 0..2; they must be 0..1"),
        ({"shape": (4, 4, 3)}, r"gives x \[8, 4, 4, 1\]; it must be \[8, 4, 4, 3\]"),
        ({"num": {"train": 9}}, "num has the splits"),
        ({"draw": None}, "either draw or read"),
        (
            {"draw": lambda t, keys: {n: c[::-1] for n, c in LABELLED.draw(t, keys).items()}},
            "draw beside fewer samples gives another result",
        ),
        (
            {"draw": lambda t, keys: LABELLED.draw(t, keys) | {"x": 3 * LABELLED.draw(t, keys)["x"]}},
            r"images outside of \[-1, 1\]",
        ),
    ],
)
def test_the_source_check_finds_what_is_broken(change, message):
    with pytest.raises(AssertionError, match=message):
        testing.check_source(replace(LABELLED, **change))


def test_judges_keep_the_contract():
    game, state = judges.game([1.0, 0.5], [0.0, 0.1])
    testing.check_judge(combine.plain(game, state), judges.X)
    testing.check_judge(combine.fit(game, state, judges.SOURCE), judges.X)


@pytest.mark.parametrize(
    ("score", "fields", "message"),
    [
        (lambda x: x, {}, r"has shape \(31, 1\)"),
        (lambda x: x[:, 0] - x.mean(), {}, "beside fewer samples the score gives another result"),
        (lambda x: jnp.log(x[:, 0]), {}, "the score is not finite"),
        (lambda x: jnp.sqrt(jnp.abs(x[:, 0] * 0)), {}, "the gradient of the score is not finite"),
        (lambda x: x[:, 0], {"meaning": "truth"}, "meaning is 'truth'"),
        (lambda x: x[:, 0], {"law": np.array([0.5, 0.2])}, "that sum to 1"),
    ],
)
def test_the_judge_check_finds_what_is_broken(score, fields, message):
    with pytest.raises(AssertionError, match=message):
        testing.check_judge(Judge(Partial(score), "uncalibrated", "own", smooth=True)._replace(**fields), judges.X)


same = Partial(lambda z: z)


@pytest.mark.parametrize(
    ("method", "options"),
    [
        (refine.obrs, {}),
        (refine.drs, {}),
        (refine.mh, {"steps": 3}),
        (refine.ddls, {"generate": same, "steps": 3}),
        (refine.dot, {"steps": 3}),
        (refine.collaborative, {"steps": 3}),
    ],
)
def test_refinements_keep_the_contract(method, options):
    testing.check_refinement(method, **options)


def plainly(key, draw, log_ratio, num, *, batch, progress, x=lambda x: x, **changes):
    progress(num)
    return refine.Refined(x(draw(key, num)), 1.0, 1.0, 1.0, float("nan"))._replace(**changes)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"x": lambda x: x[1:]}, r"x has shape \(399, 2\)"),
        ({"x": lambda x: 2 * x}, "where all ratios are 1, samples of N"),
        ({"x": lambda x: 0 * x}, "another key gives the same samples"),
        ({"x": lambda x: x / 0}, "x is not finite"),
        ({"acceptance": 2.0}, "acceptance is 2.0; it must be a share"),
        ({"judged": float("nan")}, "judged is nan; it must be a number of evaluations"),
        ({"progress": lambda done: None}, "progress is never called"),
    ],
)
def test_the_refinement_check_finds_what_is_broken(options, message):
    testing.check_refinement(plainly)
    with pytest.raises(AssertionError, match=message):
        testing.check_refinement(plainly, **options)
