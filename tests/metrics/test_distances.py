"""Distances of samples against closed forms, outside implementations and double loops; intervals, floors, refusals.

`docs/precision.md` is the table of these tolerances.
"""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
import scipy.stats

from ensgan import metrics
from ensgan.metrics.gaussian import Moments
from ensgan.metrics.kernels import cubic_kernel, gaussian_kernel, unbiased_mmd
from ensgan.types import InputError


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


REAL, FAKE = normal(60, 4), 1.3 * normal(60, 4, seed=1) + 0.4


def relative(x, y):
    return abs(x - y) / abs(y)


def test_the_frechet_distance_is_its_closed_form():
    at = lambda mean, variance: Moments(np.array([mean]), np.array([[variance]]), 100)
    assert metrics.frechet_distance(at(1.0, 4.0), at(-2.0, 9.0)) == pytest.approx(9.0 + 1.0, rel=1e-12)
    # Covariances that commute: the sum of squared differences of standard deviations along common axes.
    turn = np.linalg.qr(normal(6, 6))[0]
    a, b = np.linspace(0.1, 5.0, 6), np.linspace(3.0, 0.5, 6)
    of = lambda s, mean: Moments(np.full(6, mean), turn @ np.diag(s**2) @ turn.T, 100)
    assert metrics.frechet_distance(of(a, 0.0), of(b, 0.5)) == pytest.approx(6 * 0.25 + ((a - b) ** 2).sum(), rel=1e-10)


def test_the_frechet_distance_is_that_of_scipys_square_root():
    x, y = metrics.moments(REAL), metrics.moments(FAKE)
    root = scipy.linalg.sqrtm(x.covariance @ y.covariance).real
    want = ((x.mean - y.mean) ** 2).sum() + np.trace(x.covariance + y.covariance - 2 * root)
    assert relative(metrics.frechet_distance(x, y), want) < 1e-10
    np.testing.assert_allclose(x.covariance, np.cov(REAL.T), rtol=1e-12)
    assert metrics.frechet_distance(x, x) < 1e-12
    turn = np.linalg.qr(normal(4, 4, seed=5))[0]  # neither a rotation nor a shift of both changes it
    moved = [metrics.moments(part @ turn + 7.0) for part in (REAL, FAKE)]
    assert relative(metrics.frechet_distance(*moved), want) < 1e-10


def test_a_frechet_distance_refuses_covariances_without_full_rank():
    with pytest.raises(InputError, match=r"there are 4 fakes with 4 features each; .* give at least 5"):
        metrics.moments(REAL[:4], "fakes")
    assert metrics.moments(REAL[:5]).n == 5
    with pytest.raises(InputError, match="moments are of 4 and 3 features"):
        metrics.frechet_distance(metrics.moments(REAL), metrics.moments(FAKE[:, :3]))


def test_kid_is_its_double_loop_and_scikit_learns_kernel():
    pairwise = pytest.importorskip("sklearn.metrics.pairwise")
    np.testing.assert_allclose(
        cubic_kernel(REAL, FAKE), pairwise.polynomial_kernel(REAL, FAKE, degree=3, gamma=1 / 4, coef0=1), rtol=1e-12
    )
    k = lambda a, b: (a @ b / 4 + 1) ** 3
    x, y = REAL[:7], FAKE[:9]
    same = lambda z: np.mean([k(z[a], z[b]) for a in range(len(z)) for b in range(len(z)) if a != b])
    want = same(x) + same(y) - 2 * np.mean([k(a, b) for a in x for b in y])
    assert unbiased_mmd(cubic_kernel(x, x), cubic_kernel(y, y), cubic_kernel(x, y)) == pytest.approx(want, rel=1e-10)
    whole = metrics.kid(REAL, FAKE, subsets=1, size=60)
    many = metrics.kid(REAL, FAKE, subsets=400, size=20)
    assert many.value == pytest.approx(whole.value, abs=4 * many.error / np.sqrt(400))
    assert many.error > 0 == whole.error
    with pytest.raises(InputError, match="fewer than a subset of 1000: give more, or size=60"):
        metrics.kid(REAL, FAKE)


def test_the_mmd_of_matrices_is_that_of_samples_but_for_the_diagonal():
    squared = ((REAL[:, None] - FAKE[None]) ** 2).sum(-1)
    cross = gaussian_kernel(squared, 3.0)
    want = np.mean([np.exp(-squared / (2 * h * 3.0)) for h in (0.25, 1.0, 4.0)], axis=0)
    np.testing.assert_allclose(cross, want, rtol=1e-12)
    inside = [gaussian_kernel(((z[:, None] - z[None]) ** 2).sum(-1), 3.0) for z in (REAL, FAKE)]
    got = unbiased_mmd(*inside, cross) + 2 * cross.mean() - 2 * (cross.sum() - np.trace(cross)) / (60 * 59)
    single = metrics.mmd(jnp.asarray(REAL, jnp.float32), jnp.asarray(FAKE, jnp.float32), 3.0)
    assert got == pytest.approx(float(single.value), abs=1e-5)


def test_neighbours_by_hand():
    line = np.arange(7.0)[:, None]
    at = lambda *xs: np.array(xs)[:, None]
    # With k = 1 every real's ball has radius 1. Fakes: 3.5 lies in two balls, 20 and 22 in none; their own balls have
    # the radii 16.5, 2 and 2, and the first holds all reals.
    got = metrics.neighbours(line, at(3.5, 20.0, 22.0), manifold=1, ball=1)
    assert got == pytest.approx((1 / 3, 1.0, 2 / 3, 2 / 7))
    # The reals themselves: each lies in its own ball and those of its neighbours, two or three; 6 × 2 + 7 = 19.
    assert metrics.neighbours(line, line, manifold=1, ball=1) == pytest.approx((1.0, 1.0, 19 / 7, 1.0))
    assert metrics.neighbours(line, line + 100.0, manifold=2, ball=2) == (0.0, 0.0, 0.0, 0.0)
    with pytest.raises(InputError, match="there are 5 fakes; this needs at least 6"):
        metrics.neighbours(line, line[:5])


def test_neighbours_are_scikit_learns():
    search = pytest.importorskip("sklearn.neighbors").NearestNeighbors

    def radius(x, k):
        return search(n_neighbors=k + 1).fit(x).kneighbors(x)[0][:, k]

    gap = np.sqrt(((REAL[:, None] - FAKE[None]) ** 2).sum(-1))
    three, five, own = radius(REAL, 3), radius(REAL, 5), radius(FAKE, 3)
    want = (
        (gap <= three[:, None]).any(0).mean(),
        (gap <= own[None]).any(1).mean(),
        (gap <= five[:, None]).sum(0).mean() / 5,
        (gap <= five[:, None]).any(1).mean(),
    )
    got = metrics.neighbours(REAL, FAKE)
    assert got == pytest.approx(want, abs=1e-12)
    assert 0.0 < got.recall < 1.0
    assert metrics.coverage(REAL, FAKE) == pytest.approx(got.coverage, abs=1e-12)
    other = metrics.neighbours(FAKE, REAL)
    assert (other.precision, other.recall) == (got.recall, got.precision)


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


def test_the_inception_score_by_hand_and_in_parts():
    sure = np.eye(4)[np.arange(80) % 4]
    assert metrics.inception_score(sure, 1) == pytest.approx((4.0, 0.0))
    assert metrics.inception_score(np.full((80, 4), 0.25)).value == pytest.approx(1.0)
    halves = np.eye(4)[[0, 1] * 20 + [2, 2] * 20]  # the first split sees two classes, the second one
    assert metrics.inception_score(halves, 2) == pytest.approx((1.5, 0.5))
    p = np.random.default_rng(3).dirichlet(np.ones(5), 50)
    want = np.exp(np.mean([scipy.stats.entropy(row, p.mean(0)) for row in p]))
    assert metrics.inception_score(p, 1).value == pytest.approx(want, rel=1e-10)
    with pytest.raises(InputError, match="sum 1 in every row"):
        metrics.inception_score(2 * p)
    with pytest.raises(InputError, match="splits is 60"):
        metrics.inception_score(p, 60)


def test_duplicates_count_the_support():
    points = 50.0 * normal(20, 3)
    drawn = points[np.random.default_rng(1).integers(20, size=1500)] + 1e-6 * normal(1500, 3)
    share = metrics.duplicates(drawn, 1e-3)
    assert metrics.support(share) == pytest.approx(20, rel=0.05)
    assert metrics.support(metrics.duplicates(normal(50, 3), 0.0)) == np.inf
    # A share of the pairs of reals is that close; four points on a line have six pairs, three of them neighbours.
    radius = metrics.duplicate_radius(normal(300, 2, seed=7), 0.02)
    assert metrics.duplicates(normal(300, 2, seed=7), radius) == pytest.approx(0.02, rel=0.01)
    assert metrics.duplicates(np.arange(4.0)[:, None], 1.0) == 0.5
    with pytest.raises(InputError, match=r"20 reals have 190 pairs, too few for a share of 0.001"):
        metrics.duplicate_radius(REAL[:20])


def test_both_divergences_of_modes():
    centers = np.eye(3)
    mode = metrics.mode_scores(centers[[0, 0, 1, 2]], centers, 0.01)
    share = np.array([0.5, 0.25, 0.25])
    assert mode.kl == pytest.approx(scipy.stats.entropy(share, np.full(3, 1 / 3)))
    assert mode.kl_forward == pytest.approx(scipy.stats.entropy(np.full(3, 1 / 3), share))
    assert metrics.mode_scores(centers[[0, 1]], centers, 0.01).kl_forward == np.inf
    weighed = metrics.mode_scores(centers[[0, 0, 1, 2]], centers, 0.01, np.array([0.25, 0.25, 0.5]))
    assert weighed.kl == pytest.approx(0.5 * np.log(2.0) + 0.25 * np.log(0.5))
    assert weighed.kl_forward == pytest.approx(0.25 * np.log(0.5) + 0.5 * np.log(2.0))


def test_half_samples_give_the_interval_of_a_mean():
    x = normal(400, seed=2)
    low, high = metrics.half_intervals(lambda i: x[i].mean(), x.mean(), (400,), repeats=2000)
    assert high - low == pytest.approx(2 * 1.96 * x.std() / 20, rel=0.06)
    assert (low + high) / 2 == pytest.approx(x.mean(), abs=0.01)
    two = metrics.half_intervals(lambda i, j: np.array([x[i].mean() - x[j].mean(), 0.0]), np.zeros(2), (400, 100))
    assert two[1][0] - two[0][0] == pytest.approx(2 * 1.96 * np.sqrt(1 / 400 + 1 / 100), rel=0.2)
    assert two[1][1] == 0.0
    with pytest.raises(InputError, match="repeats is 1"):
        metrics.half_intervals(np.mean, 0.0, (9,), repeats=1)
    with pytest.raises(InputError, match="1 samples have no half"):
        metrics.half_intervals(np.mean, 0.0, (1,))


def test_intervals_of_a_frechet_distance_cover_what_they_should():
    # Of 60 experiments with the true value 1, 95 % intervals should miss about three. Half the width would miss twenty.
    hits = 0
    for seed in range(60):
        x, y = normal(200, 2, seed=seed), normal(200, 2, seed=1000 + seed) + np.array([[1.0, 0.0]])
        of = lambda i, j, x=x, y=y: metrics.frechet_distance(metrics.moments(x[i]), metrics.moments(y[j]))
        everything = np.arange(200)
        low, high = metrics.half_intervals(of, of(everything, everything), (200, 200), repeats=60, seed=seed)
        hits += low <= 1.0 <= high
    assert hits >= 51


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.where(np.arange(240).reshape(60, 4) == 5, np.nan, REAL), "1 of 60 fakes hold NaN or infinite"),
        (REAL[:, :3], "reals have 4 features and fakes 3"),
        (REAL[:1], "there are 1 fakes; this needs at least"),
        (REAL[:, 0], r"fakes have the shape \[60\]"),
    ],
)
@pytest.mark.parametrize("metric", ["wasserstein", "sliced_wasserstein", "sinkhorn", "neighbours", "kid"])
def test_what_no_distance_takes(metric, bad, message):
    with pytest.raises(InputError, match=message):
        getattr(metrics, metric)(REAL, bad)


@pytest.mark.parametrize("metric", ["wasserstein", "sliced_wasserstein", "sinkhorn", "neighbours", "kid"])
def test_a_collapsed_sample_is_far_and_no_error(metric):
    value = getattr(metrics, metric)(REAL[:60], np.ones((60, 4)), **({"size": 60} if metric == "kid" else {}))
    numbers = np.ravel(value[:1] if metric == "sinkhorn" else value)
    assert np.isfinite(numbers).all()
    if metric == "neighbours":
        assert value.recall == 0.0
    if metric == "wasserstein":  # all reals go to one place
        assert value == pytest.approx(np.sqrt(((REAL[:60] - 1.0) ** 2).sum(1).mean()))
    one = metrics.moments(np.ones((60, 4)))
    want = ((REAL.mean(0) - 1.0) ** 2).sum() + np.trace(np.cov(REAL, rowvar=False))
    assert metrics.frechet_distance(metrics.moments(REAL), one) == pytest.approx(want)


def test_equal_reals_give_no_unit_of_length():
    for metric in (
        lambda: metrics.sinkhorn(np.ones((60, 4)), REAL),
        lambda: metrics.duplicate_radius(np.ones((60, 4))),
    ):
        with pytest.raises(InputError, match="all 60 reals are equal, so that their distances give no unit of length"):
            metric()


def test_torch_fidelity_agrees():
    fidelity = pytest.importorskip("torch_fidelity")
    torch = pytest.importorskip("torch")
    from torch_fidelity import metric_fid, metric_isc, metric_kid, metric_prc

    assert fidelity
    real, fake = (torch.tensor(part) for part in (REAL, FAKE))
    of = metric_fid.fid_features_to_statistics
    fid = metric_fid.fid_statistics_to_metric(of(real), of(fake), False)["frechet_inception_distance"]
    assert relative(metrics.frechet_distance(metrics.moments(REAL), metrics.moments(FAKE)), fid) < 1e-8
    options = {"kid_subsets": 1, "kid_subset_size": 60, "verbose": False}
    kid = metric_kid.kid_features_to_metric(real, fake, **options)["kernel_inception_distance_mean"]
    assert relative(metrics.kid(REAL, FAKE, subsets=1, size=60).value, kid) < 1e-10
    prc = metric_prc.prc_features_to_metric(fake, real, verbose=False, save_cpu_ram=False)
    got = metrics.neighbours(REAL, FAKE)
    assert (got.precision, got.recall) == pytest.approx((prc["precision"], prc["recall"]), abs=1e-6)
    logits = normal(100, 6, seed=4)
    chances = scipy.special.softmax(logits, axis=1)
    isc = metric_isc.isc_features_to_metric(torch.tensor(logits), splits=10, shuffle=False)
    assert metrics.inception_score(chances) == pytest.approx(
        (isc["inception_score_mean"], isc["inception_score_std"]), rel=1e-8
    )


def test_pot_agrees():
    ot = pytest.importorskip("ot")
    weights = np.full(60, 1 / 60)
    assert metrics.wasserstein(REAL, FAKE) ** 2 == pytest.approx(
        ot.emd2(weights, weights, ot.dist(REAL, FAKE)), rel=1e-9
    )
    along = np.random.default_rng(0).standard_normal((4, 50))
    along /= np.linalg.norm(along, axis=0)
    from ensgan.metrics.transport import sliced

    want = ot.sliced_wasserstein_distance(REAL, FAKE, projections=along)
    assert sliced(REAL @ along, FAKE @ along) == pytest.approx(want, rel=1e-9)
    unit = float(metrics.bandwidth(jnp.asarray(REAL, jnp.float32)))

    def entropic(x, y):
        cost, epsilon = ot.dist(x, y), 0.1 * unit
        plan = ot.sinkhorn(weights, weights, cost, epsilon, method="sinkhorn_log", stopThr=1e-10, numItermax=5000)
        return (plan * cost).sum() + epsilon * (plan * np.log(plan * 3600 + 1e-300)).sum()

    want = entropic(REAL, FAKE) - 0.5 * entropic(REAL, REAL) - 0.5 * entropic(FAKE, FAKE)
    assert metrics.sinkhorn(REAL, FAKE, blur=0.1, tolerance=1e-4).value == pytest.approx(want, rel=1e-3)
