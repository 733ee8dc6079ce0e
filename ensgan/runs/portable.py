"""Samplers and judges as pure functions with their arrays by name, to be written as files (`runs/export.py`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ensgan.game.game import Game, meaning
from ensgan.game.scoring import judged_alone
from ensgan.game.state import State
from ensgan.sampling import draws, inference
from ensgan.sampling.inference import Member, draw, member
from ensgan.sampling.sampler import sample
from ensgan.types import Array, InputError, Tree

KEYS = "threefry2x32"  # the generator of the keys that an exported function takes
EXAMPLE = 0  # the seed of the samples that a file is compared with
Tensors = Mapping[str, Any]


class Plain(NamedTuple):
    """A pure function that has its weights in it and draws nothing, for formats that know no keys.

    Attributes:
        call: `call(*inputs)`, with one result, of b samples.
        inputs: `inputs(b)`, shapes and types of the inputs by name.
        example: `example(n)`, inputs of n samples as they occur, and the result that a file must give for them.
        about: what else is to say of the inputs, for `config.json`.
    """

    call: Callable[..., Array]
    inputs: Callable[[Any], dict[str, jax.ShapeDtypeStruct]]
    example: Callable[[int], tuple[dict[str, np.ndarray], np.ndarray]]
    about: dict[str, Any]


class Portable(NamedTuple):
    """The parts of an export.

    Attributes:
        kind: `generate` or `score`.
        call: `call(tensors, *inputs)`, a pure function.
        tensors: its arrays by name.
        inputs: `inputs(b)`, shapes and types of the inputs for b samples.
        about: what it is, for `config.json`.
        plain: `plain()`, the same as a function of noise. Raises InputError where there is no one function of noise.
    """

    kind: Literal["generate", "score"]
    call: Callable[..., Array]
    tensors: dict[str, np.ndarray]
    inputs: Callable[[Any], dict[str, jax.ShapeDtypeStruct]]
    about: dict[str, Any]
    plain: Callable[[], Plain]


def sampler(game: Game, state: State, weights: Any = None, average: bool = True, classes: Any = None) -> Portable:
    """The samples of `ensgan.sample` with the same arguments, as a function to be exported.

    It takes `key`, uint32 `[2]`, from `jax.random.key_data(jax.random.key(seed))`; `number`, int32 `[b]`, which
    samples; and of conditional generators `label`, int32 `[b]`, where a negative one lets the class be drawn, with
    the probabilities `classes` `[K]` (all alike if not given). It gives float32 `[b, *sample_shape]`. Of a mixture,
    each generator with a sample in the batch computes all of it.

    Raises:
        InputError: wrong weights.
    """
    p = draws.probabilities(game, state, weights)
    law = None if game.classes is None and classes is None else draws.class_shares(game, classes)
    found = {int(i): member(game, state, int(i), average) for i in np.flatnonzero(p)}

    def generate(tensors: Tensors, key: Array, number: Array, label: Array | None = None) -> Array:
        key = jax.random.wrap_key_data(key, impl=KEYS)
        if label is not None and law is not None:
            label = jnp.where(label < 0, draws.classes(key, jnp.asarray(law, jnp.float32), number), label)
        drawn = lambda i: draw(_filled(found[i], f"generator.{i}", tensors), key, number, label).astype(jnp.float32)
        if len(found) == 1:
            return drawn(*found)
        which = draws.components(key, jnp.asarray(p, jnp.float32), number)
        x = jnp.zeros((number.shape[0], *game.sample_shape), jnp.float32)
        for i in found:
            mine = (which == i).reshape(-1, *(1 for _ in game.sample_shape))
            x = jax.lax.cond(mine.any(), lambda x, i=i, mine=mine: jnp.where(mine, drawn(i), x), lambda x: x, x)
        return x

    def inputs(b: Any) -> dict[str, jax.ShapeDtypeStruct]:
        key = jax.ShapeDtypeStruct((2,), jnp.uint32)
        return {"key": key, "number": jax.ShapeDtypeStruct((b,), jnp.int32), **_label(game, b)}

    about = [
        {
            "number": i,
            "weight": float(p[i]),
            "latent": _latent(one),
        }
        for i, one in found.items()
    ]
    tensors = {name: leaf for i, one in found.items() for name, leaf in _named(one, f"generator.{i}").items()}
    record = {"generators": about, "keys": KEYS, "average": average, **_samples(game)}
    if law is not None:
        record["class_law"] = law.tolist()
    plain = lambda: _of_noise(game, found, p, law, partial(generate, tensors))
    return Portable("generate", generate, tensors, inputs, record, plain)


def judge(game: Game, state: State, j: int) -> Portable:
    """The logits of discriminator j, as a function to be exported.

    It takes `x`, float32 `[b, *sample_shape]`, and of conditional discriminators `label`, int32 `[b]`. It gives one
    logit for each sample, `[b]`, high for what looks real; what else a logit says is `logit` in `config.json`.

    Raises:
        InputError: a number that the game does not have.
    """
    found = member(game, state, j, side="discriminators")

    def score(tensors: Tensors, x: Array, label: Array | None = None) -> Array:
        own = _filled(found, f"discriminator.{j}", tensors)
        logit = own.network.apply(own.params, own.state, x, label=label, train=False, rng=None)[0]
        return judged_alone(game.loss, logit, jnp.asarray(j))

    def inputs(b: Any) -> dict[str, jax.ShapeDtypeStruct]:
        return {"x": jax.ShapeDtypeStruct((b, *game.sample_shape), jnp.float32), **_label(game, b)}

    about = {"discriminator": j, "logit": meaning(game, state), **_samples(game)}
    tensors = _named(found, f"discriminator.{j}")
    call = partial(score, tensors)

    def example(n: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
        tags = draws.labels(game, jax.random.key(EXAMPLE), n)
        told = {} if tags is None else {"label": tags}
        x = np.asarray(sample(game, state, jax.random.key(EXAMPLE), n, label=tags))
        return {"x": x, **told}, np.asarray(jax.jit(call)(x, *told.values()))

    return Portable("score", score, tensors, inputs, about, lambda: Plain(call, inputs, example, {}))


def _of_noise(game: Game, found: dict[int, Member], p: np.ndarray, law: Any, generate: Callable[..., Array]) -> Plain:
    """A sampler as a function of `z` and, of a mixture, of `which` generator makes each sample."""
    members = list(found.values())
    latents = [_latent(one) | {"scale": 1.0} for one in members]
    if any(latent != latents[0] for latent in latents):
        raise InputError(
            "the generators of this mixture take different latents, so that they are no function of one; export them "
            "one by one, with --from member:I, or with --format jax"
        )
    prior = members[0].latent._replace(scale=1.0)  # type: ignore[union-attr]
    shape = members[0].network.in_shape

    def inputs(b: Any) -> dict[str, jax.ShapeDtypeStruct]:
        which = {} if len(members) == 1 else {"which": jax.ShapeDtypeStruct((b,), jnp.int32)}
        return {"z": jax.ShapeDtypeStruct((b, *shape), jnp.float32), **which, **_label(game, b)}

    def call(z: Array, *others: Array) -> Array:
        told = dict(zip(list(inputs(1))[1:], others, strict=True))

        def one(i: int) -> Array:
            net, params, state, latent = found[i]
            scaled = z * jnp.asarray(latent.scale, z.dtype)  # type: ignore[union-attr]
            return net.apply(params, state, scaled, label=told.get("label"), train=False, rng=None)[0].astype(
                jnp.float32
            )

        first, *more = found
        x = one(first)
        for i in more:
            mine = (told["which"] == i).reshape(-1, *(1 for _ in game.sample_shape))
            x = jnp.where(mine, one(i), x)
        return x

    def example(n: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
        key, number = jax.random.key(EXAMPLE), jnp.arange(n)
        values = {"z": inference.latents(prior, shape, key, number)}
        if len(members) > 1:
            values["which"] = draws.components(key, jnp.asarray(p, jnp.float32), number).astype(jnp.int32)
        if law is not None:
            values["label"] = draws.classes(key, jnp.asarray(law, jnp.float32), number)
        told = {name: values[name] for name in values if name == "label"}
        with jax.default_matmul_precision("highest"):
            x = jax.jit(generate)(jax.random.key_data(key), number, **told)
        return jax.tree.map(np.asarray, values), np.asarray(x)

    return Plain(call, inputs, example, {"noise": {"z": latents[0]["law"]}})


def _latent(one: Member) -> dict[str, Any]:
    """The prior of a generator, in words and numbers."""
    assert one.latent is not None
    return {"shape": list(one.network.in_shape), "scale": float(one.latent.scale), "law": one.latent.law}


def _label(game: Game, b: Any) -> dict[str, jax.ShapeDtypeStruct]:
    return {} if game.classes is None else {"label": jax.ShapeDtypeStruct((b,), jnp.int32)}


def _samples(game: Game) -> dict[str, Any]:
    return {"sample_shape": list(game.sample_shape), "classes": game.classes}


def _arrays(member: Member) -> dict[str, Tree]:
    return {"params": member.params, "state": member.state}


def _name(prefix: str, path: Any) -> str:
    return f"{prefix}.{jax.tree_util.keystr(path, simple=True, separator='.')}"


def _named(member: Member, prefix: str) -> dict[str, np.ndarray]:
    """The arrays of a member by dotted names, such as `generator.0.params.last.kernel`."""
    leaves = jax.tree_util.tree_leaves_with_path(_arrays(member))
    return {_name(prefix, path): np.array(leaf, order="C") for path, leaf in leaves}


def _filled(member: Member, prefix: str, tensors: Tensors) -> Member:
    """The member with arrays of those names in place of its own."""
    pick = lambda path, _: tensors[_name(prefix, path)]
    return member._replace(**jax.tree_util.tree_map_with_path(pick, _arrays(member)))
