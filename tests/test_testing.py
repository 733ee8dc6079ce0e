"""The contract checks pass on what ships and fail on what breaks a promise."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import judges
import numpy as np
import pytest
import toys
from jax.tree_util import Partial

from ensgan import augment, combine, data, networks, refine, testing
from ensgan.sampling.judge import Judge
from ensgan.types import Augment


@pytest.mark.parametrize(
    "network",
    [
        networks.mlp(3, (4,), 2, norm="batch"),
        networks.mlp(2, (4,), 1, spectral_norm=True),
    ],
)
def test_networks_keep_the_contract(network):
    testing.check_network(network)


def test_networks_with_labels_get_them():
    plain = toys.dense(2, 5, ())

    def apply(params, state, x, *, label, train, rng):
        y, state = plain.apply(params, state, x)
        return y + label.astype(y.dtype), state

    testing.check_network(plain._replace(apply=apply), classes=3)


def changed(**fields):
    return toys.dense(2, 5, ())._replace(**fields)


BASE = toys.dense(2, 5, (), state=True)


def noisy(params, state, x, *, label, train, rng):
    return BASE.apply(params, state, x)[0] + jax.random.normal(rng, (x.shape[0],)), state


def counts_always(params, state, x, *, label, train, rng):
    return BASE.apply(params, state, x)[0], {"calls": state["calls"] + 1}


def drops_state(params, state, x, *, label, train, rng):
    return BASE.apply(params, state, x)[0], {} if train else state


def rooted(params, state, x, *, label, train, rng):
    return jnp.sqrt(jnp.abs(params["b"]).sum()) + BASE.apply(params, state, x)[0], state


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (changed(batch_coupled=True), "does not move the output of sample 0"),
        (toys.dense(2, 5, (), coupled=True)._replace(batch_coupled=False), "changing sample 1 moves"),
        (changed(out_shape=(1,)), "out_shape says"),
        (changed(init=lambda key: BASE.init(jax.random.key(0))), "same parameters for two keys"),
        (BASE._replace(apply=counts_always), "with train=False, the state changed"),
        (BASE._replace(apply=drops_state), "with train=True, the state changed its structure"),
        (BASE._replace(apply=rooted), "the gradient of parameters and inputs is not finite"),
    ],
)
def test_the_network_check_finds_what_is_broken(network, message):
    with pytest.raises(AssertionError, match=message):
        testing.check_network(network)


def test_a_network_that_needs_a_key_to_evaluate_fails():
    with pytest.raises(TypeError):  # jax refuses None for a key
        testing.check_network(BASE._replace(apply=noisy))


@pytest.mark.parametrize("name", ["adaptive", "noise"])
def test_augmentations_keep_the_contract(name):
    testing.check_augment(augment.AUGMENTS[name](), (4, 4, 3))


@pytest.mark.parametrize(
    ("apply", "message"),
    [
        (lambda keys, x, strength: x + 1.0, "at strength 0"),
        (lambda keys, x, strength: x - strength * x.mean(), "sample 0 gives another result"),
        (
            lambda keys, x, strength: x + strength * jax.random.normal(keys[-1], x.shape),
            "sample 0 gives another result",
        ),
        (lambda keys, x, strength: x[..., :1] * strength, "became"),
        (lambda keys, x, strength: x + strength * 0.0 * jnp.sqrt(x * 0.0), "the gradient is not finite"),
    ],
)
def test_the_augmentation_check_finds_what_is_broken(apply, message):
    with pytest.raises(AssertionError, match=message):
        testing.check_augment(Augment(apply), (3,))
    with pytest.raises(AssertionError, match="it must be a probability"):
        testing.check_augment(Augment(apply, strength=2.0), (3,))


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
