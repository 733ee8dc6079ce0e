"""Samplers and judges as pure functions: the numbers of the library, arrays by name, and one function of noise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from mixed import mixed

from ensgan import sample
from ensgan.game.game import meaning
from ensgan.runs import portable
from ensgan.types import InputError

CLOSE = {"rtol": 1e-5, "atol": 1e-6}
NUMBER = np.arange(9, dtype=np.int32)


def test_a_sampler_gives_the_samples_of_the_library_from_arrays_by_name(key):
    game, state = mixed()
    weights = [0.5, 0.0, 0.5]
    found = portable.sampler(game, state, weights)
    assert found.kind == "generate"
    assert set(found.tensors) == {f"generator.{i}.params.{name}" for i in (0, 2) for name in ("w1", "w2", "b")}
    assert [each["number"] for each in found.about["generators"]] == [0, 2]
    assert found.about["generators"][0]["latent"] == {"shape": [3], "scale": 1.0, "law": "independent standard normals"}
    data = jax.random.key_data(key)
    call = jax.jit(found.call)
    x = call(found.tensors, data, NUMBER)
    np.testing.assert_allclose(x, sample(game, state, key, 9, weights=weights), **CLOSE)
    # The function takes its arrays: with others it gives other samples.
    none = {name: np.zeros_like(leaf) for name, leaf in found.tensors.items()}
    np.testing.assert_array_equal(call(none, data, NUMBER), np.zeros((9, 2)))


def test_inputs_have_the_number_of_samples_in_their_shapes():
    game, state = mixed()
    inputs = portable.sampler(game, state).inputs(5)
    assert {name: (spec.shape, str(spec.dtype)) for name, spec in inputs.items()} == {
        "key": ((2,), "uint32"),
        "number": ((5,), "int32"),
    }
    (x,) = portable.judge(game, state, 0).inputs(3).values()
    assert (x.shape, x.dtype) == ((3, 2), jnp.float32)


def test_generators_of_different_latents_are_no_one_function_of_noise():
    game, state = mixed()
    with pytest.raises(InputError, match=r"take different latents, .* one by one, with --from member:I, or with"):
        portable.sampler(game, state, [0.5, 0.0, 0.5]).plain()


def test_scales_of_latents_are_inside_a_function_of_noise():
    game, state = mixed()
    plain = portable.sampler(game, state, [0.4, 0.6, 0.0]).plain()  # of scales 1 and ½
    assert {name: spec.shape for name, spec in plain.inputs(4).items()} == {"z": (4, 3), "which": (4,)}
    assert plain.about == {"noise": {"z": "independent standard normals"}}
    values, want = plain.example(9)
    assert set(values["which"].tolist()) == {0, 1}
    np.testing.assert_allclose(plain.call(values["z"], values["which"]), want, **CLOSE)
    z = np.ones((2, 3), np.float32)
    p = jax.tree.map(lambda leaf: np.asarray(leaf), state.generators[0].average)
    by_hand = [np.tanh(s * z[0] @ p["w1"][i] + p["b"][i]) @ p["w2"][i] for i, s in ((0, 1.0), (1, 0.5))]
    np.testing.assert_allclose(plain.call(z, np.array([0, 1])), by_hand, **CLOSE)


def test_a_judge_gives_one_logit_and_says_what_it_means():
    game, state = mixed()
    found = portable.judge(game, state, 1)
    assert (found.kind, found.about["discriminator"], found.about["logit"]) == ("score", 1, meaning(game, state))
    x = np.random.default_rng(2).normal(size=(6, 2)).astype(np.float32)
    p = jax.tree.map(lambda leaf: np.asarray(leaf[1]), state.discriminators[0].params)
    s = np.tanh(x @ p["w1"] + p["b"][None]) @ p["w2"]
    want = s[:, 0] - np.log(np.exp(s[:, 1:]).sum(axis=1))  # of `losses.mad`: data against any generator
    np.testing.assert_allclose(found.call(found.tensors, x), want, **CLOSE)
    plain = found.plain()
    values, logit = plain.example(5)
    np.testing.assert_allclose(plain.call(*values.values()), logit, **CLOSE)
    with pytest.raises(InputError, match="discriminators 0 to 1"):
        portable.judge(game, state, 2)


def test_wrong_weights_are_refused():
    game = toys.game(3, 2)
    with pytest.raises(InputError, match="give 3 numbers ≥ 0, one per generator"):
        portable.sampler(game, toys.different(game), [1.0, -1.0, 0.0])
