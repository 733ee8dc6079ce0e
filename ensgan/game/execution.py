"""How a function of one member runs on all members of a group: batched, or one member after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from ensgan.types import Array


def over_members(fn: Callable[..., Any], how: str, count: int, axes: Sequence[int | None]) -> Callable[..., Any]:
    """Makes a function of one member a function of all members, run as `Group.execution` says.

    Arguments with axis 0 are stacked trees, arguments with axis None are shared by all members.
    """
    if how == "vmap":
        return jax.vmap(fn, in_axes=tuple(axes))
    if how == "remat":
        return _one_by_one(fn, axes)

    def unrolled(*args: Any) -> Any:
        outs = [fn(*_slice(args, axes, i)) for i in range(count)]
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *outs)

    return unrolled


def member_vjp(
    fn: Callable[..., tuple[Array, Any]], how: str, count: int, axes: Sequence[int | None], wrt: int
) -> Callable[..., tuple[Array, Any, Callable[[Any], tuple[Any, ...]]]]:
    """Values and pullbacks of all members at once.

    Args:
        fn: `fn(*args) -> (out, aux)` of one member.
        how: `vmap`, `unroll` or `remat`.
        count: number of members.
        axes: for each argument, 0 if it is stacked, None if members share it.
        wrt: the number of leading arguments to differentiate.

    Returns:
        A function of the arguments that returns `out` and `aux`, stacked, and `pull`. This takes cotangents stacked
        like `out` and returns those of the first `wrt` arguments, stacked even if the argument was shared.
    """

    def one(*args: Any) -> tuple[Any, Any, Any]:
        return jax.vjp(lambda *diff: fn(*diff, *args[wrt:]), *args[:wrt], has_aux=True)

    def batched(*args: Any) -> tuple[Any, Any, Any]:
        out, pull, aux = jax.vmap(one, in_axes=tuple(axes))(*args)  # the pullback is a pytree, so vmap can return it
        return out, aux, lambda cotangent: jax.vmap(lambda pull, c: pull(c))(pull, cotangent)

    def unrolled(*args: Any) -> tuple[Any, Any, Any]:
        outs, pulls, auxs = zip(*(one(*_slice(args, axes, i)) for i in range(count)), strict=True)
        stack = lambda trees: jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)
        part = lambda cotangent, i: jax.tree.map(lambda a: a[i], cotangent)
        return stack(outs), stack(auxs), lambda c: stack([pull(part(c, i)) for i, pull in enumerate(pulls)])

    def again(*args: Any) -> tuple[Any, Any, Any]:
        out, aux = _one_by_one(fn, axes)(*args)
        pull = lambda cotangent, *args: one(*args)[1](cotangent)
        return out, aux, lambda cotangent: _one_by_one(pull, (0, *axes))(cotangent, *args)

    return {"vmap": batched, "unroll": unrolled, "remat": again}[how]


def _one_by_one(fn: Callable[..., Any], axes: Sequence[int | None]) -> Callable[..., Any]:
    """`fn` of one member as a function of all, in a loop that holds the intermediates of one member at a time."""

    def looped(*args: Any) -> Any:
        stacked = [arg for arg, ax in zip(args, axes, strict=True) if ax is not None]

        def member(mine: Any) -> Any:
            own = iter(mine)
            return fn(*(arg if ax is None else next(own) for arg, ax in zip(args, axes, strict=True)))

        return jax.lax.map(member, stacked)

    return looped


def _slice(args: Sequence[Any], axes: Sequence[int | None], i: int) -> list[Any]:
    return [arg if ax is None else jax.tree.map(lambda a: a[i], arg) for arg, ax in zip(args, axes, strict=True)]
