"""The cost of traced programs: arrays that are sent, and products in loops, by hand."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec

from ensgan.devices import counting, mesh


def test_loops_branches_and_kinds_are_counted():
    def work(x):  # [2, 4] float32 and bfloat16 of a device
        x = jax.lax.fori_loop(0, 3, lambda _, x: jax.lax.psum(x, "data"), x)  # of known length: a scan
        x = jax.lax.cond(x[0, 0] > 0, lambda x: jax.lax.psum(x, "data"), lambda x: x, x)
        half = jax.lax.all_gather(x.astype(jnp.bfloat16), "member")
        shifted = jax.lax.ppermute(x, "data", [(0, 1), (1, 0)])
        return jax.lax.psum(x + shifted, ("member", "data")) + half.sum(), jax.lax.psum_scatter(x, "member")

    there, spec = mesh.make(2, 2), PartitionSpec("member", "data")
    out = (spec, PartitionSpec(("member", "data")))
    spread = jax.jit(jax.shard_map(work, mesh=there, in_specs=spec, out_specs=out, check_vma=False))
    traced = spread.trace(jax.ShapeDtypeStruct((4, 8), jnp.float32))
    found = {row[:2]: row[2:] for row in counting.collectives(traced.jaxpr, {"member": 2, "data": 2})}
    assert found == {
        ("all-reduce", "data"): (4, 4 * 32, 4 * 32),
        ("all-gather", "member"): (1, 2 * 16, 16),
        ("permute", "data"): (1, 32, 32),
        ("all-reduce", "member,data"): (1, 32, 48),
        ("reduce-scatter", "member"): (1, 32, 16),
    }


def test_products_of_every_turn_of_a_loop_are_counted():
    def work(x, w):
        x = jax.lax.scan(lambda x, _: (x @ w, None), x, None, length=5)[0]
        return jax.lax.map(lambda row: jax.lax.cond(row[0] > 0, lambda r: w @ r, lambda r: r, row), x)

    x, w = jax.ShapeDtypeStruct((3, 8), jnp.float32), jax.ShapeDtypeStruct((8, 8), jnp.float32)
    traced = jax.jit(work).trace(x, w)
    assert counting.repeated_flops(traced.jaxpr) == 4 * 2 * 3 * 8 * 8 + 2 * 2 * 8 * 8
    kernel, layout = jax.ShapeDtypeStruct((3, 3, 2, 6), jnp.float32), ("NHWC", "HWIO", "NHWC")
    convolve = lambda x, k: jax.lax.conv_general_dilated(x, k, (1, 1), "SAME", dimension_numbers=layout)
    looped = jax.jit(lambda xs, k: jax.lax.map(lambda x: convolve(x, k), xs))
    traced = looped.trace(jax.ShapeDtypeStruct((7, 1, 4, 4, 2), jnp.float32), kernel)
    assert counting.repeated_flops(traced.jaxpr) == 6 * 2 * (4 * 4 * 6) * (3 * 3 * 2)


def test_bytes_of_arrays_and_of_their_shapes():
    tree = {"a": jax.ShapeDtypeStruct((3, 4), jnp.bfloat16), "b": [np.zeros(5, np.int8), np.zeros((), np.float64)]}
    assert counting.size_in_bytes(tree) == 24 + 5 + 8
    assert counting.size_in_bytes(()) == 0


def test_what_no_result_needs_is_not_sent():
    def work(x):
        _ = jax.lax.psum(x, "data") * 2.0
        return x + 1

    there, spec = mesh.make(1, 2), PartitionSpec("data")
    spread = jax.jit(jax.shard_map(work, mesh=there, in_specs=spec, out_specs=spec, check_vma=False))
    traced = spread.trace(jax.ShapeDtypeStruct((4,), jnp.float32))
    assert counting.collectives(traced.jaxpr, {"member": 1, "data": 2}) == ()


def test_a_program_without_loops_repeats_nothing():
    traced = jax.jit(lambda x: x @ x).trace(jax.ShapeDtypeStruct((4, 4), jnp.float32))
    assert counting.repeated_flops(traced.jaxpr) == 0.0
    silent = SimpleNamespace(cost_analysis=lambda: None)  # as some backends are
    assert counting.flops_of(traced, silent) == 0.0
    loud = SimpleNamespace(cost_analysis=lambda: {"flops": 128})
    assert counting.flops_of(traced, loud) == 128.0
