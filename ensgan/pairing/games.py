"""Pairings that learn mixtures of both sides: by gradient (MIX+GAN), or as an equilibrium of the held-out payoff."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax

from ensgan.metrics import metagame
from ensgan.pairing.weights import check_share, discriminator_weights, driven, normalize
from ensgan.types import Array, Evidence, InputError, Pairing, Tree, check_range


def mix(rate: float = 0.001, cost: float = 0.1) -> Pairing:
    """MIX+GAN: learns mixtures p of generators and q of discriminators (Arora et al. 2017, arXiv 1703.00573).

    p = softmax(u) descends Σ_ij p_i q_j loss_g_ij − cost/M · Σ_i log p_i, and q = softmax(v) descends
    Σ_ij p_i q_j loss_d_ij − cost/N · Σ_j log q_j, both by Adam (β₁ = ½) at the same time as the members. Rows of W are
    q and columns of P are p. The factor p_i on the loss of G_i, and q_j on the loss of D_j, is dropped, so that members
    with a small share learn as fast as others. Samples are drawn by p.

    Args:
        rate: learning rate of u and v, at least 0.
        cost: weight of the entropy that keeps mixtures near uniform, in units of the loss, at least 0; with 0 they may
            end with one member.

    Raises:
        InputError: a number is out of range.
    """
    check_range("rate", rate)
    check_range("cost", cost)
    adam = optax.adam(rate, b1=0.5)

    def init(M: int, N: int) -> Tree:
        logits = {"g": jnp.zeros((M,)), "d": jnp.zeros((N,))}
        return {"logits": logits, "adam": adam.init(logits)}

    def after(state: Tree, evidence: Evidence, key: Array) -> tuple[Array, Array, Tree]:
        del key
        mask, now = evidence.mask, state["logits"]
        p, q = jax.nn.softmax(now["g"]), jax.nn.softmax(now["d"])
        W = normalize(jnp.broadcast_to(q[None], mask.shape), mask, axis=1)
        P = discriminator_weights(mask, 0.0, jnp.broadcast_to(p[:, None], mask.shape))

        def slope(logit: Array, loss: Array, weight: Array, axis: int) -> Array:
            there = mask.any(axis=axis)  # members without opponents have no loss, and must not look cheap because of it
            paid = jnp.sum(weight * jnp.where(mask, loss, 0.0), axis=axis)

            def pays(logit: Array) -> Array:
                logit = jnp.where(there, logit, -1e30)
                price = jnp.sum(jnp.where(there, jax.nn.log_softmax(logit), 0.0)) / jnp.maximum(there.sum(), 1)
                return jnp.sum(jax.nn.softmax(logit) * paid) - cost * price

            return jax.grad(pays)(logit)

        grads = {"g": slope(now["g"], evidence.loss_g, W, 1), "d": slope(now["d"], evidence.loss_d, P, 0)}
        updates, memory = adam.update(grads, state["adam"])
        return W, P, {"logits": optax.apply_updates(now, updates), "adam": memory}

    return Pairing(init, after, mixture=lambda state: jax.nn.softmax(state["logits"]["g"]))


def nash(every: int = 100, explore: float = 0.1, own: float = 0.0, iterations: int = 1000) -> Pairing:
    """Mixtures p and q form the equilibrium of the held-out payoff `fool`, which one side raises and the other lowers.

    These are the meta-strategies of DO-GAN (Aung et al. 2022, CVPR), for a population that goes on training: no members
    are added or pruned. Regret matching+ solves for them inside the program after each new payoff. Rows of W are q and
    columns of P are p, except for the share `explore`, so that every member goes on learning. Samples are drawn by p.

    Give some `own`. Without it, all discriminators learn the same: columns of the payoff are alike, and the equilibrium
    is pure, with all weight on the generator that discriminators know least, until the next payoff names another.

    Args:
        every: number of steps between two payoffs, at least 1.
        explore: share of both weights that is spread over all members that play, in [0, 1].
        own: share of each discriminator's weight on its own generator, in [0, 1].
        iterations: iterations of the solver, at least 1.

    Raises:
        InputError: a number is out of range.
    """
    check_share("explore", explore)
    for name, value in (("every", every), ("iterations", iterations)):
        if not isinstance(value, int) or value < 1:
            raise InputError(f"{name} is {value}; give a whole number, at least 1")

    def after(state: Tree, evidence: Evidence, key: Array) -> tuple[Array, Array, Tree]:
        del key
        assert evidence.payoff is not None
        mask, payoff = evidence.mask, jnp.where(evidence.mask, evidence.payoff, 0.5)
        there = {"rows": mask.any(axis=1), "columns": mask.any(axis=0)}
        solve = lambda payoff: dict(
            zip("pq", metagame.regret_matching(payoff, **there, iterations=iterations), strict=True)
        )
        # Replicas share the step, so `vmap` keeps the `cond` and only one branch runs.
        state = jax.lax.cond(evidence.step % every == 0, solve, lambda payoff: state, payoff)
        spread = lambda share, there: (1.0 - explore) * share + explore * there / jnp.maximum(there.sum(), 1)
        p, q = spread(state["p"], there["rows"]), spread(state["q"], there["columns"])
        W = normalize(jnp.broadcast_to(q[None], mask.shape), mask, axis=1)
        return W, discriminator_weights(mask, own, jnp.broadcast_to(p[:, None], mask.shape)), state

    return Pairing(
        lambda M, N: {"p": jnp.full((M,), 1.0 / M, float), "q": jnp.full((N,), 1.0 / N, float)},
        after,
        members=driven(own),
        asks=frozenset({"payoff"}),
        payoff_every=every,
        mixture=lambda state: state["p"],
    )
