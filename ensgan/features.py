"""Features of samples, and their means and covariances, which a cache may keep.

Features are the samples themselves, a user's function, Inception's, or those of a small classifier trained on the data
at hand.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from ensgan import inception, metrics
from ensgan.data import Source, to_uint8
from ensgan.data.source import sample_keys
from ensgan.metrics.gaussian import check_rank
from ensgan.types import Array, InputError, Tree

CHUNK = 1024  # images that are classified at a time
INCEPTION_CHUNK = 32  # images that Inception sees at a time; its first maps take 6 MB for each
HELD_OUT = 10_000  # most images that the accuracy is taken over
WIDTH = 16  # channels of the first map; they double each time the map halves
FEATURES = 128  # size of the last hidden layer
CACHED = 2**28  # bytes of features that are kept in a file


class Features(NamedTuple):
    """What samples are compared by.

    Attributes:
        name: what it is, for reports.
        of: `of(x) -> [n, D + classes]` for a numpy array of samples `x` `[n, ...]` as networks see them; each row a
            function of its sample alone.
        classes: K, where the last K columns are logits of classes. Scores of classes are taken of those, and distances
            of the D features before them.
        splits: parts of the samples whose score of classes is taken apart, and averaged.
        version: says which function it is, such as a hash of its weights. A cache that is not told takes the features
            of a few samples instead.
    """

    name: str
    of: Callable[[Any], Any]
    classes: int = 0
    splits: int = 1
    version: str | None = None


def identity(size: int | None = None) -> Features:
    """The samples themselves, as rows; images may be made smaller first, by averages over neighbouring pixels.

    Args:
        size: the most pixels of a side. None leaves images as they are. Points are never changed.

    Raises:
        InputError: a size below 1.
    """
    if size is not None and size < 1:
        raise InputError(f"size is {size}; expected at least 1 pixel")

    def of(x: Array) -> Any:
        if size is not None and x.ndim == 4 and max(x.shape[1:3]) > size:
            small = (len(x), *(min(length, size) for length in x.shape[1:3]), x.shape[3])
            x = jax.image.resize(jnp.asarray(x, jnp.float32), small, "linear", antialias=True)
        return np.asarray(x, np.float32).reshape(len(x), -1)

    return Features("identity" if size is None else f"identity at most {size}×{size}", of)


def of_classifier(classifier: Classifier) -> Features:
    """The last hidden layer of a classifier and its logits; it names itself in every result."""
    both = lambda x: np.concatenate([classifier.features(x), classifier.logits(x)], axis=1)
    return Features(f"classifier {classifier.name}", both, classifier.classes)


def of_inception(file: str | Path) -> Features:
    """Those of Inception-v3: its last mean over pixels, 2048 features, and 1008 logits, of pixels 0..255.

    With them the Fréchet distance is FID (Heusel et al. 2017, arXiv 1706.08500), the cubic kernel distance KID, and
    the score of the classes the Inception score, in ten parts as usual and with logits without bias as torch-fidelity
    takes them.

    Args:
        file: the weights, as in `inception.load`.

    Returns:
        Features of images in [-1, 1], `[n, H, W, 3]` or grey ones, `[n, H, W, 1]`, of any size. They are rounded to
        pixels as in a file.

    Raises:
        InputError: a missing file or another; and when they are taken, samples that are no such images, or not finite.
    """
    params = inception.load(file)
    name = "inception-v3 2015-12-05 (Fréchet distance = FID, kernel distance = KID, classifier score = Inception score)"
    # Weights are an argument: as a constant, the program would hold 95 MB of them once more.
    forward = jax.jit(lambda params, x: jnp.concatenate(inception.network(params, inception.resized(x) / 128 - 1), 1))

    def of(x: Any) -> np.ndarray:
        x = np.asarray(x)
        if x.ndim != 4 or x.shape[-1] not in (1, 3):
            raise InputError(
                f"Inception-v3 takes images [H, W, C] with 1 or 3 channels; samples are {list(x.shape[1:])}"
            )
        if not np.isfinite(x).all():
            raise InputError("images hold NaN or infinite numbers: find out where they come from")
        pixels = np.repeat(to_uint8(x), 3 // x.shape[-1], axis=-1).astype(np.float32)
        rows = []
        for at in range(0, len(x), INCEPTION_CHUNK):
            part = pixels[at : at + INCEPTION_CHUNK]
            full = np.pad(part, [(0, INCEPTION_CHUNK - len(part)), (0, 0), (0, 0), (0, 0)])  # one program for all
            rows.append(np.asarray(forward(params, full))[: len(part)])
        return np.concatenate(rows)

    return Features(name, of, inception.CLASSES, 10, inception.SHA256)


def extract(features: Features, x: Any, *, cache: str | Path | None = None) -> np.ndarray:
    """Features of samples and logits, if there are any: float32 `[n, D + classes]`, a chunk at a time.

    Args:
        features: `identity()`, `of_classifier(...)`, `of_inception(...)`, or `Features` around a function of your own.
        x: samples `[n, ...]`.
        cache: a folder that keeps features up to 256 MiB for the next time, as .npz named by a hash of the samples, of
            the name, and of the version or, without one, of what the features of the first samples are: a changed
            function of the same name is no hit.

    Raises:
        InputError: no samples; the function gives no `[n, D]`; or a file of the cache is broken.
    """
    make = lambda: {"features": np.concatenate([*_chunks(features, x)])}
    return _kept("features", features, x, cache, make)["features"]


def statistics(
    features: Features, x: Any, *, cache: str | Path | None = None, what: str = "samples"
) -> metrics.Moments:
    """Mean and covariance of the features of samples, which are not held: what the Fréchet distance needs.

    Args:
        features: as in `extract`; logits are left out.
        x: samples `[n, ...]`, more than there are features.
        cache: a folder that keeps them for the next time, named as in `extract`.
        what: names the samples in errors.

    Raises:
        InputError: as in `extract` and `metrics.moments`.
    """

    def parts() -> Iterator[np.ndarray]:
        for part in _chunks(features, x):
            width = part.shape[1] - features.classes
            check_rank(len(x), width, what)  # before all the others are gone through
            yield part[:, :width]

    make = lambda: metrics.moments_of_parts(parts(), what)._asdict()
    found = _kept("moments", features, x, cache, make)
    return metrics.Moments(found["mean"], found["covariance"], int(found["n"]))


def _chunks(features: Features, x: Any) -> Iterator[np.ndarray]:
    """Features and logits of one part of the samples after the other."""
    x = np.asarray(x)
    if not len(x):
        raise InputError("there are no samples to take features of; give at least one")
    for at in range(0, len(x), CHUNK):
        part = x[at : at + CHUNK]
        found = np.asarray(features.of(part), np.float32)
        if found.ndim != 2 or len(found) != len(part):
            raise InputError(
                f"the features {features.name!r} of {len(part)} samples have the shape {list(found.shape)}; "
                f"expected [{len(part)}, D]"
            )
        yield found


def _kept(
    kind: str, features: Features, x: Any, cache: str | Path | None, make: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """What `make` gives, or a file of the cache that an earlier call wrote."""
    if cache is None:
        return make()
    x = np.ascontiguousarray(x)
    content = hashlib.sha256(repr((features.name, features.version, features.classes, x.shape, x.dtype.str)).encode())
    content.update(x.tobytes())
    if features.version is None:
        content.update(np.concatenate([*_chunks(features, x[:8])]).tobytes())
    file = Path(cache) / f"{kind}-{content.hexdigest()}.npz"
    if file.is_file():
        try:
            with file.open("rb") as raw:  # np.load would leave a broken file open
                return dict(np.load(raw, allow_pickle=False))
        except Exception as error:  # whatever numpy and zipfile raise at broken data
            raise InputError(f"{file} cannot be read ({type(error).__name__}): remove it") from error
    found = make()
    if sum(np.asarray(part).nbytes for part in found.values()) <= CACHED:
        file.parent.mkdir(parents=True, exist_ok=True)
        whole = file.with_name(f"{file.stem}.{os.getpid()}.npz")  # nobody ever sees half a file
        np.savez(whole, **found)
        whole.replace(file)
    return found


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
    """Whether a classifier can be trained on a source: labelled images, held in memory."""
    return source.draw is not None and source.classes is not None and len(source.shape) == 3


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
        seed: of weights and batches.
        steps: updates.
        batch_size: images per update.
        learning_rate: that Adam starts with.

    Raises:
        InputError: the source has no labels, is streamed, or has no images; `steps` or `batch_size` below 1.
    """
    if not classifiable(source):
        raise InputError(
            f"a classifier cannot be trained on {source.name!r}: expected labelled images [H, W, C] in memory, found "
            f"samples {list(source.shape)}, {'no' if source.classes is None else source.classes} classes, "
            f"{'streamed' if source.draw is None else 'in memory'}"
        )
    if steps < 1 or batch_size < 1:
        raise InputError(f"steps is {steps} and batch_size {batch_size}; a classifier needs at least 1 of both")
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
