"""Features of samples, and their means and covariances, which a cache may keep.

Features are the samples themselves, a user's function, Inception's, or those of a small classifier trained on the data
at hand.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ensgan import metrics
from ensgan.data import to_uint8
from ensgan.evaluation import inception
from ensgan.evaluation.classifier import CHUNK, Classifier
from ensgan.metrics.gaussian import check_rank
from ensgan.types import Array, InputError

INCEPTION_CHUNK = 32  # images that Inception sees at a time; its first maps take 6 MB for each
CACHED = 2**28  # bytes of features that are kept in a file


class Features(NamedTuple):
    """The features by which samples are compared.

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
            raise InputError("images hold NaN or infinite numbers: find out which step produces them")
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
    """The result of `make`, or the file that an earlier call wrote into the cache."""
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
