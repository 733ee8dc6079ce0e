"""Time of the convolutions of several members on a CPU, by the form in which a program has them.

Each member has a kernel of its own, on images of its own; the time is that of the value and of both gradients. The
forms are: `apart`, one convolution after the other in one program; `batched`, one convolution under `jax.vmap`;
`loop`, one after the other in `jax.lax.map`; and `products`, batched, as matrix products of patches
(`networks/convolution.py`). Results are compared first; rounds are interleaved, and the row holds medians.

    python benchmarks/convolutions.py [--members 4] [--rounds 15] [--out FILE]
"""

import argparse
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np
from rows import emit

from ensgan.networks.convolution import with_products
from ensgan.runs import directory as rundir


def main():
    """Times the forms of two layers, and prints a row for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--members", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", help="append the rows to this file")
    options = parser.parse_args()
    for layer, (size, ins, outs, kernel, stride) in {
        "3×3": (16, 32, 64, 3, 1),
        "4×4, stride 2": (32, 32, 64, 4, 2),
    }.items():
        keys = jax.random.split(jax.random.key(0))
        w = jax.random.normal(keys[0], (options.members, kernel, kernel, ins, outs)) * 0.1
        x = jax.random.normal(keys[1], (options.members, 16, size, size, ins))
        took = timed(forms(stride), w, x, options.rounds)
        row = {"benchmark": "convolutions", "layer": layer, "members": options.members, "rounds": options.rounds}
        relative = {form: round(value / took["apart"], 2) for form, value in took.items()}
        row |= {"milliseconds": {form: round(1e3 * value, 2) for form, value in took.items()}, "of apart": relative}
        emit({**row, **rundir.versions()}, options.out)


def forms(stride):
    """The forms of a layer: functions of all kernels and images."""

    def convolved(w, state, x, **_):
        y = jax.lax.conv_general_dilated(x, w, (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        return y, state

    def of(apply):
        return jax.value_and_grad(lambda w, x: jnp.sum(jnp.square(apply(w, (), x)[0])), argnums=(0, 1))

    gradients = of(convolved)

    def apart(w, x):
        every = [gradients(w[k], x[k]) for k in range(len(w))]
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *every)

    return {
        "apart": jax.jit(apart),
        "batched": jax.jit(jax.vmap(gradients)),
        "loop": jax.jit(lambda w, x: jax.lax.map(lambda each: gradients(*each), (w, x))),
        "products": jax.jit(jax.vmap(of(with_products(convolved)))),
    }


def timed(each, w, x, rounds):
    """The median time of each form, in seconds, after a comparison of their results."""
    first = each["apart"](w, x)
    for form in each.values():
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-3, atol=1e-2), form(w, x), first)
    times = {name: [] for name in each}
    for _ in range(rounds):
        for name, form in each.items():
            start = time.perf_counter()
            jax.block_until_ready(form(w, x))
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


if __name__ == "__main__":
    main()
