"""A loss per member, and micro-batches, by arithmetic."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

from ensgan import losses
from ensgan.losses import microbatch, per_member
from ensgan.types import InputError


def test_a_loss_per_member_is_each_members_own():
    generators = [losses.hinge, losses.non_saturating, losses.hinge]
    discriminators = [losses.least_squares, losses.wasserstein]
    mixed = per_member(generators, discriminators)
    k_s, k_r = jax.random.split(jax.random.key(0))
    s, r = jax.random.normal(k_s, (3, 2, 4)), jax.random.normal(k_r, (1, 2, 4))
    real, fake, generator = mixed.real(r[0]), mixed.fake(s, r), mixed.generator(s, r)
    for j in range(2):
        np.testing.assert_array_equal(real[j], discriminators[j].real(r[0, j]))
        for i in range(3):
            np.testing.assert_array_equal(fake[i, j], discriminators[j].fake(s[i, j], r[0, j]))
            np.testing.assert_array_equal(generator[i, j], generators[i].generator(s[i, j], r[0, j]))
    assert mixed.logit == "uncalibrated"
    assert not mixed.relativistic


def test_a_loss_per_member_keeps_what_all_discriminators_declare():
    mixed = per_member([losses.hinge] * 2, [losses.minimax, losses.non_saturating])
    assert mixed.logit == "log_ratio"
    assert per_member([losses.relativistic], [losses.relativistic]).relativistic


def test_losses_per_member_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="empty list"):
        per_member([], [losses.hinge])
    with pytest.raises(InputError, match="mixes relativistic and plain"):
        per_member([losses.hinge], [losses.relativistic])
    for count in (1, 3):
        mixed = per_member([losses.hinge] * count, [losses.hinge, losses.minimax])
        with pytest.raises(InputError, match=f"{count} losses for 2 generators"):
            mixed.generator(jnp.zeros((2, 2, 4)), jnp.zeros((1, 2, 4)))


def test_losses_by_name_and_what_does_not_go_together():
    mixed = losses.mixed(("hinge", "minimax"), ("hinge",))
    assert (mixed.roles.start["loss_g"].tolist(), mixed.roles.start["loss_d"].tolist()) == ([0, 1], [0])
    with pytest.raises(InputError, match="unknown loss 'bce'; known: hinge"):
        losses.mixed(("bce",), ("hinge",))
    with pytest.raises(InputError, match="give losses with one logit"):
        per_member([losses.mad()], [losses.mad()])
    with pytest.raises(InputError, match="mixes relativistic"):
        losses.by_discriminator([losses.hinge, losses.relativistic])


def test_micro_batches_by_hand():
    # Two of each: D_0 tells G_0 from the data and takes G_1 for data with weight .3; s = 1 for G_0, −1 for G_1.
    loss = microbatch(losses.non_saturating, 0.3, 2, 2)
    s, r = jnp.array([1.0, -1.0])[:, None, None] * jnp.ones((1, 2, 1)), jnp.zeros((1, 2, 1))
    up, down = 1.313262, 0.313262  # softplus(1), softplus(−1)
    # With P = ½: D_0 pays softplus(1) + .3 softplus(1), D_1 for G_0 .3 softplus(−1), for G_1 softplus(−1).
    np.testing.assert_allclose(0.5 * loss.fake(s, r)[..., 0], [[up, 0.3 * down], [0.3 * up, down]], rtol=1e-5)
    # With W = ½: G_0 wants D_0 to say real, softplus(−1), and D_1 to say fake, .3 softplus(1).
    np.testing.assert_allclose(0.5 * loss.generator(s, r)[..., 0], [[down, 0.3 * up], [0.3 * down, up]], rtol=1e-5)
    np.testing.assert_allclose(loss.real(r[0]), losses.non_saturating.real(r[0]))


@pytest.mark.parametrize(("M", "N"), [(2, 5), (5, 2), (3, 3)])
def test_micro_batches_of_the_saturating_game_are_the_papers_value_function(M, N):
    s, r = jax.random.normal(jax.random.key(0), (M, N, 1)), jnp.zeros((1, N, 1))
    loss, value = microbatch(losses.minimax, 0.7, M, N), 0.0
    for j in range(N):
        own = [i for i in range(M) if i % min(M, N) == j % min(M, N)]
        others = [i for i in range(M) if i not in own]
        value += np.mean([np.log(1 - 1 / (1 + np.exp(-s[i, j, 0]))) for i in own])
        value += 0.7 * np.mean([np.log(1 / (1 + np.exp(-s[i, j, 0]))) for i in others])
    assert float(loss.fake(s, r).sum() / M) == pytest.approx(-value, rel=1e-5)  # discriminators raise it
    assert float(loss.generator(s, r).sum() / N) == pytest.approx(value, rel=1e-5)  # generators lower it
    some = loss.roles.of(jnp.array([[0] * N, [1] * N]), jnp.arange(N), {})  # of opponents, as the kernel asks for them
    np.testing.assert_allclose(some.fake(s[:2], r), loss.fake(s, r)[:2], rtol=1e-6)
    np.testing.assert_allclose(some.generator(s[:2], r), loss.generator(s, r)[:2], rtol=1e-6)


def test_without_others_a_micro_batch_is_that_of_the_own_generator():
    s, r = jax.random.normal(jax.random.key(0), (3, 3, 4)), jnp.zeros((1, 3, 4))
    loss, own = microbatch(losses.hinge, 0.0, 3, 3), np.eye(3)[..., None]
    np.testing.assert_allclose(loss.fake(s, r) / 3, own * losses.hinge.fake(s, r), rtol=1e-6)
    np.testing.assert_allclose(loss.generator(s, r) / 3, own * losses.hinge.generator(s, r), rtol=1e-6)


def test_micro_batches_that_cannot_be_are_refused():
    with pytest.raises(InputError, match="the loss of microbatch is relativistic; give one plain loss"):
        microbatch(losses.relativistic, 0.5, 2, 2)
    with pytest.raises(InputError, match="differs between members"):
        microbatch(per_member([losses.hinge] * 2, [losses.hinge] * 2), 0.5, 2, 2)
    with pytest.raises(InputError, match="alpha is -1"):
        microbatch(losses.hinge, -1.0, 2, 2)
    with pytest.raises(InputError, match="made for 2 generators and 3 discriminators, but there are 2 and 2"):
        toys.game(2, 2, loss=microbatch(losses.hinge, 0.5, 2, 3))
