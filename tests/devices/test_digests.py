"""Checksums of arrays: the same wherever they are, and another one after any change."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from ensgan.devices import digests as module
from ensgan.devices.digests import digests
from ensgan.devices.mesh import make

RNG = np.random.default_rng(0)
TREE = {
    "a": jnp.asarray(RNG.normal(size=(8, 3, 5)), np.float32),
    "half": jnp.asarray(RNG.normal(size=(8, 4)), jnp.bfloat16),
    "count": jnp.asarray([1, -2, 3], np.int32),
    "flag": jnp.asarray([True, False, True]),
    "byte": jnp.arange(7, dtype=np.uint8),
    "scalar": jnp.asarray(0.5),
    "none": jnp.zeros((0, 3)),
    "key": jax.random.key(3),
}


def test_a_checksum_by_hand():
    two = np.array([3, 5], np.uint32)
    spread = 2654435761
    assert digests({"x": two}) == {"['x']": (3 * 1 + 5 * (spread | 1)) % 2**32}


def test_host_device_and_mesh_agree():
    here = digests(TREE)
    plain = [jax.random.key_data(leaf) if name == "key" else leaf for name, leaf in sorted(TREE.items())]
    assert [int(value) for value in module._on_devices(plain)] == list(here.values())
    spread = NamedSharding(make(member=4, data=2), PartitionSpec("member"))
    names = ("a", "half")
    apart = {name: jax.device_put(TREE[name], spread) for name in names}
    assert digests(apart) == {f"['{name}']": here[f"['{name}']"] for name in names}


def test_numbers_of_64_bits():
    x = {"x": RNG.normal(size=(4, 3)), "n": np.array([2**40, -1])}
    with jax.enable_x64(True):
        there = jax.device_get(module._on_devices([jnp.asarray(x["n"]), jnp.asarray(x["x"])]))
    assert [int(value) for value in there] == list(digests(x).values())


@pytest.mark.parametrize("name", ["a", "half", "count", "byte"])
def test_every_flipped_bit_shows(name):
    right = np.asarray(TREE[name])
    before = digests({"x": right})
    for byte in range(right.nbytes):
        for bit in range(8):
            wrong = bytearray(right.tobytes())
            wrong[byte] ^= 1 << bit
            assert digests({"x": np.frombuffer(wrong, right.dtype).reshape(right.shape)}) != before


def test_exchanged_numbers_show():
    x = np.arange(20, dtype=np.float32)
    assert digests({"x": x}) != digests({"x": x[[1, 0, *range(2, 20)]]})
