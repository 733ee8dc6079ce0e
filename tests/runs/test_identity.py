"""The checksum of members: of all their bits, and of nothing else."""

import jax
import jax.numpy as jnp
import toys

from ensgan.runs.identity import checksum


def test_one_changed_number_of_one_member_changes_the_checksum():
    state = toys.game().init(jax.random.key(0))
    same = jax.tree.map(jnp.copy, state)._replace(step=jnp.int32(5))
    assert checksum(same) == checksum(state)
    for side in ("generators", "discriminators"):
        leaves, form = jax.tree.flatten(getattr(state, side))
        leaves[-1] = leaves[-1] + jnp.zeros_like(leaves[-1]).at[..., -1].set(1)
        assert checksum(state._replace(**{side: form.unflatten(leaves)})) != checksum(state)
