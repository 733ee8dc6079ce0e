"""A judge in a run's folder: what is loaded judges as what was saved, and other files are named."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from judges import X, game

from ensgan.reporting.files import RunFiles
from ensgan.runs.judges import load, save
from ensgan.sampling.calibration import Quality
from ensgan.sampling.combine import assembled
from ensgan.sampling.judge import Parts
from ensgan.types import InputError

PLAYING, STATE = game([1.0, 0.5], [0.0, 1.0], shifts=(0.0, 1.0))
QUALITY = Quality(0.2, 0.1, -1.5, np.array([0.1, np.nan]), np.array([0.2, np.nan]), np.array([5, 0]))


def made(who=(0, 1)):
    """A judge by hand: the mean of two logits, the second of which is halved, with a slope of 2 and an offset of 1."""
    parts = Parts(
        np.array(who), np.float32([1.0, 0.5]), np.float32([0.0, 0.25]), np.zeros((2, 3), np.float32), None, (),
        (jnp.float32(2.0), jnp.float32(1.0)),
    )  # fmt: skip
    judge = assembled(PLAYING, STATE, "mean_logit", "logistic", parts)
    shares = {"law": np.array([0.25, 0.75]), "scales": np.array([1.0, 0.5]), "average": False}
    return judge._replace(**shares, before=QUALITY, after=QUALITY._replace(brier=0.15))


def test_what_is_loaded_judges_as_what_was_saved(tmp_path):
    judge = made()
    save(tmp_path, judge, STATE)
    found = load(tmp_path, PLAYING, STATE)
    np.testing.assert_allclose(found.log_ratio(X), judge.log_ratio(X), rtol=1e-6)
    assert float(np.ptp(np.asarray(found.log_ratio(X)))) > 0.5
    for key in ("rule", "calibrate", "meaning", "smooth", "average"):
        assert getattr(found, key) == getattr(judge, key), key
    np.testing.assert_array_equal(found.law, judge.law)
    np.testing.assert_array_equal(found.scales, judge.scales)
    assert found.classes is None
    for before, after in zip(judge.after, found.after, strict=True):
        np.testing.assert_array_equal(before, after)
    assert not list(tmp_path.glob("*.tmp*"))


def test_a_judge_of_another_step_or_of_other_members_is_none(tmp_path):
    assert load(tmp_path, PLAYING, STATE) is None
    save(tmp_path, made(), STATE._replace(step=STATE.step + 1))
    assert load(tmp_path, PLAYING, STATE) is None
    changed = jax.tree.map(lambda leaf: leaf + 1, STATE.discriminators)
    save(tmp_path, made(), STATE._replace(discriminators=changed))
    assert load(tmp_path, PLAYING, STATE) is None


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"law": np.ones(3) / 3}, "is of other members; write it again with `ensgan judge"),
        ({"parts.scale": np.ones(3, np.float32)}, "judge.npz cannot be read|is of other members"),
        ({"parts.calibrator.0": np.float32(np.nan)}, "judge.npz cannot be read; write it again with `ensgan judge"),
        ({"rule": "luck"}, "judge.npz cannot be read"),
        ({"parts.who": None}, "judge.npz cannot be read"),
        ({"before.brier": None}, "judge.npz cannot be read"),
    ],
    ids=str,
)
def test_a_judge_that_is_damaged_or_of_other_members_is_named(tmp_path, change, text):
    save(tmp_path, made(), STATE)
    file = RunFiles(tmp_path).judge_arrays
    with np.load(file) as content:
        arrays = {name: value for name, value in {**content, **change}.items() if value is not None}
    np.savez(file, **arrays)
    with pytest.raises(InputError, match=text):
        load(tmp_path, PLAYING, STATE)


def test_scales_that_an_earlier_version_did_not_write_are_those_of_the_game(tmp_path):
    save(tmp_path, made(), STATE)
    file = RunFiles(tmp_path).judge_arrays
    with np.load(file) as content:
        np.savez(file, **{name: value for name, value in content.items() if name != "scales"})
    np.testing.assert_array_equal(load(tmp_path, PLAYING, STATE).scales, [1.0, 1.0])
