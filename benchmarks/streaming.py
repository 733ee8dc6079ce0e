"""Memory and time of discriminators: all at once, one at a time with a second forward pass, and streamed.

    python benchmarks/streaming.py [--size 32] [--members 4] [--rounds 5] [--out rows.jsonl]

Forward and backward pass of DCGAN discriminators for both players. `together` holds the activations of all. `again`
runs them in a loop and computes each once more for the backward pass; `remat` in the library does this, and it works
for every pairing. `streamed` finishes one discriminator before the next begins and computes nothing twice; this is
possible if the weights of pairs do not depend on the logits of other discriminators. All three give the same gradients,
which is checked.
"""

import argparse
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np
from rows import emit

from ensgan import networks
from ensgan.game.execution import member_vjp
from ensgan.networks.convolution import with_products
from ensgan.runs import directory as rundir


def main():
    """Measures and prints one JSON row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=32, help="height and width of the images")
    parser.add_argument("--width", type=int, default=32, help="number of channels of the discriminators' first layer")
    parser.add_argument("--members", type=int, default=4, help="number of members, M = N")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument(
        "--rounds", type=int, default=5, help="number of timed rounds; 0 compiles and reports memory only"
    )
    parser.add_argument("--out", help="also append the row to this file")
    options = parser.parse_args()
    N, num = options.members, (options.members + 1) * options.batch_size
    shape = (options.size, options.size, 3)
    network = networks.dcgan_discriminator(shape, width=options.width)
    apply = with_products(network.apply) if jax.default_backend() == "cpu" else network.apply
    params, state = jax.jit(jax.vmap(network.init))(jax.random.split(jax.random.key(0), N))
    x = jax.random.uniform(jax.random.key(1), (num, *shape), minval=-1.0)
    forward = lambda params, x, state: (apply(params, state, x, train=True, rng=None)[0], ())
    # Generators want logits to rise and discriminators to fall: c_G = (σ(s) − 1)/n and c_D = σ(s)/n.
    c_D, ratio = (lambda s: jax.nn.sigmoid(s) / num), (lambda s: 1.0 - 1.0 / jax.nn.sigmoid(s))
    scaled = lambda s, dx: ratio(s).reshape(-1, 1, 1, 1) * dx

    def at_once(how):
        def run(params, state, x):
            s, _, pull = member_vjp(forward, how, N, (0, None, 0), wrt=2)(params, x, state)
            grads, dx = pull(c_D(s))
            return grads, sum(scaled(s[j], dx[j]) for j in range(N))

        return run

    def streamed(params, state, x):
        def one(total, member):
            s, pull, _ = jax.vjp(lambda params, x: forward(params, x, member[1]), member[0], x, has_aux=True)
            grads, dx = pull(c_D(s))
            return total + scaled(s, dx), grads

        total, grads = jax.lax.scan(one, jnp.zeros_like(x), (params, state))
        return grads, total

    how = "unroll" if jax.default_backend() == "cpu" else "vmap"
    ways = {"together": at_once(how), "again": at_once("remat"), "streamed": streamed}
    ways = {name: jax.jit(run).lower(params, state, x).compile() for name, run in ways.items()}
    if options.rounds:
        outs = [jax.tree.leaves(run(params, state, x)) for run in ways.values()]
        for other in outs[1:]:
            error = max(float(np.abs(a - b).max() / np.abs(a).max()) for a, b in zip(outs[0], other, strict=True))
            assert error < 1e-3, f"gradients differ by {error:.1e}"

    times = {name: [] for name in ways}
    for _ in range(options.rounds):
        for name, run in ways.items():
            start = time.perf_counter()
            jax.block_until_ready(run(params, state, x))
            times[name].append(time.perf_counter() - start)
    median = {name: statistics.median(each) for name, each in times.items() if each}
    row = {"benchmark": "streaming", "size": options.size, "width": options.width, "M": N, "N": N}
    row |= {"B": options.batch_size, "rounds": options.rounds}
    row |= {"MiB": {name: round(run.memory_analysis().temp_size_in_bytes / 2**20) for name, run in ways.items()}}
    row |= {"times_together": {name: round(value / median["together"], 2) for name, value in median.items()}}
    emit(row | rundir.versions(), options.out)


if __name__ == "__main__":
    main()
