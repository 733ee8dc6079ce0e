"""Contract checks that users can run on their own plugs: each raises AssertionError with the promise that is broken.

They check what `ensgan.types` promises, not whether a plug is any good.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ensgan.data import Source
from ensgan.game.coverage import as_mask
from ensgan.game.game import Game
from ensgan.game.state import State
from ensgan.pairing import own_MN
from ensgan.types import Array, Augment, Evidence, Loss, Network, Pairing, Penalty, Schedule, Shape, Tree


def check_pairing(pairing: Pairing, M: int = 3, N: int = 3, *, symmetric: bool = False) -> None:
    """Checks weights, masks, state and tracing of a pairing.

    Args:
        pairing: the plug.
        M: generators to try it with.
        N: discriminators to try it with.
        symmetric: whether permuting members must permute the weights, and members that play nobody must leave those of
            the others as they are; not so for pairings that depend on member numbers or on chance.
    """
    state, key, traces = pairing.init(M, N), jax.random.key(0), []
    distinct = len({id(leaf) for leaf in jax.tree.leaves(state)})
    assert distinct == len(jax.tree.leaves(state)), "the state holds an array twice; buffers are donated, so make two"
    if pairing.mixture is not None:
        mixture = np.asarray(pairing.mixture(state))
        fits = mixture.shape == (M,) and (mixture >= 0).all() and np.isclose(mixture.sum(), 1.0, atol=1e-5)
        assert fits, f"the mixture is {mixture.tolist()}; it must be {M} numbers ≥ 0 that sum to 1"
    for leaf in jax.tree.leaves(state):
        assert isinstance(leaf, jax.Array | np.ndarray), f"the state holds {leaf!r}; it must hold arrays only"
    mask = jnp.ones((M, N), bool)
    if pairing.before is not None:
        pairs = jax.jit(pairing.before, static_argnums=(2, 3))(state, key, M, N)
        opponents = jnp.issubdtype(pairs.dtype, jnp.integer) and pairs.ndim == 2 and pairs.shape[0] == N
        seen = f"before gave {pairs.dtype} of shape {pairs.shape}"
        assert opponents or (pairs.shape == (M, N) and pairs.dtype == bool), (
            f"{seen}; it must give a bool mask {(M, N)}, or integers ({N}, k), the opponents of each discriminator"
        )
        mask = as_mask(pairs, M, N)
        if opponents:
            within = bool(((pairs >= -1) & (pairs < M)).all())
            assert within, f"before names opponents outside of 0 to {M - 1}; nobody is -1"
            met = (pairs >= 0).sum(axis=1)
            assert bool((met == mask.sum(axis=0)).all()), "before names an opponent twice for one discriminator"

    def after(state: Tree, evidence: Evidence, key: Array) -> tuple[Array, Array, Tree]:
        traces.append(1)
        return pairing.after(state, evidence, key)

    run = jax.jit(after)
    for step in range(3):
        evidence = _evidence(pairing, mask, step)
        W, P, new = run(state, evidence, jax.random.fold_in(key, step))
        _sums_to_one("W", W, mask, 1, "row")
        _sums_to_one("P", P, mask, 0, "column")
        _same_form("the state of the pairing", state, new)
        state = new
    assert len(traces) == 1, "the pairing is traced again on a later call; its state changes its form or type"

    keys = jax.random.split(key, 2)
    batched = jax.jit(jax.vmap(pairing.after, in_axes=(None, None, 0)))(state, evidence, keys)[:2]
    _close("under vmap over keys the pairing", [leaf[1] for leaf in batched], list(run(state, evidence, keys[1])[:2]))

    if pairing.before is None:  # it may be given a mask, so it must respect one
        mask = (own_MN(M, N) > 0) | (jnp.arange(M)[:, None] < jnp.arange(N)[None])
    sick = _evidence(pairing, mask, 3)
    sick = _matrices(sick, lambda a: jnp.where(mask.reshape(M, N, *[1] * (a.ndim - 2)), a, jnp.nan))
    if sick.gram is not None:
        sick = sick._replace(gram=jnp.where(mask[:, None, :], sick.gram, jnp.nan))
    W, P, new = run(state, sick, key)
    _sums_to_one("with NaN in masked evidence, W", W, mask, 1, "row")
    _sums_to_one("with NaN in masked evidence, P", P, mask, 0, "column")
    _finite("with NaN in masked evidence, the state of the pairing", new)

    if symmetric:
        state, rows, columns = pairing.init(M, N), np.roll(np.arange(M), 1), np.roll(np.arange(N), -1)
        permute = lambda a: a[rows][:, columns]
        evidence = _evidence(pairing, jnp.ones((M, N), bool), 4)
        moved = _matrices(evidence, permute)
        if moved.gram is not None:
            moved = moved._replace(gram=moved.gram[:, :, columns])
        want = [permute(a) for a in run(state, evidence, key)[:2]]
        _close("with permuted members the pairing", list(run(state, moved, key)[:2]), want)

        # One more member on each side, which plays nobody.
        more, state = pairing.init(M + 1, N + 1), pairing.init(M, N)
        there = jnp.zeros((M + 1, N + 1), bool).at[:M, :N].set(True)
        for step in range(3):
            evidence = _evidence(pairing, there, step)
            fewer = _matrices(evidence, lambda a: a[:M, :N])._replace(mask=there[:M, :N])
            if fewer.gram is not None:
                fewer = fewer._replace(gram=fewer.gram[:, :, :N])
            *weights, more = run(more, evidence, key)
            *want, state = run(state, fewer, key)
            _close("beside members that play nobody the pairing", [a[:M, :N] for a in weights], want)


def check_schedule(schedule: Schedule, game: Game, source: Source, *, rounds: int = 3, num: int = 64) -> State:
    """Checks that a schedule is a pure function that keeps the form of a state, and that its claims hold.

    Args:
        schedule: the plug.
        game: one that has it, `game.schedule`.
        source: data of that game.
        rounds: how often it is called, at steps every, 2·every, ..., and at 0 where it says so.
        num: held-out samples that it may use.

    Returns:
        The last state, for checks of one's own.
    """
    assert game.schedule is schedule, "give a game that was made with this schedule"
    state = jax.jit(game.init)(jax.random.key(0))
    for turn in range(0 if schedule.claims.at_start else 1, rounds + 1):
        state = state._replace(step=jnp.int32(turn * schedule.every))
        before = jax.tree.map(np.asarray, state._replace(key=()))
        new = schedule.between(game, state, source, num)
        again = schedule.between(game, state, source, num)
        _same_form("the state", state._replace(key=()), new._replace(key=()))
        same = lambda a, b: jax.tree.all(jax.tree.map(lambda x, y: bool((np.asarray(x) == np.asarray(y)).all()), a, b))
        assert same(before, state._replace(key=())), "the schedule changes the state that it is given"
        assert same(new._replace(key=()), again._replace(key=())), "the schedule gives another state on a second call"
        assert new.key is state.key, "the schedule changes the key"
        assert int(new.step) == int(state.step), "the schedule changes the step"
        _finite("the members after the schedule", [new.generators, new.discriminators])
        if schedule.claims.mixture is not None:
            weights = np.asarray(schedule.claims.mixture(new))
            good = weights.shape == (game.M,) and (weights >= 0).all() and np.isclose(weights.sum(), 1.0, atol=1e-5)
            assert good, f"the mixture is {weights.tolist()}; it must be {game.M} numbers that sum to 1"
        if schedule.claims.weight is not None:
            weights = np.asarray(schedule.claims.weight(new.schedule))
            good = weights.shape == (source.num["train"],) and (weights >= 0).all() and 0 < weights.sum() < np.inf
            assert good, "weights of samples must be one for each, finite, and not below 0"
        if schedule.claims.roster is not None:
            alive = [bool(each.any()) for each in new.roster]
            assert all(alive), f"nobody plays, or nobody learns, on a side: {new.roster._fields} have {alive}"
        state = new
    return state


def check_loss(loss: Loss) -> None:
    """Checks that a loss is elementwise, finite for logits in ±10⁴, relativistic and numbered where it says so."""
    assert loss.logit in ("log_ratio", "log_ratio_plus_constant", "uncalibrated"), f"logit is {loss.logit!r}"
    M, N, heads = 2, 4, () if loss.roles.heads is None else (loss.roles.heads(2),)
    k_s, k_r = jax.random.split(jax.random.key(0))
    s, r = jax.random.normal(k_s, (M, N, 4, *heads)), jax.random.normal(k_r, (1, N, 4, *heads))
    signs = (-1.0) ** np.arange(*heads) if heads else np.float64(1.0)  # so that logits of one sample differ
    functions = {"real": lambda s, r: loss.real(r[0]), "fake": loss.fake, "generator": loss.generator}
    for name, fn in functions.items():
        out, shape = fn(s, r), (N, 4) if name == "real" else (M, N, 4)
        assert out.shape == shape, f"{name} gave shape {out.shape} for logits {shape}; it must be elementwise"
        for field, moved in (("s", fn(s.at[1, 2, 3].add(1.0), r)), ("r", fn(s, r.at[0, 2, 3].add(1.0)))):
            others = np.array(moved != out)
            if field == "r" and name != "real":
                assert loss.relativistic or not others.any(), f"{name} looks at reals; declare relativistic=True"
            others[(1, 2, 3) if field == "s" and name != "real" else (Ellipsis, 2, 3)] = False
            assert not others.any(), f"{name} is not elementwise: one logit moves the value of another"
        for side, axis in (("g", 0), ("d", 1)):
            turn = lambda a, axis=axis: jnp.roll(a, 1, axis)
            want = turn(out[None])[0] if name == "real" else turn(out)
            same = np.allclose(fn(turn(s), turn(r)), want, atol=1e-5)
            free = same or loss.roles.start is not None or side in loss.roles.numbered
            assert free, f"{name} depends on the numbers of members; declare numbered=('{side}',)"
        for size in (0.0, 1.0, 1e2, 1e4):
            a, b = (v.ravel() for v in np.meshgrid([-size, 0.0, size], [-size, 0.0, size]))
            a, b = (
                jnp.asarray(np.multiply.outer(np.ones((rows, N, 1)) * v, signs), np.float32)
                for rows, v in ((M, a), (1, b))
            )
            _finite(f"{name} for logits of size {size:g}", fn(a, b))
            grads = jax.grad(lambda a, b, fn=fn: fn(a, b).sum(), argnums=(0, 1))(a, b)
            _finite(f"the gradient of {name} for logits of size {size:g}", grads)
    if loss.roles.judge is not None:
        for logits in (s, r):
            out = loss.roles.judge(logits, jnp.arange(N))
            assert out.shape == logits.shape[:3], f"judge gave shape {out.shape} for logits {logits.shape}"


def check_penalty(penalty: Penalty, shape: Shape = (3,)) -> None:
    """Checks that a penalty is finite for every sample, with finite gradients under jit and vmap.

    One of the critics is constant. A sample's value depends on the sample alone, so that batches may be split.
    """
    assert penalty.interval >= 1, f"interval is {penalty.interval}; it counts steps and is at least 1"
    if callable(penalty.strength):
        assert np.shape(penalty.strength(jnp.int32(0))) == (), "a schedule of the strength must give one number"
    k_x, k_f, k_w = jax.random.split(jax.random.key(0), 3)
    real, fake = jax.random.normal(k_x, (5, *shape)), jax.random.normal(k_f, (5, *shape))
    w = jax.random.normal(k_w, (2, int(np.prod(shape)))).at[1].set(0.0)  # member 1 is constant

    keys = jax.random.split(jax.random.key(1), 5)

    def every(w: Array, real: Array, fake: Any, keys: Array) -> Array:
        return penalty.value(lambda x: jnp.tanh(x.reshape(x.shape[0], -1) @ w), real, fake, keys)

    value = lambda w, fake: every(w, real, fake, keys).mean()
    whole = every(w[0], real, fake, keys)
    assert whole.shape == (5,), f"the value of the penalty has shape {whole.shape} for 5 samples; it must be (5,)"
    _close("in a smaller batch the penalty", every(w[0], real[1:4], fake[1:4], keys[1:4]), whole[1:4])
    grad = jax.jit(jax.vmap(jax.value_and_grad(value), in_axes=(0, None)))
    _finite("the penalty or its gradient", grad(w, fake))
    if not penalty.fakes:
        _close("without fakes (it declares fakes=False) the penalty", grad(w, None), grad(w, fake))


def check_network(network: Network, *, batch: int = 4, classes: int | None = None) -> None:
    """Checks init, shapes, state and declarations of a network.

    Args:
        network: the plug.
        batch: how many samples to try it with.
        classes: how many classes the labels of these count; None takes the number that the network declares, and gives
            no labels where it declares none.
    """
    classes = network.classes if classes is None else classes
    keys, key_x, rng = jax.random.split(jax.random.key(0), 2), jax.random.key(1), jax.random.key(2)
    stack, single = jax.jit(jax.vmap(network.init))(keys), jax.jit(network.init)(keys[1])
    _close("init of the same key under vmap", jax.tree.map(lambda leaf: leaf[1], stack), single)
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
    _finite("the output", y)
    _same_form("with train=False, the state", state, kept)
    for old, new in zip(jax.tree.leaves(state), jax.tree.leaves(kept), strict=True):
        assert bool((old == new).all()), "with train=False, the state changed; it must stay as it is"

    def train(params: Tree, x: Array, state: Tree, label: Array | None) -> tuple[Array, tuple[Array, Tree]]:
        y, state = network.apply(params, state, x, label=label, train=True, rng=rng)
        return jnp.sum(y.astype(jnp.float32) ** 2), (y, state)

    grad = jax.grad(train, argnums=(0, 1), has_aux=True)
    run = jax.jit(grad)
    grads, (y, after) = run(params, x, state, label)
    assert y.shape == want, f"with train=True, the output has shape {y.shape}; out_shape says {want}"
    _same_form("with train=True, the state", state, after)
    _finite("the gradient of parameters and inputs", grads)
    batched = jax.jit(jax.vmap(grad, (0, None, 0, None)))(stack[0], x, stack[1], label)
    _close("apply under vmap", batched[1][0][1], y, 1e-4)
    if batch > 1:
        other = None if label is None or classes is None else label.at[1].set((label[1] + 1) % classes)
        moved = run(params, x.at[1].add(1.0), state, other)[1][0][0]
        coupled = bool(jnp.abs(moved - y[0]).max() > 1e-6 * (1.0 + jnp.abs(y[0]).max()))
        seen = "moves" if coupled else "does not move"
        assert coupled == network.batch_coupled, (
            f"batch_coupled is {network.batch_coupled}, but changing sample 1 {seen} the output of sample 0"
        )
    if network.classes is not None and label is not None and network.classes > 1:
        told = run(params, x, state, (label + 1) % network.classes)
        same = [
            bool((a == b).all())
            for a, b in zip(*map(jax.tree.leaves, ((grads, y), (told[0], told[1][0]))), strict=True)
        ]
        assert not all(same), f"classes is {network.classes}, but other labels change neither outputs nor gradients"


def check_augment(augment: Augment, shape: Shape) -> None:
    """Checks that an augmentation acts on each sample alone, keeps its form, and does nothing at strength 0."""
    assert 0.0 <= augment.strength <= 1.0, f"strength is {augment.strength}; it is a probability"
    keys, other = jax.random.split(jax.random.key(0), 4), jax.random.split(jax.random.key(1), 4)
    x, apply = jax.random.uniform(jax.random.key(2), (4, *shape), minval=-1.0), jax.jit(augment.apply)
    y = apply(keys, x, jnp.float32(1.0))
    assert (y.shape, y.dtype) == (x.shape, x.dtype), f"{x.dtype}{x.shape} became {y.dtype}{y.shape}"
    assert bool((apply(keys, x, jnp.float32(0.0)) == x).all()), "at strength 0 samples are changed"
    moved = apply(jnp.concatenate([keys[:1], other[1:]]), x.at[1:].set(0.3), jnp.float32(1.0))
    _close("with other samples and keys beside it, sample 0", moved[0], y[0])
    grads = jax.grad(lambda x: jnp.sum(apply(keys, x, jnp.float32(1.0)) ** 2))(x)
    _finite("the gradient", grads)


def _evidence(pairing: Pairing, mask: Array, step: int) -> Evidence:
    M, N = mask.shape
    k_g, k_d, k_f, k_m = jax.random.split(jax.random.key(step), 4)
    dx, fool = jax.random.normal(k_m, (M, N, 4)), jax.nn.sigmoid(jax.random.normal(k_f, (M, N)))
    gram = jnp.einsum("mjf,mkf->mjk", dx, dx) if "gram" in pairing.asks else None
    payoff = fool if "payoff" in pairing.asks else None
    g, d = jax.random.normal(k_g, (M, N)), jax.random.normal(k_d, (M, N))
    g = jnp.abs(g) if pairing.positive else g
    return Evidence(g, d, fool, mask, gram, payoff, jnp.int32(step))


def _matrices(evidence: Evidence, change: Callable[[Array], Array]) -> Evidence:
    """`change` applied to everything in the evidence that is indexed by generator and discriminator, but the mask."""
    fields = {f: getattr(evidence, f) for f in ("loss_g", "loss_d", "fool", "gram", "payoff")}
    return evidence._replace(**{f: change(a) for f, a in fields.items() if a is not None})


def _sums_to_one(name: str, weight: Array, mask: Array, axis: int, line: str) -> None:
    w, m = np.asarray(weight), np.asarray(mask)
    assert w.shape == m.shape, f"{name} has shape {w.shape}; it must be {m.shape}"
    assert np.isfinite(w).all(), f"{name} is not finite"
    assert (w >= 0).all(), f"{name} has negative weights"
    assert (w[~m] == 0).all(), f"{name} has weight on masked pairs"
    total = w.sum(axis)[m.any(axis)]
    assert np.allclose(total, 1.0, atol=1e-5), f"{name} must sum to 1 along each {line}; got {total.tolist()}"


def _finite(what: str, tree: Any) -> None:
    for leaf in jax.tree.leaves(tree):
        assert np.isfinite(np.asarray(leaf, np.float64)).all(), f"{what} is not finite"


def _same_form(what: str, old: Tree, new: Tree) -> None:
    form = lambda tree: [f"{jnp.asarray(leaf).dtype}{list(jnp.shape(leaf))}" for leaf in jax.tree.leaves(tree)]
    assert jax.tree.structure(old) == jax.tree.structure(new), f"{what} changed its structure"
    assert form(old) == form(new), f"{what} changed its form from {form(old)} to {form(new)}"


def _close(what: str, got: Tree, want: Tree, tolerance: float = 1e-5) -> None:
    assert jax.tree.structure(got) == jax.tree.structure(want), f"{what} gives a tree of another structure"
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        assert np.allclose(a, b, atol=tolerance * (1.0 + np.abs(b).max(initial=0.0))), f"{what} gives another result"
