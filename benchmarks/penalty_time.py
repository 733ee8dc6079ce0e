"""Three ways to compute R2: on B fakes drawn by weight (as the library does), on all M·B fakes, and on all, fused.

    python benchmarks/penalty_time.py [--members 8] [--rounds 9] [--out rows.jsonl]

Times a forward and backward pass of the discriminators of `mnist_mlp` for both players, with an R2 penalty. Fused means
that the primal is the pair (logit, its gradient with respect to the input). One pullback then serves the loss and the
penalty, and the generators' gradient needs no pullback: c_G · ∇ₓs. It gives the same result as `all`, which is checked
first; `drawn` is an unbiased estimate of this from a share 1/M of the samples. The costs in units of a forward pass
over M·B fakes, without a shared first layer, are 3 + 5/M for drawn, 8 for all, and 6 for fused.
"""

import argparse
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np
from rows import emit

from ensgan import networks
from ensgan.runs import directory as rundir

GAMMA = 0.1


def main():
    """Measures and prints one JSON row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--members", type=int, default=8, help="M = N")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", help="also append the row to this file")
    options = parser.parse_args()
    M, B = options.members, options.batch_size
    network = networks.mlp(784, (512, 256, 128), 1)
    params = jax.jit(jax.vmap(lambda key: network.init(key)[0]))(jax.random.split(jax.random.key(0), M))
    x = jax.random.uniform(jax.random.key(1), (M * B, 784), minval=-1.0)
    c_D, c_G = jax.random.normal(jax.random.key(2), (2, M, M * B)) / (M * B)
    which = jax.random.permutation(jax.random.key(3), M * B)[:B]
    logit = lambda params, x: network.apply(params, {}, x, train=True, rng=None)[0]
    slope = lambda params, x: jax.grad(lambda x: logit(params, x).sum())(x)
    r2 = lambda params, x: GAMMA / 2 * (slope(params, x) ** 2).sum() / len(x)

    def shared(params, c_D, c_G, x, on):
        """One backward pass for both players, and a separate pass for the penalty."""
        _, pull = jax.vjp(logit, params, x)
        grads, dx = pull(c_D)
        return jax.tree.map(jnp.add, grads, jax.grad(r2)(params, on)), c_G[:, None] / c_D[:, None] * dx

    def fused(params, c_D, c_G, x):
        def both(params):
            s, pull = jax.vjp(lambda x: logit(params, x), x)
            return s, pull(jnp.ones_like(s))[0]

        (_, dx), pull = jax.vjp(both, params)
        return pull((c_D, GAMMA / len(x) * dx))[0], c_G[:, None] * dx

    def every(one):
        def run(params, c_D, c_G, x):
            outs = [one(jax.tree.map(lambda a, j=j: a[j], params), c_D[j], c_G[j], x) for j in range(M)]
            grads = jax.tree.map(lambda *leaves: jnp.stack(leaves), *[grad for grad, _ in outs])
            return grads, sum(dx for _, dx in outs)

        return jax.jit(run).lower(params, c_D, c_G, x).compile()

    ways = {
        "drawn": every(lambda params, c_D, c_G, x: shared(params, c_D, c_G, x, x[which])),
        "all": every(lambda params, c_D, c_G, x: shared(params, c_D, c_G, x, x)),
        "fused": every(fused),
        "none": every(lambda params, c_D, c_G, x: shared(params, c_D, c_G, x, x[:1])),
    }
    one, other = (jax.tree.leaves(ways[name](params, c_D, c_G, x)) for name in ("all", "fused"))
    error = max(float(np.abs(a - b).max() / np.abs(a).max()) for a, b in zip(one, other, strict=True))
    assert error < 1e-4, f"fused and separate gradients differ by {error:.1e}"

    times = {name: [] for name in ways}
    for _ in range(options.rounds):
        for name, run in ways.items():
            start = time.perf_counter()
            jax.block_until_ready(run(params, c_D, c_G, x))
            times[name].append(time.perf_counter() - start)
    median = {name: statistics.median(each) for name, each in times.items()}
    row = {
        "benchmark": "penalty_time",
        "M": M,
        "N": M,
        "B": B,
        "rounds": options.rounds,
        "milliseconds": {name: round(1e3 * value, 2) for name, value in median.items()},
        "times_drawn": {name: round(value / median["drawn"], 2) for name, value in median.items()},
        "gflops": {name: round(run.cost_analysis()["flops"] / 1e9, 2) for name, run in ways.items()},
        "error_of_fused": float(f"{error:.1e}"),
        **rundir.versions(),
    }
    emit(row, options.out)


if __name__ == "__main__":
    main()
