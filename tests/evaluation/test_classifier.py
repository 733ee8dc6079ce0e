"""The small classifier: what it learns, what it gives, and what it refuses."""

import jax
import numpy as np
import pytest
from toys import quadrants

from ensgan import data
from ensgan.evaluation import classifier as classifier_module
from ensgan.evaluation.classifier import FEATURES, classifiable, classify, network, train_classifier
from ensgan.types import InputError


@pytest.fixture(scope="module")
def trained():
    return train_classifier(quadrants(), steps=40, batch_size=32)


def test_it_learns_an_easy_problem_and_says_how_well(trained):
    assert (trained.accuracy, trained.num, trained.classes) == (1.0, 20, 4)
    assert trained.name == "conv16-128-4"
    report = quadrants().held_out("report", 20)
    found, certainty = classify(trained, report["x"])
    np.testing.assert_array_equal(found, report["label"])
    assert (certainty > 0.5).all()
    assert (certainty <= 1.0).all()


def test_logits_follow_from_the_features_of_an_image_alone(trained, key):
    x = jax.random.uniform(key, (400, 8, 8, 1), minval=-1.0)
    logits, hidden = np.asarray(trained.logits(x)), np.asarray(trained.features(x))
    assert logits.shape == (400, 4)
    assert hidden.shape == (400, FEATURES)
    assert (hidden >= 0).all()
    np.testing.assert_allclose(trained.logits(x[:2]), logits[:2], atol=1e-4)
    # Logits of 400 images are one linear function of 128 features.
    known = np.c_[hidden, np.ones(400)]
    fit, *_ = np.linalg.lstsq(known, logits, rcond=None)
    np.testing.assert_allclose(known @ fit, logits, atol=1e-3)
    assert logits.std() > 0.1


def test_the_seed_decides(trained):
    x = quadrants().held_out("report", 4)["x"]
    again = train_classifier(quadrants(), steps=40, batch_size=32)
    np.testing.assert_array_equal(again.logits(x), trained.logits(x))
    other = train_classifier(quadrants(), steps=40, batch_size=32, seed=1)
    assert not np.allclose(other.logits(x), trained.logits(x))


def test_stacked_images_are_read_channel_by_channel(trained, monkeypatch):
    stack = data.stacked(quadrants())
    held = stack.held_out("select", 21)
    found, certainty = classify(trained, held["x"])
    np.testing.assert_array_equal(found, held["label"])
    each = [classify(trained, held["x"][..., c : c + 1])[1] for c in range(3)]
    np.testing.assert_allclose(certainty, np.mean(each, axis=0), atol=1e-6)
    monkeypatch.setattr(classifier_module, "CHUNK", 8)  # two whole chunks and five images
    np.testing.assert_array_equal(classify(trained, held["x"])[0], held["label"])


def test_what_is_refused(trained):
    images = np.zeros((20, 4, 4), np.uint8)
    one = data.from_arrays("one", images, np.full(20, 1))  # class 0 is never seen
    for source in (data.from_arrays("bare", images), data.gaussian_ring(), one):
        assert not classifiable(source)
        with pytest.raises(InputError, match=r"expected labelled images \[H, W, C\] of at least two classes"):
            train_classifier(source)
    with pytest.raises(InputError, match="steps is 0 and batch_size 128"):
        train_classifier(quadrants(), steps=0)
    for shape in ((2, 4, 4, 1), (2, 8, 8)):
        with pytest.raises(InputError, match=r"the classifier was trained on \[8, 8, 1\]"):
            classify(trained, np.zeros(shape))


def test_the_network_fits_images_of_any_size():
    for shape in ((1, 1, 1), (8, 8, 1), (5, 9, 2), (28, 28, 1), (64, 48, 3)):
        init, apply, _ = network(shape, 7)
        params = jax.eval_shape(init, jax.random.key(0))
        x = jax.ShapeDtypeStruct((3, *shape), np.float32)
        logits, hidden = jax.eval_shape(apply, params, x)
        assert (logits.shape, hidden.shape) == ((3, 7), (3, FEATURES))


@pytest.mark.slow
def test_digits_are_told_apart():
    judge = train_classifier(data.digits(), steps=300)
    assert judge.num == 179
    assert judge.accuracy >= 0.95
