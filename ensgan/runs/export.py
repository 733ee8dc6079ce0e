"""Exports: files that draw samples or give logits where this library is not installed.

An export is a folder: `weights.safetensors`, `config.json`, and a compiled function that any JAX loads by
`jax.export.deserialize`. Nothing is pickled, and nothing in it is run when it is read.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ensgan.game.game import Game, meaning
from ensgan.game.scoring import judged_alone
from ensgan.game.state import State
from ensgan.reporting.files import write_json
from ensgan.runs import directory as rundir
from ensgan.sampling import draws
from ensgan.sampling.inference import Member, draw, member
from ensgan.types import Array, InputError, Tree

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
KEYS = "threefry2x32"  # the generator of the keys that an exported function takes
WEIGHTS, ABOUT = "weights.safetensors", "config.json"
FUNCTIONS = {"generate": "generate.jaxexport", "score": "score.jaxexport"}
Tensors = Mapping[str, Any]


class Portable(NamedTuple):
    """The parts of an export.

    Attributes:
        kind: `generate` or `score`.
        call: `call(tensors, *inputs)`, a pure function.
        tensors: its arrays by name.
        inputs: `inputs(b)`, shapes and types of the inputs for b samples.
        about: what it is, for `config.json`.
    """

    kind: Literal["generate", "score"]
    call: Callable[..., Array]
    tensors: dict[str, np.ndarray]
    inputs: Callable[[Any], dict[str, jax.ShapeDtypeStruct]]
    about: dict[str, Any]


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
            "latent": {"shape": list(one.network.in_shape), "scale": float(one.latent.scale)},  # type: ignore[union-attr]
        }
        for i, one in found.items()
    ]
    tensors = {name: leaf for i, one in found.items() for name, leaf in _named(one, f"generator.{i}").items()}
    record = {"generators": about, "keys": KEYS, "average": average, **_samples(game)}
    if law is not None:
        record["class_law"] = law.tolist()
    return Portable("generate", generate, tensors, inputs, record)


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
    return Portable("score", score, _named(found, f"discriminator.{j}"), inputs, about)


def check_target(directory: Path, overwrite: bool) -> None:
    """Raises InputError where an export cannot be written: packages are missing, or something would be lost."""
    for package in ("safetensors", "flatbuffers"):
        if importlib.util.find_spec(package) is None:
            raise InputError(f"exports need {package}: pip install 'ensgan[export]'")
    if not directory.exists():
        return
    if not directory.is_dir():
        raise InputError(f"{directory} is a file; give a folder for the export")
    if any(directory.iterdir()) and not _is_export(directory / ABOUT):
        raise InputError(f"{directory} holds files that are not an export, so it is left alone; choose another folder")
    if not overwrite:
        raise InputError(f"{directory} already exists; choose another folder, or add --overwrite to replace it")


def write(
    portable: Portable,
    directory: Path,
    *,
    overwrite: bool = False,
    batch: int | None = None,
    about: Mapping[str, Any] | None = None,
) -> None:
    """Writes an export: the weights, the function as `generate.jaxexport` or `score.jaxexport`, and `config.json`.

    Args:
        portable: what `sampler` or `judge` made.
        directory: made if it is missing.
        overwrite: replace the export that it holds.
        batch: None for a function of any number of samples; a number fixes it, for networks that JAX cannot trace
            without one.
        about: more to say in `config.json`.

    Raises:
        InputError: a package is missing, or the folder holds something.
    """
    check_target(directory, overwrite)
    from jax import export
    from safetensors.numpy import save

    size = export.symbolic_shape("b")[0] if batch is None else batch
    inputs = portable.inputs(size)
    shapes = {name: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for name, leaf in portable.tensors.items()}
    exported = export.export(jax.jit(portable.call), platforms=PLATFORMS)(shapes, *inputs.values())

    directory.mkdir(parents=True, exist_ok=True)
    for name in (WEIGHTS, *FUNCTIONS.values()):
        (directory / name).unlink(missing_ok=True)
    (directory / WEIGHTS).write_bytes(save(portable.tensors))
    (directory / FUNCTIONS[portable.kind]).write_bytes(exported.serialize())
    describe = lambda spec: f"{spec.dtype}[{','.join(map(str, spec.shape))}]"
    function = {
        "file": FUNCTIONS[portable.kind],
        "inputs": {"weights": WEIGHTS, **{name: describe(spec) for name, spec in inputs.items()}},
        "output": describe(exported.out_avals[0]),
        "platforms": list(exported.platforms),
        "calling_convention": exported.calling_convention_version,
    }
    record = {"export": portable.kind, "function": function, **portable.about, **(about or {})}
    write_json(directory / ABOUT, {**record, "versions": rundir.versions()})


def _is_export(file: Path) -> bool:
    try:
        return json.loads(file.read_text(encoding="utf-8")).get("export") in FUNCTIONS
    except (OSError, ValueError, AttributeError, RecursionError):
        return False


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
