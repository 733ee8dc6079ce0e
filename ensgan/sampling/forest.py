"""A judge that is a forest over the logits of all discriminators."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ensgan.types import Array

DEPTH = 8  # of trees


def forest_of(x: np.ndarray, real: np.ndarray, seed: int) -> tuple[tuple[Any, Array], np.ndarray]:
    """A random forest on `x` `[n, N]` as the first arguments of `walked`, and its out-of-bag logits `[n]`."""
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(200, max_depth=DEPTH, min_samples_leaf=0.05, oob_score=True, random_state=seed)
    forest.fit(x.astype(np.float32), real)
    trees = [tree.tree_ for tree in forest.estimators_]
    size = max(tree.node_count for tree in trees)

    def padded(field: str, dtype: Any) -> Array:
        rows = [np.resize(getattr(tree, field), size) for tree in trees]  # what is past the end is never reached
        return jnp.asarray(np.stack(rows).astype(dtype))

    share = [tree.value[:, 0, 1] / tree.value[:, 0].sum(-1) for tree in trees]
    nodes = {
        "left": padded("children_left", np.int32),
        "right": padded("children_right", np.int32),
        "feature": padded("feature", np.int32),
        "threshold": padded("threshold", np.float32),
        "share": jnp.asarray(np.stack([np.resize(s, size) for s in share]), jnp.float32),
    }
    least = 1.0 / (len(real) + 2.0)
    logit = lambda p: np.log(p) - np.log1p(-p)
    outside = logit(np.clip(np.nan_to_num(forest.oob_decision_function_[:, 1], nan=0.5), least, 1.0 - least))
    return (nodes, jnp.float32(least)), outside


def walked(nodes: dict[str, Array], least: Array, logit_Nn: Array) -> Array:
    """The logit of the mean share of reals in the leaves where samples end."""
    n = logit_Nn.shape[1]

    def one(tree: dict[str, Array]) -> Array:
        def down(_: Any, node: Array) -> Array:
            value = logit_Nn[jnp.maximum(tree["feature"][node], 0), jnp.arange(n)]
            below = jnp.where(value <= tree["threshold"][node], tree["left"][node], tree["right"][node])
            return jnp.where(tree["left"][node] < 0, node, below)

        return tree["share"][jax.lax.fori_loop(0, DEPTH, down, jnp.zeros(n, jnp.int32))]

    p = jnp.clip(jax.vmap(one)(nodes).mean(0), least, 1.0 - least)
    return jnp.log(p) - jnp.log1p(-p)
