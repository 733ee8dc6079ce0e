"""Transport: closed forms, samples on a line, and the limits of Sinkhorn's divergence."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
import scipy.stats
from normals import FAKE, REAL

from ensgan import metrics
from ensgan.types import InputError


@pytest.mark.parametrize("p", [1, 2])
def test_the_wasserstein_distance_is_its_closed_form_and_scipys(p):
    shift = np.array([3.0, 0.0, -4.0, 0.0])
    assert metrics.wasserstein(REAL, np.random.default_rng(0).permutation(REAL) + shift, p) == pytest.approx(
        5.0, rel=1e-9
    )
    x, y = REAL[:, :1], FAKE[:, :1]
    want = (np.abs(np.sort(x, 0) - np.sort(y, 0)) ** p).mean() ** (1 / p)
    assert metrics.wasserstein(x, y, p) == pytest.approx(want, rel=1e-9)
    if p == 1:
        assert want == pytest.approx(scipy.stats.wasserstein_distance(x[:, 0], y[:, 0]), rel=1e-9)
    assert metrics.sliced_wasserstein(x, y, p) == pytest.approx(want, rel=1e-9)  # on a line there is one direction
    assert metrics.wasserstein(REAL, FAKE, p) >= metrics.sliced_wasserstein(REAL, FAKE, p)
    with pytest.raises(InputError, match="60 reals and 59 fakes; give as many of both"):
        metrics.wasserstein(REAL, FAKE[:59], p)
    with pytest.raises(InputError, match="p is 3"):
        metrics.sliced_wasserstein(REAL, FAKE, 3)


def test_the_sliced_distance_of_a_shift_is_its_closed_form():
    shift = np.array([3.0, 0.0, -4.0, 0.0])  # the mean of ⟨θ, δ⟩² over the sphere is ‖δ‖²/D
    got = metrics.sliced_wasserstein(REAL, REAL + shift[None], directions=4000) ** 2
    assert got == pytest.approx(25 / 4, rel=0.05)
    few = [metrics.sliced_wasserstein(REAL, FAKE, 1, directions=1, seed=s) for s in range(3)]
    assert len(set(few)) == 3


def test_the_sinkhorn_divergence_between_its_two_limits():
    x, y = REAL[:40, :2], FAKE[:40, :2]
    exact = metrics.wasserstein(x, y) ** 2
    means = ((x.mean(0) - y.mean(0)) ** 2).sum()
    assert metrics.sinkhorn(x, y, blur=0.002, tolerance=3e-3, iterations=20_000).value == pytest.approx(exact, rel=0.02)
    assert metrics.sinkhorn(x, y, blur=1e3).value == pytest.approx(means, rel=0.01)
    got, back = metrics.sinkhorn(x, y), metrics.sinkhorn(y, x)
    assert means < got.value < exact * 1.02
    assert got.error <= 1e-3
    assert got.potential_real.shape == got.potential_fake.shape == (40,)
    scale = [float(metrics.bandwidth(jnp.asarray(z, jnp.float32))) for z in (x, y)]
    same_blur = metrics.sinkhorn(y, x, blur=0.05 * scale[0] / scale[1])
    assert same_blur.value == pytest.approx(got.value, rel=0.02)  # symmetric
    assert back.value != got.value
    assert abs(metrics.sinkhorn(x, x[::-1]).value) < 1e-3 * exact
    far = np.array([[3e3, -4e3]])  # a shift adds its square and a term in the difference of means, whatever its size
    moved = metrics.sinkhorn(x, y + far)
    want = 25e6 - 2 * ((x.mean(0) - y.mean(0)) @ far[0])
    assert moved.value - got.value == pytest.approx(want, rel=1e-9)
    assert moved.potential_real.std() > 1e3
    with pytest.raises(InputError, match=r"misses the marginals by .* after 2 steps"):
        metrics.sinkhorn(x, y, iterations=2)
    with pytest.raises(InputError, match="blur is 0"):
        metrics.sinkhorn(x, y, blur=0.0)


def test_sinkhorns_potentials_are_its_derivative_in_the_weights():
    # Twice the same point is its double weight: the value moves by the potential above its mean, over n.
    x, y = REAL[:40, :2], FAKE[:40, :2]
    whole = metrics.sinkhorn(x, y, tolerance=1e-4)
    far = int(np.argmax(np.abs(whole.potential_real - whole.potential_real.mean())))
    unit = lambda z: float(metrics.bandwidth(jnp.asarray(z, jnp.float32)))
    doubled = np.concatenate([x, x[far : far + 1]])
    more = metrics.sinkhorn(doubled, y, tolerance=1e-4, blur=0.05 * unit(x) / unit(doubled))
    want = (whole.potential_real[far] - whole.potential_real.mean()) / 41
    assert more.value - whole.value == pytest.approx(want, rel=0.15)
