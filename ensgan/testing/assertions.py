"""Common parts of the checks: evidence to try plugs with, and assertions that name the broken promise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ensgan.types import Array, Evidence, Pairing, Tree


def evidence_of(pairing: Pairing, mask: Array, step: int) -> Evidence:
    """Random evidence for a pairing, with everything that it asks for."""
    M, N = mask.shape
    k_g, k_d, k_f, k_m = jax.random.split(jax.random.key(step), 4)
    dx, fool = jax.random.normal(k_m, (M, N, 4)), jax.nn.sigmoid(jax.random.normal(k_f, (M, N)))
    gram = jnp.einsum("mjf,mkf->mjk", dx, dx) if "gram" in pairing.asks else None
    payoff = fool if "payoff" in pairing.asks else None
    g, d = jax.random.normal(k_g, (M, N)), jax.random.normal(k_d, (M, N))
    g = jnp.abs(g) if pairing.positive else g
    return Evidence(g, d, fool, mask, gram, payoff, jnp.int32(step))


def matrices(evidence: Evidence, change: Callable[[Array], Array]) -> Evidence:
    """Applies `change` to all fields of the evidence indexed by generator and discriminator, except the mask."""
    fields = {f: getattr(evidence, f) for f in ("loss_g", "loss_d", "fool", "gram", "payoff")}
    return evidence._replace(**{f: change(a) for f, a in fields.items() if a is not None})


def sums_to_one(name: str, weight: Array, mask: Array, axis: int, line: str) -> None:
    """Raises AssertionError unless rows or columns sum to 1."""
    w, m = np.asarray(weight), np.asarray(mask)
    assert w.shape == m.shape, f"{name} has shape {w.shape}; it must be {m.shape}"
    assert np.isfinite(w).all(), f"{name} is not finite"
    assert (w >= 0).all(), f"{name} has negative weights"
    assert (w[~m] == 0).all(), f"{name} has weight on masked pairs"
    total = w.sum(axis)[m.any(axis)]
    assert np.allclose(total, 1.0, atol=1e-5), f"{name} must sum to 1 along each {line}; got {total.tolist()}"


def is_mixture(weights: Any, M: int) -> None:
    """Raises AssertionError unless the weights of M generators are a mixture."""
    w = np.asarray(weights)
    fits = w.shape == (M,) and (w >= 0).all() and np.isclose(w.sum(), 1.0, atol=1e-5)
    assert fits, f"the mixture is {w.tolist()}; it must be {M} numbers ≥ 0 that sum to 1"


def finite(what: str, tree: Any) -> None:
    """Raises AssertionError unless all leaves are finite."""
    for leaf in jax.tree.leaves(tree):
        assert np.isfinite(np.asarray(leaf, np.float64)).all(), f"{what} is not finite"


def same_form(what: str, old: Tree, new: Tree) -> None:
    """Raises AssertionError unless two trees agree in structure, shapes and types."""
    form = lambda tree: [f"{jnp.asarray(leaf).dtype}{list(jnp.shape(leaf))}" for leaf in jax.tree.leaves(tree)]
    assert jax.tree.structure(old) == jax.tree.structure(new), f"{what} changed its structure"
    assert form(old) == form(new), f"{what} changed its form from {form(old)} to {form(new)}"


def close(what: str, got: Tree, want: Tree, tolerance: float = 1e-5) -> None:
    """Raises AssertionError unless two trees are equal up to rounding."""
    assert jax.tree.structure(got) == jax.tree.structure(want), f"{what} gives a tree with another structure"
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        assert np.allclose(a, b, atol=tolerance * (1.0 + np.abs(b).max(initial=0.0))), f"{what} gives another result"
