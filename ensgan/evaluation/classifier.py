"""A small classifier trained on the data at hand, which counts classes and gives features."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from ensgan.data import Source
from ensgan.data.source import sample_keys
from ensgan.types import Array, InputError, Tree

CHUNK = 1024  # images that are classified at a time
HELD_OUT = 10_000  # most images that the accuracy is taken over
WIDTH = 16  # channels of the first map; they double each time the map halves
FEATURES = 128  # size of the last hidden layer


class Classifier(NamedTuple):
    """A trained classifier: pure functions, and how often it is right.

    Attributes:
        name: what it is, for reports.
        shape: `(H, W, C)` of the images that it takes, in [-1, 1].
        classes: K.
        logits: `logits(x) -> [n, K]` for images `x` `[n, H, W, C]`.
        features: `features(x) -> [n, F]`, the last hidden layer, F = 128.
        accuracy: share of held-out images whose class it finds.
        num: how many held-out images there were.
    """

    name: str
    shape: tuple[int, ...]
    classes: int
    logits: Callable[[Array], Array]
    features: Callable[[Array], Array]
    accuracy: float
    num: int


def classifiable(source: Source) -> bool:
    """Whether a classifier can be trained on a source: images with two classes or more, held in memory."""
    if source.draw is None or source.classes is None or len(source.shape) != 3:
        return False
    single = source.single or source
    return len(np.unique(single.arrays["train"]["label"])) > 1


def train_classifier(
    source: Source, *, seed: int = 0, steps: int = 1500, batch_size: int = 128, learning_rate: float = 2e-3
) -> Classifier:
    """Trains a small convolutional network on the train split; its accuracy is that on the select split.

    3×3 convolutions of stride 2 until the map is at most 4 pixels wide, 16 channels and then twice as many each time, a
    hidden layer of 128, all with ReLU. Adam, the rate falling to 0 along a cosine. Samples are drawn as training draws
    them, with the noise of dequantisation, so that the noise of generators is nothing new. The result is a function of
    the source and the arguments.

    Args:
        source: labelled images in memory. For stacked images give `source.single`.
        seed: the seed of weights and batches.
        steps: updates.
        batch_size: images per update.
        learning_rate: that Adam starts with.

    Raises:
        InputError: the source has fewer than two classes, is streamed, or has no images; `steps` or `batch_size` below
            1.
    """
    if not classifiable(source):
        raise InputError(
            f"a classifier cannot be trained on {source.name!r}: expected labelled images [H, W, C] of at least two "
            f"classes in memory, found samples {list(source.shape)}, {_classes(source)}, "
            f"{'streamed' if source.draw is None else 'in memory'}"
        )
    if steps < 1 or batch_size < 1:
        raise InputError(f"steps is {steps} and batch_size {batch_size}; both must be at least 1")
    assert source.draw is not None
    assert source.classes is not None
    draw, key = source.draw, jax.random.key(seed, impl="threefry2x32")
    init, apply, name = network(source.shape, source.classes)
    optimizer = optax.adam(optax.cosine_decay_schedule(learning_rate, steps))
    table = jax.device_put(source.arrays["train"])

    def loss(params: Tree, batch: dict[str, Array]) -> Array:
        logits, _ = apply(params, batch["x"])
        return optax.softmax_cross_entropy_with_integer_labels(logits, batch["label"]).mean()

    @jax.jit
    def update(params: Tree, state: Tree, table: Tree, key: Array) -> tuple[Tree, Tree]:
        change, state = optimizer.update(jax.grad(loss)(params, draw(table, sample_keys(key, batch_size))), state)
        return optax.apply_updates(params, change), state

    params = init(jax.random.fold_in(key, steps))
    state = optimizer.init(params)
    for step in range(steps):  # on the host: a convolution inside a loop is many times slower on a CPU
        params, state = update(params, state, table, jax.random.fold_in(key, step))

    forward = jax.jit(apply)
    classifier = Classifier(
        name=name,
        shape=source.shape,
        classes=source.classes,
        logits=lambda x: forward(params, x)[0],
        features=lambda x: forward(params, x)[1],
        accuracy=math.nan,
        num=0,
    )
    held_out = source.held_out("select", min(HELD_OUT, source.num["select"] or HELD_OUT))
    found, _ = classify(classifier, held_out["x"])
    accuracy = float((found == held_out["label"]).mean())
    return classifier._replace(accuracy=accuracy, num=len(found))


def _classes(source: Source) -> str:
    if source.classes is None:
        return "no classes"
    seen = (source.single or source).arrays.get("train", {})
    return f"{len(np.unique(seen['label'])) if 'label' in seen else source.classes} classes"


def classify(classifier: Classifier, x: Any) -> tuple[np.ndarray, np.ndarray]:
    """The most probable class of each image, and how probable the classifier holds it.

    Args:
        classifier: from `train_classifier`.
        x: images in [-1, 1], `[n, H, W, C]` as it was trained on; or, where it was trained on grey ones, `[n, H, W, C]`
            with a class in each of C channels, as `data.stacked` makes them.

    Returns:
        int64 `[n]` and float64 `[n]`. Of stacked images: the number whose figures are the classes of the channels, the
        first one's in front, and the mean probability over channels.

    Raises:
        InputError: images of another shape.
    """
    *size, channels = classifier.shape
    stack = 1 if x.shape[1:] == classifier.shape else x.shape[-1]
    if x.ndim != 4 or list(x.shape[1:-1]) != size or (stack > 1 and channels > 1):
        raise InputError(f"images are {list(x.shape)}; the classifier was trained on {list(classifier.shape)}")
    label, probability = np.zeros(len(x), np.int64), np.zeros(len(x))
    for at in range(0, len(x), CHUNK):
        part = jnp.asarray(x[at : at + CHUNK])
        num = len(part)
        full = num if len(x) < CHUNK else CHUNK  # one program for all chunks
        part = jnp.pad(part, [(0, full - num), (0, 0), (0, 0), (0, 0)])
        for c in range(stack):
            chances = jax.nn.softmax(classifier.logits(part if stack == 1 else part[..., c : c + 1]))
            chances = np.asarray(chances, np.float64)[:num]
            label[at : at + num] = label[at : at + num] * classifier.classes + chances.argmax(axis=1)
            probability[at : at + num] += chances.max(axis=1) / stack
    return label, probability


def network(shape: tuple[int, ...], classes: int) -> tuple[Callable[..., Tree], Callable[..., Any], str]:
    """The classifier's `init(key) -> params`, its `apply(params, x) -> (logits, features)`, and its name."""
    height, width, channels = shape
    halvings = 1
    while max(height, width) > 4 * 2**halvings:
        halvings += 1
    widths = [channels, *(WIDTH * 2**k for k in range(halvings))]
    inside = math.prod(-(-length // 2**halvings) for length in (height, width)) * widths[-1]
    graph, _ = nnx.split(nnx.eval_shape(lambda: _Network(widths, inside, classes, nnx.Rngs(0))))

    def init(key: Array) -> Tree:
        return nnx.split(_Network(widths, inside, classes, nnx.Rngs(key)))[1]

    def apply(params: Tree, x: Array) -> tuple[Array, Array]:
        return nnx.merge(graph, params)(x)

    return jax.jit(init), apply, "-".join(map(str, [*(f"conv{w}" for w in widths[1:]), FEATURES, classes]))


class _Network(nnx.Module):
    def __init__(self, widths, inside, classes, rngs):
        self.down = nnx.List([nnx.Conv(a, b, (3, 3), (2, 2), rngs=rngs) for a, b in pairwise(widths)])
        self.hidden = nnx.Linear(inside, FEATURES, rngs=rngs)
        self.last = nnx.Linear(FEATURES, classes, rngs=rngs)

    def __call__(self, x):
        for layer in self.down:
            x = jax.nn.relu(layer(x))
        features = jax.nn.relu(self.hidden(x.reshape(x.shape[0], -1)))
        return self.last(features), features
