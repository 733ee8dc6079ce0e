"""Checks of losses, penalties, networks and augmentations."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ensgan.testing.assertions import close, finite, same_form
from ensgan.types import Array, Augment, Loss, Network, Penalty, Shape, Tree


def check_loss(loss: Loss) -> None:
    """Checks that a loss is elementwise, finite for logits in ±10⁴, and relativistic and numbered only as declared."""
    roles = loss.roles
    assert loss.logit in ("log_ratio", "log_ratio_plus_constant", "uncalibrated"), f"logit is {loss.logit!r}"
    M, N, heads = 2, 4, () if roles.heads is None else (roles.heads(2),)
    k_s, k_r = jax.random.split(jax.random.key(0))
    s, r = jax.random.normal(k_s, (M, N, 4, *heads)), jax.random.normal(k_r, (1, N, 4, *heads))
    signs = (-1.0) ** np.arange(*heads) if heads else np.float64(1.0)  # so that the logits of a sample differ
    functions = {"real": lambda s, r: loss.real(r[0]), "fake": loss.fake, "generator": loss.generator}
    for name, fn in functions.items():
        out, shape = fn(s, r), (N, 4) if name == "real" else (M, N, 4)
        assert out.shape == shape, f"{name} gave shape {out.shape} for logits {shape}; it must be elementwise"
        for field, moved in (("s", fn(s.at[1, 2, 3].add(1.0), r)), ("r", fn(s, r.at[0, 2, 3].add(1.0)))):
            others = np.array(moved != out)
            if field == "r" and name != "real":
                assert loss.relativistic or not others.any(), f"{name} depends on reals; declare relativistic=True"
            others[(1, 2, 3) if field == "s" and name != "real" else (Ellipsis, 2, 3)] = False
            assert not others.any(), f"{name} is not elementwise: one logit changes the value of another"
        for side, axis in (("g", 0), ("d", 1)):
            turn = lambda a, axis=axis: jnp.roll(a, 1, axis)
            want = turn(out[None])[0] if name == "real" else turn(out)
            same = np.allclose(fn(turn(s), turn(r)), want, atol=1e-5)
            free = same or roles.start is not None or side in roles.numbered
            assert free, f"{name} depends on the numbers of members; declare Roles(numbered=('{side}',))"
        for size in (0.0, 1.0, 1e2, 1e4):
            a, b = (v.ravel() for v in np.meshgrid([-size, 0.0, size], [-size, 0.0, size]))
            a, b = (
                jnp.asarray(np.multiply.outer(np.ones((rows, N, 1)) * v, signs), np.float32)
                for rows, v in ((M, a), (1, b))
            )
            finite(f"{name} for logits of size {size:g}", fn(a, b))
            grads = jax.grad(lambda a, b, fn=fn: fn(a, b).sum(), argnums=(0, 1))(a, b)
            finite(f"the gradient of {name} for logits of size {size:g}", grads)
    if roles.judge is not None:
        for logits in (s, r):
            out = roles.judge(logits, jnp.arange(N))
            assert out.shape == logits.shape[:3], f"judge gave shape {out.shape} for logits {logits.shape}"


def check_penalty(penalty: Penalty, shape: Shape = (3,)) -> None:
    """Checks that a penalty is finite for every sample, with finite gradients under jit and vmap.

    One of the critics is constant. A sample's value must not depend on other samples, so that batches can be split.
    """
    assert penalty.interval >= 1, f"interval is {penalty.interval}; it must be at least 1 step"
    if callable(penalty.strength):
        assert np.shape(penalty.strength(jnp.int32(0))) == (), "a schedule of the strength must return one number"
    k_x, k_f, k_w = jax.random.split(jax.random.key(0), 3)
    real, fake = jax.random.normal(k_x, (5, *shape)), jax.random.normal(k_f, (5, *shape))
    w = jax.random.normal(k_w, (2, int(np.prod(shape)))).at[1].set(0.0)  # member 1 is constant

    keys = jax.random.split(jax.random.key(1), 5)

    def every(w: Array, real: Array, fake: Any, keys: Array) -> Array:
        return penalty.value(lambda x: jnp.tanh(x.reshape(x.shape[0], -1) @ w), real, fake, keys)

    value = lambda w, fake: every(w, real, fake, keys).mean()
    whole = every(w[0], real, fake, keys)
    assert whole.shape == (5,), f"the value of the penalty has shape {whole.shape} for 5 samples; it must be (5,)"
    close("in a smaller batch the penalty", every(w[0], real[1:4], fake[1:4], keys[1:4]), whole[1:4])
    grad = jax.jit(jax.vmap(jax.value_and_grad(value), in_axes=(0, None)))
    finite("the penalty or its gradient", grad(w, fake))
    if not penalty.fakes:
        close("without fakes (it declares fakes=False) the penalty", grad(w, None), grad(w, fake))


def check_network(network: Network, *, batch: int = 4, classes: int | None = None) -> None:
    """Checks init, shapes, state and declarations of a network.

    Args:
        network: the plug.
        batch: number of samples to try it with.
        classes: number of classes of their labels; None is the number that the network declares, and no labels if it
            declares none.
    """
    classes = network.classes if classes is None else classes
    keys, key_x, rng = jax.random.split(jax.random.key(0), 2), jax.random.key(1), jax.random.key(2)
    stack, single = jax.jit(jax.vmap(network.init))(keys), jax.jit(network.init)(keys[1])
    close("init of the same key under vmap", jax.tree.map(lambda leaf: leaf[1], stack), single)
    params, state = single
    if any(leaf.size for leaf in jax.tree.leaves(params)):
        same = jax.tree.map(lambda leaf: bool((leaf[0] == leaf[1]).all()), stack[0])
        assert not all(jax.tree.leaves(same)), "init gives the same parameters for two keys"

    x = jax.random.normal(key_x, (batch, *network.in_shape))
    label = None if classes is None else jnp.arange(batch, dtype=jnp.int32) % classes
    still = jax.jit(lambda p, s, x: network.apply(p, s, x, label=label, train=False, rng=None))
    y, kept = still(params, state, x)
    want = (batch, *network.out_shape)
    assert y.shape == want, f"the output has shape {y.shape}; out_shape says {want}"
    finite("the output", y)
    same_form("with train=False, the state", state, kept)
    for old, new in zip(jax.tree.leaves(state), jax.tree.leaves(kept), strict=True):
        assert bool((old == new).all()), "with train=False, the state changed; it must stay the same"

    def train(params: Tree, x: Array, state: Tree, label: Array | None) -> tuple[Array, tuple[Array, Tree]]:
        y, state = network.apply(params, state, x, label=label, train=True, rng=rng)
        return jnp.sum(y.astype(jnp.float32) ** 2), (y, state)

    grad = jax.grad(train, argnums=(0, 1), has_aux=True)
    run = jax.jit(grad)
    grads, (y, after) = run(params, x, state, label)
    assert y.shape == want, f"with train=True, the output has shape {y.shape}; out_shape says {want}"
    same_form("with train=True, the state", state, after)
    finite("the gradient of parameters and inputs", grads)
    batched = jax.jit(jax.vmap(grad, (0, None, 0, None)))(stack[0], x, stack[1], label)
    close("apply under vmap", batched[1][0][1], y, 1e-4)
    if batch > 1:
        other = None if label is None or classes is None else label.at[1].set((label[1] + 1) % classes)
        moved = run(params, x.at[1].add(1.0), state, other)[1][0][0]
        coupled = bool(jnp.abs(moved - y[0]).max() > 1e-6 * (1.0 + jnp.abs(y[0]).max()))
        seen = "moves" if coupled else "does not move"
        assert coupled == network.batch_coupled, (
            f"batch_coupled is {network.batch_coupled}, but changing sample 1 {seen} the output of sample 0"
        )
    if network.classes is not None and label is not None and network.classes > 1:
        moved = run(params, x, state, (label + 1) % network.classes)
        same = [
            bool((a == b).all())
            for a, b in zip(*map(jax.tree.leaves, ((grads, y), (moved[0], moved[1][0]))), strict=True)
        ]
        assert not all(same), f"classes is {network.classes}, but other labels change neither outputs nor gradients"


def check_augment(augment: Augment, shape: Shape) -> None:
    """Checks that an augmentation acts on each sample alone, keeps shape and type, and does nothing at strength 0."""
    assert 0.0 <= augment.strength <= 1.0, f"strength is {augment.strength}; it must be a probability"
    keys, other = jax.random.split(jax.random.key(0), 4), jax.random.split(jax.random.key(1), 4)
    x, apply = jax.random.uniform(jax.random.key(2), (4, *shape), minval=-1.0), jax.jit(augment.apply)
    y = apply(keys, x, jnp.float32(1.0))
    assert (y.shape, y.dtype) == (x.shape, x.dtype), f"{x.dtype}{x.shape} became {y.dtype}{y.shape}"
    assert bool((apply(keys, x, jnp.float32(0.0)) == x).all()), "at strength 0, samples change"
    moved = apply(jnp.concatenate([keys[:1], other[1:]]), x.at[1:].set(0.3), jnp.float32(1.0))
    close("with other samples and keys beside it, sample 0", moved[0], y[0])
    grads = jax.grad(lambda x: jnp.sum(apply(keys, x, jnp.float32(1.0)) ** 2))(x)
    finite("the gradient", grads)
