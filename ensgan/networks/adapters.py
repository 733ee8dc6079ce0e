"""Adapters: from a module of flax.nnx or flax.linen to a Network, a pair of pure functions."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen, nnx
from flax.errors import FlaxError

from ensgan.devices.mesh import data_axis
from ensgan.networks.stages import leaves, pruned, within
from ensgan.types import Array, InputError, Network, Shape, Stage, Tree


def from_nnx(
    factory: Callable[[nnx.Rngs], nnx.Module],
    in_shape: int | Shape,
    out_shape: int | Shape,
    *,
    batch_coupled: bool | None = None,
    convolutional: bool | None = None,
    classes: int | None = None,
) -> Network:
    """Makes a Network from a `flax.nnx` module.

    Random streams in the module are not part of its state: each `apply` restarts them from its `rng`. Everything else
    that is not a parameter is state, and changes in training mode only.

    Args:
        factory: `factory(rngs) -> module`. The module is called on `x` `[B, *in_shape]` and those of the keywords
            `label`, `train`, `rngs` that its `__call__` takes, or for an `nnx.Sequential`, that its first layer takes.
            `.train()` and `.eval()` switch dropout and batch norm.
        in_shape: shape of one input; `n` means `(n,)`.
        out_shape: shape of one output; `1` and `()` mean one logit per sample, any other `n` means `(n,)`.
        batch_coupled: see Network. If None, it is true for modules with `nnx.BatchStat`; if all of these are in
            `nnx.BatchNorm`, statistics also span the devices that share a batch. Give True for statistics that leave
            no such trace (minibatch discrimination), with or without batch norms, and False for `nnx.SpectralNorm`.
        convolutional: see Network. If None, it is true for modules with `nnx.Conv` or `nnx.ConvTranspose`.
        classes: see Network. The number of classes if the module needs `label`, else None.

    Raises:
        InputError: a module that does not map `[B, *in_shape]` to `[B, *out_shape]`, or that has classes and does not
            take `label`.
    """
    in_shape, out_shape = input_shape(in_shape), output_shape(out_shape)
    _check_count(classes)
    blank = nnx.eval_shape(lambda: factory(nnx.Rngs(0)))
    form = _form(blank)
    _check_classes(classes, form.accepted)

    def init(key: Array) -> tuple[Tree, Tree]:
        return form.variables(factory(nnx.Rngs(key)))

    def apply(
        params: Tree,
        state: Tree,
        x: Array,
        *,
        label: Array | None = None,
        train: bool = False,
        rng: Array | None = None,
    ) -> tuple[Array, Tree]:
        _check_input(x, in_shape)
        _check_label(label, classes)
        whole = lambda module, x, **keywords: module(x, **keywords)
        y, state = form.run(whole, params, state, x, label, train, rng)
        return _squeeze(y, out_shape), state

    def stage(k: int, names: tuple[str, ...], last: bool) -> Stage:
        def apply(params: Tree, state: Tree, x: Array, *, label: Any = None, train: bool = False, rng: Any = None):
            part = lambda module, x, **keywords: module.parts()[k][1](x, **keywords)
            y, new = form.run(part, params, state, x, label, train, rng)
            return _squeeze(y, out_shape) if last else y, pruned(new, names)

        return Stage(names, apply)

    parts: Any = getattr(blank, "parts", None)
    held = [name for tree in jax.eval_shape(init, jax.random.key(0)) for name, _ in leaves(tree)]
    there = lambda names: tuple(name for name in names if any(within(each, [name]) for each in held))
    said = [there(names) for names, _ in parts()] if callable(parts) else []
    stages = tuple(stage(k, names, k == len(said) - 1) for k, names in enumerate(said))

    statistics = jax.tree.leaves(nnx.state(blank, nnx.BatchStat))
    known = [leaf for norm in norms(blank) for leaf in jax.tree.leaves(nnx.state(norm, nnx.BatchStat))]
    # If the user says that samples are coupled, there may be more statistics than those of batch norms.
    synced = batch_coupled is None and 0 < len(statistics) == len(known)
    if batch_coupled is None:
        batch_coupled = bool(statistics)
    if convolutional is None:
        convolutional = any(isinstance(m, (nnx.Conv, nnx.ConvTranspose)) for _, m in nnx.iter_modules(blank))
    return _checked(Network(init, apply, in_shape, out_shape, batch_coupled, convolutional, synced, classes, stages))


class _Form(NamedTuple):
    """An nnx module without its numbers, which `run` takes from outside. All trees but `streams` are plain dicts."""

    graph: Any
    params: Tree
    state: Tree
    streams: Tree
    accepted: tuple[str, ...]  # the keywords that the module takes

    def variables(self, module: nnx.Module) -> tuple[Tree, Tree]:
        """Parameters and state of a module, with strings as keys."""
        _, params, _, rest = nnx.split(module, nnx.Param, nnx.RngState, ...)
        return _to_names(self.params, nnx.to_pure_dict(params)), _to_names(self.state, nnx.to_pure_dict(rest))

    def run(
        self,
        call: Callable[..., Array],
        params: Tree,
        state: Tree,
        x: Array,
        label: Array | None,
        train: bool,
        rng: Array | None,
    ) -> tuple[Array, Tree]:
        """`call(module, x, **keywords)` on the module with these variables, and its state afterwards."""
        if train and rng is None and (jax.tree.leaves(self.streams) or "rngs" in self.accepted):
            raise InputError("rng is None, but this module draws random numbers in training; pass rng=key")
        rng = jax.random.key(0) if rng is None else rng
        variables = [nnx.State(_from_names(self.params, params)), nnx.State(_from_names(self.state, state))]
        # copy=True: variables may belong to an outer trace of grad or vmap, and must not be written to there.
        module: Any = nnx.merge(self.graph, *variables, _reseed(self.streams, rng), copy=True)
        module.train() if train else module.eval()
        for part in norms(module) if train else ():
            part.axis_name = data_axis()  # statistics of the whole batch, also of its samples on other devices
        offered = {"label": label, "train": train, "rngs": nnx.Rngs(rng)}
        y = call(module, x, **{name: offered[name] for name in self.accepted})
        return y, self.variables(module)[1] if train and self.state else state


def _form(blank: nnx.Module) -> _Form:
    graph, params, streams, rest = nnx.split(blank, nnx.Param, nnx.RngState, ...)
    accepted = _accepted(blank, ("label", "train", "rngs"))
    return _Form(graph, nnx.to_pure_dict(params), nnx.to_pure_dict(rest), streams, accepted)


def from_linen(
    module: linen.Module,
    in_shape: int | Shape,
    out_shape: int | Shape,
    *,
    batch_coupled: bool | None = None,
    convolutional: bool | None = None,
    classes: int | None = None,
) -> Network:
    """Makes a Network from a `flax.linen` module.

    The collection `params` holds the parameters. Every other collection of `init` is state, and changes in training
    mode only. The `rng` of `apply` becomes the stream `dropout`.

    Args:
        module: called on `x` `[B, *in_shape]` and those of the keywords `label`, `train` that its `__call__` takes, or
            for a `linen.Sequential`, that its first layer takes.
        in_shape: shape of one input; `n` means `(n,)`.
        out_shape: shape of one output; `1` and `()` mean one logit per sample, any other `n` means `(n,)`.
        batch_coupled: see Network. If None, it is true for modules with the collection `batch_stats`.
        convolutional: see Network. If None, it is true for modules with parameters of rank 4 or more.
        classes: see Network. The number of classes if the module needs `label`, else None.

    Raises:
        InputError: a module that does not map `[B, *in_shape]` to `[B, *out_shape]`, or that has classes and does not
            take `label`.
    """
    in_shape, out_shape = input_shape(in_shape), output_shape(out_shape)
    accepted = _accepted(module, ("label", "train"))
    _check_classes(classes, accepted)

    def options(label: Array | None, train: bool) -> dict[str, Any]:
        return {name: value for name, value in (("label", label), ("train", train)) if name in accepted}

    def init(key: Array) -> tuple[Tree, Tree]:
        label = jnp.zeros((2,), jnp.int32)
        variables = dict(module.init(key, jnp.zeros((2, *in_shape)), **options(label, False)))
        return variables.pop("params", {}), variables

    def apply(
        params: Tree,
        state: Tree,
        x: Array,
        *,
        label: Array | None = None,
        train: bool = False,
        rng: Array | None = None,
    ) -> tuple[Array, Tree]:
        _check_input(x, in_shape)
        _check_label(label, classes)
        out: Any = module.apply(
            {"params": params, **state},
            x,
            **options(label, train),
            mutable=list(state) if train else False,
            rngs=None if rng is None else {"dropout": rng},
        )
        y, state = out if train else (out, state)
        return _squeeze(y, out_shape), state

    params, state = _abstract(init, in_shape)
    if batch_coupled is None:
        batch_coupled = "batch_stats" in state
    if convolutional is None:
        convolutional = any(leaf.ndim >= 4 for leaf in jax.tree.leaves(params))
    return _checked(Network(init, apply, in_shape, out_shape, batch_coupled, convolutional, classes=classes))


def norms(module: nnx.Module) -> list[nnx.BatchNorm]:
    """The batch norms inside a module."""
    return [part for _, part in nnx.iter_modules(module) if isinstance(part, nnx.BatchNorm)]


def input_shape(shape: int | Shape) -> Shape:
    """The shape of one input as a tuple; `n` means `(n,)`."""
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    if not all(isinstance(size, int) and size > 0 for size in sizes):
        raise InputError(f"shape {shape!r}; give a positive int or a tuple of them, without the batch axis")
    return sizes


def output_shape(shape: int | Shape) -> Shape:
    """The shape of one output as a tuple; `1` and `()` mean a logit, and `(1,)` a point with one coordinate."""
    return () if shape == 1 else input_shape(shape)


def image_shape(shape: Shape, sizes: Collection[int]) -> tuple[int, int]:
    """The size and channels of `(size, size, channels)`. Raises InputError for a size that is not in `sizes`."""
    known = ", ".join(map(str, sorted(sizes)))
    checked = input_shape(shape)
    if len(checked) != 3 or checked[0] != checked[1] or checked[0] not in sizes:
        raise InputError(
            f"sample shape {list(checked)}; expected [size, size, channels] with size one of {known}; "
            "resize or pad the images, or use another architecture"
        )
    return checked[0], checked[2]


def _accepted(module: Any, names: tuple[str, ...]) -> tuple[str, ...]:
    """The keywords that a module or a function takes. A chain passes them to its first layer, and `rngs` to all."""
    if isinstance(module, nnx.Sequential | linen.Sequential):
        layers = [_accepted(layer, names) for layer in module.layers]
        return tuple(name for name in names if any(name in layer for layer in layers[: None if name == "rngs" else 1]))
    call = type(module).__call__ if isinstance(module, nnx.Module | linen.Module) else module
    parameters = inspect.signature(call).parameters
    anything = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    return tuple(name for name in names if anything or name in parameters)


def _to_names(blank: Any, tree: Any) -> Any:
    """The entries that `blank` has, with list positions as string keys, which any checkpoint can store."""
    return {str(k): _to_names(v, tree[k]) for k, v in blank.items()} if isinstance(blank, dict) else tree


def _from_names(blank: Any, tree: Any) -> Any:
    """The inverse; leaves that a stage does not have are zeros, since nothing depends on them."""
    if isinstance(blank, dict):
        return {k: _from_names(v, None if tree is None else tree.get(str(k))) for k, v in blank.items()}
    return jnp.zeros(blank.shape, blank.dtype) if tree is None else tree


def _reseed(streams: Tree, rng: Array) -> Tree:
    """Streams restarted from `rng`, each with its own key."""
    leaves, structure = jax.tree.flatten(streams)
    fresh = []
    for i, leaf in enumerate(leaves):
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            key = jax.random.fold_in(rng, i)
            fresh.append(jax.random.split(key, leaf.shape) if leaf.shape else key)
        else:
            fresh.append(jnp.zeros(leaf.shape, leaf.dtype))
    return jax.tree.unflatten(structure, fresh)


def _squeeze(y: Array, out_shape: Shape) -> Array:
    return y[:, 0] if out_shape == () and y.ndim == 2 and y.shape[1] == 1 else y


def _check_input(x: Array, in_shape: Shape) -> None:
    if x.shape[1:] != in_shape or x.ndim == 0:
        expected = f"[B, {', '.join(map(str, in_shape))}]"
        raise InputError(f"input of shape {list(x.shape)}; expected {expected}; reshape it, or change in_shape")


def _check_classes(classes: int | None, accepted: Collection[str]) -> None:
    _check_count(classes)
    if classes is not None and "label" not in accepted:
        raise InputError(
            f"classes is {classes}, but the module takes no labels; let its __call__ take the keyword `label`, or "
            "leave classes out"
        )


def _check_count(classes: int | None) -> None:
    if classes is not None and (not isinstance(classes, int) or not 1 <= classes < 2**31):
        raise InputError(
            f"classes is {classes!r}; give a whole number from 1 to 2³¹ − 1, or None if there are no classes"
        )


def _check_label(label: Array | None, classes: int | None) -> None:
    if label is None and classes is not None:
        raise InputError(
            f"label is None, but the network is conditional on {classes} classes; pass label, int32 [B], or train on "
            "data with labels"
        )


def _abstract(f: Callable[..., Any], in_shape: Shape, *args: Any) -> Any:
    """The shapes of `f(key, *args)`; an error inside becomes an InputError about the user's module."""
    try:
        return jax.eval_shape(lambda *a: f(jax.random.key(0), *a), *args)
    except (TypeError, ValueError, LookupError, AttributeError, AssertionError, FlaxError) as error:
        raise InputError(
            f"the module fails on an input of shape {['B', *in_shape]} ({type(error).__name__}: {error}); "
            "correct in_shape or the module"
        ) from error


def _checked(network: Network) -> Network:
    """The same network, after a check that its outputs have the shapes it claims."""
    params, state = _abstract(network.init, network.in_shape)
    x = jax.ShapeDtypeStruct((2, *network.in_shape), jnp.float32)
    label = jax.ShapeDtypeStruct((2,), jnp.int32)
    run = lambda rng, params, state, x, label: network.apply(params, state, x, label=label, train=True, rng=rng)
    y, after = _abstract(run, network.in_shape, params, state, x, label)
    if y.shape != (2, *network.out_shape):
        raise InputError(
            f"the module gives {['B', *y.shape[1:]]} for {['B', *network.in_shape]}; expected "
            f"{['B', *network.out_shape]}; change out_shape or the module's last layer"
        )
    kind = lambda tree: jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), tree)
    if kind(after) != kind(state):
        raise InputError(
            f"the module's state changes its shapes or dtypes in training mode, from {kind(state)} to {kind(after)}; "
            "create all of it in the constructor"
        )
    return network
