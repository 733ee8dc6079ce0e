"""Losses by arithmetic, the signs of their gradients, and a loss per member."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

from ensgan import losses, testing
from ensgan.losses import LOSSES, NAMED, microbatch, per_member
from ensgan.types import InputError, Loss

LOG2, LOG3 = np.log(2.0), np.log(3.0)


@pytest.mark.parametrize("name", sorted(set(NAMED) - {"mixed", "microbatch"}))
def test_every_loss_keeps_the_contract(name):
    testing.check_loss(NAMED[name]())


def test_micro_batches_keep_the_contract():
    testing.check_loss(microbatch(losses.non_saturating, 0.3, 2, 4))


# At s = 1 and r = 2. softplus(x) = log(1 + e^x) is 1.313262 at 1, .313262 at -1 and .126928 at -2.
VALUES = {
    "minimax": (0.126928, 1.313262, -1.313262),  # -log σ(2), -log(1 - σ(1)), log(1 - σ(1))
    "non_saturating": (0.126928, 1.313262, 0.313262),  # the last is -log σ(1)
    "least_squares": (0.5, 0.5, 0.0),  # ½(2-1)², ½ 1², ½(1-1)²
    "hinge": (0.0, 2.0, -1.0),  # max(0, 1-2), max(0, 1+1), -1
    "wasserstein": (-2.0, 1.0, -1.0),
    "relativistic": (0.0, 0.313262, 1.313262),  # softplus(1-2), softplus(2-1)
    "relativistic_least_squares": (0.0, 0.0, 1.0),  # (2-1-1)², (2-1)²
}


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_values(name):
    loss, s, r = LOSSES[name], jnp.full((1, 1, 1), 1.0), jnp.full((1, 1, 1), 2.0)
    got = [float(v.squeeze()) for v in (loss.real(r[0]), loss.fake(s, r), loss.generator(s, r))]
    assert got == pytest.approx(VALUES[name], abs=1e-5)


def test_the_other_side_of_the_hinge():
    assert float(losses.hinge.real(jnp.float32(-1.0))) == 2.0  # max(0, 1 + 1)
    assert float(losses.hinge.fake(jnp.float32(-3.0), jnp.float32(0.0))) == 0.0  # max(0, 1 - 3)


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_discriminators_push_reals_up_and_fakes_down_and_generators_the_other_way(name):
    # At s = r = 0, where nobody can tell, no player is at rest but the one that asks for r = s.
    loss, zero = LOSSES[name], jnp.float32(0.0)
    total = lambda s, r: loss.real(r) + loss.fake(s, r)
    d_s, d_r = jax.grad(total, argnums=(0, 1))(zero, zero)
    assert d_r < 0  # descent raises r
    g_s = float(jax.grad(loss.generator)(zero, zero))
    if name == "least_squares":
        assert d_s == 0  # a fake's target is 0
    else:
        assert d_s > 0
    if name == "relativistic_least_squares":
        assert g_s == 0  # r - s = 0 is what generators want
        assert float(jax.grad(loss.generator)(jnp.float32(-1.0), zero)) < 0
    else:
        assert g_s < 0


@pytest.mark.parametrize("name", [n for n in LOSSES if LOSSES[n].logit != "uncalibrated"])
def test_the_logit_at_the_optimum_is_the_log_density_ratio(name):
    # Two points with shares p of reals and q of fakes: the gradient vanishes at log p/q.
    loss, p, q = LOSSES[name], jnp.array([0.8, 0.2]), jnp.array([0.5, 0.5])
    pair = lambda t: (q[:, None] * p[None] * (loss.real(t)[None] + loss.fake(t[:, None], t[None]))).sum()
    best = jnp.log(p / q)
    np.testing.assert_allclose(jax.grad(pair)(best), 0.0, atol=1e-6)
    shift = float(jnp.abs(jax.grad(pair)(best + 1.0)).max())
    assert (shift < 1e-6) == (LOSSES[name].logit == "log_ratio_plus_constant")


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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fake": lambda s, r: s - s.mean()}, "fake is not elementwise"),
        ({"fake": lambda s, r: s.mean()}, "fake gave shape"),
        ({"generator": lambda s, r: r - s}, "declare relativistic=True"),
        ({"real": lambda r: jnp.log(1.0 + jnp.exp(-r))}, "real for logits of size 100 is not finite"),
        ({"generator": lambda s, r: jnp.sqrt(jnp.abs(s))}, "the gradient of generator for logits of size 0"),
        ({"logit": "odds"}, "logit is 'odds'"),
    ],
)
def test_the_contract_check_finds_what_is_broken(change, message):
    with pytest.raises(AssertionError, match=message):
        testing.check_loss(losses.wasserstein._replace(**change))
    assert isinstance(losses.wasserstein, Loss)
    for loss, side in ((losses.mad(), "g"), (losses.mgan(), "g"), (losses.d2(), "d")):
        with pytest.raises(AssertionError, match=rf"numbers of members; declare Roles\(numbered=\('{side}',\)\)"):
            testing.check_loss(loss._replace(roles=loss.roles._replace(numbered=())))


def test_the_classes_of_mad_by_hand():
    # Two generators, one discriminator, one sample each; classes: data, G0, G1.
    p = np.array([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]])
    s, r = jnp.log(jnp.asarray(p, jnp.float32))[:, None, None], jnp.log(jnp.array([[[[0.6, 0.3, 0.1]]]]))
    loss = losses.mad()
    assert loss.roles.heads(2) == 3
    np.testing.assert_allclose(loss.real(r[0]), [[-np.log(0.6)]], rtol=1e-6)
    np.testing.assert_allclose(loss.fake(s, r).ravel(), -np.log([0.3, 0.7]), rtol=1e-6)
    np.testing.assert_allclose(loss.generator(s, r).ravel(), -np.log([0.5, 0.1]), rtol=1e-6)
    np.testing.assert_allclose(loss.roles.judge(s, jnp.arange(1)).ravel(), np.log([0.5 / 0.5, 0.1 / 0.9]), atol=1e-6)
    # The pairs of generator 1 alone, as on a device that holds no other.
    np.testing.assert_allclose(
        loss.roles.of(jnp.array([[1]]), jnp.arange(1), {}).fake(s[1:], r), -np.log([[[0.7]]]), rtol=1e-6
    )


def test_the_classifier_of_mgan_by_hand():
    s = jnp.array([[[[2.0, 0.0, LOG3]]], [[[-1.0, 0.0, LOG3]]]])  # C says 1/4 for G0 and 3/4 for G1
    loss, softplus = losses.mgan(beta=0.5), lambda x: np.log1p(np.exp(x))
    want = softplus(np.array([2.0, -1.0])) - np.log([0.25, 0.75])
    np.testing.assert_allclose(loss.fake(s, s[:1]).ravel(), want, rtol=1e-6)
    want = softplus(np.array([-2.0, 1.0])) - 0.5 * np.log([0.25, 0.75])
    np.testing.assert_allclose(loss.generator(s, s[:1]).ravel(), want, rtol=1e-6)
    plain = losses.mgan(beta=0.0)
    np.testing.assert_allclose(plain.generator(s, s[:1]), losses.non_saturating.generator(s[..., 0], None), rtol=1e-6)
    np.testing.assert_array_equal(loss.roles.judge(s, jnp.arange(1)), s[..., 0])


def test_the_two_discriminators_of_d2_by_hand():
    # D = softplus(logit): at log(e - 1) it is 1, where its logarithm is 0; at log(e^2 - 1) it is 2.
    one, two = np.log(np.expm1(1.0)), np.log(np.expm1(2.0))
    s, r = jnp.full((1, 2, 1), two, jnp.float32), jnp.full((1, 2, 1), one, jnp.float32)
    loss = losses.d2(alpha=0.2, beta=0.1)
    np.testing.assert_allclose(loss.real(r[0]).ravel(), [0.0, 1.0], atol=1e-6)
    np.testing.assert_allclose(loss.fake(s, r).ravel(), [2.0, -0.1 * LOG2], rtol=1e-5)
    np.testing.assert_allclose(loss.generator(s, r).ravel(), [-2.0, 0.1 * LOG2], rtol=1e-5)
    np.testing.assert_allclose(loss.roles.judge(s, jnp.arange(2)).ravel(), [two, -two], rtol=1e-6)
    with pytest.raises(InputError, match="2 losses in turn for 3 discriminators"):
        loss.real(jnp.zeros((3, 1)))
    with pytest.raises(InputError, match="alpha is 0"):
        losses.d2(alpha=0)


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
