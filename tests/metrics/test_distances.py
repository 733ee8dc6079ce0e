"""All distances of samples: what they refuse, a collapsed sample, and outside implementations.

`docs/precision.md` is the table of these tolerances.
"""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
import scipy.stats
from normals import FAKE, REAL, normal, relative

from ensgan import metrics
from ensgan.types import InputError


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
