"""Features of samples, their means and covariances, and the cache of both."""

import numpy as np
import pytest
from toys import points

from ensgan import metrics
from ensgan.evaluation import features
from ensgan.evaluation.features import Features, extract, identity, statistics
from ensgan.types import InputError


def test_identity_averages_images_and_leaves_points():
    x = np.random.default_rng(0).uniform(-1, 1, (5, 16, 16, 2)).astype(np.float32)
    np.testing.assert_array_equal(extract(identity(), x), x.reshape(5, -1))
    small = extract(identity(8), x).reshape(5, 8, 8, 2)
    assert small.std() < x.std()
    np.testing.assert_allclose(small.mean((1, 2)), x.mean((1, 2)), atol=0.02)
    np.testing.assert_array_equal(extract(identity(8), x[:, :8, :8]), x[:, :8, :8].reshape(5, -1))
    np.testing.assert_array_equal(extract(identity(2), points(5, 0)), points(5, 0))
    with pytest.raises(InputError, match="size is 0"):
        identity(0)


def test_features_of_a_users_function_are_cached_by_content(tmp_path):
    calls = []

    def of(factor):
        def double(x):
            calls.append(len(x))
            return factor * np.asarray(x)

        return Features("scaled", double)

    x = points(20, 0)
    first = extract(of(2.0), x, cache=tmp_path / "kept")
    np.testing.assert_array_equal(first, 2 * x)
    assert calls == [8, 20]  # the first few for the name of the file, then all
    np.testing.assert_array_equal(extract(of(2.0), x, cache=tmp_path / "kept"), first)
    assert calls == [8, 20, 8]
    np.testing.assert_array_equal(extract(of(3.0), x, cache=tmp_path / "kept"), 3 * x)  # of one name, but another
    np.testing.assert_array_equal(extract(of(2.0), 2 * x, cache=tmp_path / "kept"), 4 * x)
    files = sorted((tmp_path / "kept").iterdir())
    assert len(files) == 3
    for file in files:
        file.write_bytes(b"broken")
    with pytest.raises(InputError, match=r"features-.*npz cannot be read .*: remove it"):
        extract(of(2.0), x, cache=tmp_path / "kept")
    with pytest.raises(InputError, match=r"have the shape \[20\]; expected \[20, D\]"):
        extract(Features("flat", lambda x: x[:, 0]), x)


def test_means_and_covariances_are_cached_and_features_are_not(tmp_path):
    calls = []

    def of(factor, **known):
        def double(x):
            calls.append(len(x))
            return factor * np.asarray(x)

        return Features("scaled", double, **known)

    x, kept = points(20, 0), tmp_path / "kept"
    first = statistics(of(2.0), x, cache=kept)
    for part, want in zip(first, metrics.moments(2 * x.astype(np.float64)), strict=True):
        np.testing.assert_allclose(part, want, rtol=1e-12)
    assert calls == [8, 20]
    again = statistics(of(2.0), x, cache=kept)
    assert calls == [8, 20, 8]
    for part, same in zip(again, first, strict=True):
        np.testing.assert_array_equal(part, same)
    assert type(again.n) is int
    statistics(of(3.0), x, cache=kept)  # of one name, but another
    statistics(of(2.0), 2 * x, cache=kept)
    statistics(of(2.0, classes=1), x, cache=kept)
    assert calls == [8, 20, 8] + 3 * [8, 20]
    assert len(sorted(kept.glob("moments-*.npz"))) == len(sorted(kept.iterdir())) == 4
    # Who says which version it is need not show features of the first samples.
    for version, new in (("a", [20]), ("a", []), ("b", [20])):
        calls.clear()
        statistics(of(2.0, version=version), x, cache=kept)
        assert calls == new
    for file in kept.iterdir():
        file.write_bytes(file.read_bytes()[:99])
    with pytest.raises(InputError, match=r"moments-.*npz cannot be read .*: remove it"):
        statistics(of(2.0), x, cache=kept)


def test_logits_are_no_part_of_the_moments_and_refusals_are_those_of_moments(monkeypatch):
    monkeypatch.setattr(features, "CHUNK", 7)
    x = points(22, 0)  # three chunks and one sample
    found = statistics(Features("own", lambda x: x, classes=1), x)
    for part, want in zip(found, metrics.moments(x[:, :2].astype(np.float64)), strict=True):
        np.testing.assert_allclose(part, want, rtol=1e-12)
    own = Features("own", lambda x: x)
    with pytest.raises(InputError, match="there are 3 fakes with 3 features each; a Fréchet distance needs more"):
        statistics(own, x[:3], what="fakes")
    same = statistics(own, np.full((20, 3), 0.1, np.float32), what="fakes")
    np.testing.assert_allclose(same.covariance, 0.0, atol=1e-12)
    x[9, 1] = np.inf
    with pytest.raises(InputError, match="1 of 7 samples hold NaN or infinite numbers"):
        statistics(own, x)


def test_chunks_of_features_are_one_row_after_the_other(monkeypatch):
    monkeypatch.setattr(features, "CHUNK", 7)
    np.testing.assert_array_equal(extract(Features("own", lambda x: x + 1), points(20, 0)), points(20, 0) + 1)
