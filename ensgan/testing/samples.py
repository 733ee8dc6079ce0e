"""Checks of sources of data, judges and refinements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ensgan.data import SPLITS, Source
from ensgan.refine import Refined
from ensgan.sampling.judge import Judge
from ensgan.testing.assertions import close, finite
from ensgan.types import Array, Tree

MEANINGS = ("log_ratio", "log_ratio_plus_constant", "uncalibrated")


def check_source(source: Source, *, batch: int = 4, num: int = 8) -> None:
    """Checks that a source gives the samples that it declares, and the same ones for the same key, step or number.

    Args:
        source: the plug.
        batch: samples in a batch to try it with.
        num: the most held-out samples to try it with.
    """
    assert set(source.num) == set(SPLITS), f"num has the splits {sorted(source.num)}; it must have {sorted(SPLITS)}"
    assert (source.draw is None) != (source.read is None), "a source has either draw or read, and not both or neither"
    for split in SPLITS:
        whole = source.held_out(split, num)
        size, most = len(whole["x"]), source.num[split]
        assert size == (num if most is None else min(num, most)), f"{split} gives {size} of {most} samples for {num}"
        _batch(f"held_out({split!r})", source, whole, (size,))
        close(f"held_out({split!r}), asked again,", source.held_out(split, num), whole, 0.0)
        fewer = source.held_out(split, max(size // 2, 1))
        first = {name: column[: len(fewer["x"])] for name, column in whole.items()}
        close(f"held_out({split!r}) of fewer samples", fewer, first, 0.0)
    assert source.checksum() == source.checksum(), "the checksum changes"
    if source.read is not None:
        got = source.read(3, batch)
        _batch("read", source, got, (batch,))
        if source.resumable:
            close("read of the same step", source.read(3, batch), got, 0.0)
        if source.read_part is not None:
            part = source.read_part(3, batch, range(1, batch))
            close("read_part", part, {name: column[1:] for name, column in got.items()}, 0.0)
        return
    assert source.draw is not None
    table, keys = source.arrays["train"], jax.random.split(jax.random.key(0), batch)
    if source.views is not None:
        return  # each discriminator has its own samples
    got = jax.jit(source.draw)(table, keys)
    _batch("draw", source, got, (batch,))
    close("draw without jit", source.draw(table, keys), got)
    close("draw beside fewer samples", source.draw(table, keys[1:]), jax.tree.map(lambda leaf: leaf[1:], got))


def check_judge(judge: Judge, x: Any, label: Any = None) -> None:
    """Checks that a judge gives each sample alone one finite score, and a gradient if it is smooth.

    Args:
        judge: the plug.
        x: samples `[n, ...]` to try it with, at least 2.
        label: their classes `[n]`, if it needs them.
    """
    assert judge.meaning in MEANINGS, f"meaning is {judge.meaning!r}; it must be one of {', '.join(MEANINGS)}"
    x = jnp.asarray(x)
    item = lambda x, label: x if label is None else (x, label)
    label = None if label is None else jnp.asarray(label)
    score = judge.score(item(x, label))
    assert score.shape == (len(x),), f"the score of {len(x)} samples has shape {score.shape}; it must be ({len(x)},)"
    finite("the score", score)
    close("under jit the score", jax.jit(judge.score)(item(x, label)), score, 1e-4)
    close("beside fewer samples the score", judge.score(item(x[1:], None if label is None else label[1:])), score[1:])
    if judge.smooth:
        finite("the gradient of the score", jax.grad(lambda x: judge.score(item(x, label)).sum())(x))
    if judge.law is not None:
        law = np.asarray(judge.law)
        fits = (law >= 0).all() and np.isclose(law.sum(), 1.0, atol=1e-5)
        assert fits, f"law is {law.tolist()}; it must be numbers ≥ 0 that sum to 1"
    if judge.meaning == "log_ratio":
        close("log_ratio", judge.log_ratio(item(x, label)), score)


def check_refinement(method: Callable[..., Refined], *, num: int = 400, **options: Any) -> Refined:
    """Checks that a method of refinement gives what is asked, says what it costs, and keeps the law where ratios are 1.

    Args:
        method: the plug: `method(key, draw, log_ratio, num, batch=..., progress=..., **options) -> Refined`.
        num: samples to try it with; few make the check of the law easy to pass.
        options: more arguments of the method.

    Returns:
        The samples of a judge that knows nothing, for further checks.
    """
    done: list[int] = []

    def draw(key: Array, n: int) -> Tree:
        return jax.random.normal(key, (n, 2))

    def refined(seed: int, log_ratio: Callable[[Any], Array]) -> Refined:
        done.clear()
        more = {"batch": 100, "progress": done.append, **options}
        return method(jax.random.key(seed), draw, log_ratio, num, **more)

    nothing = lambda x: jnp.zeros(len(x))
    for log_ratio in (lambda x: 0.5 * x[:, 0], nothing):
        got = refined(0, log_ratio)
        assert np.shape(got.x) == (num, 2), f"x has shape {np.shape(got.x)}; it must be ({num}, 2)"
        finite("x", got.x)
        assert 0.0 <= got.acceptance <= 1.0, f"acceptance is {got.acceptance}; it must be a share"
        for name, cost in (("generated", got.generated), ("judged", got.judged)):
            assert 0.0 <= cost < np.inf, f"{name} is {cost}; it must be a number of evaluations for each sample"
        assert done == sorted(done), f"progress goes back: {done}"
        assert done, "progress is never called"
        assert done[-1] == num, f"progress ends at {done[-1]} of {num} samples"
        close("with the same key the method", refined(0, log_ratio).x, got.x)
        other = np.asarray(refined(1, log_ratio).x)
        assert not np.allclose(other, np.asarray(got.x)), "another key gives the same samples"
    x, slack = np.asarray(got.x), 6.0 / np.sqrt(num)
    kept = (np.abs(x.mean(0)) < slack).all() and (np.abs(x.std(0) - 1.0) < slack).all()
    assert kept, (
        f"where all ratios are 1, samples of N(0, 1) become those of mean {x.mean(0).round(2).tolist()} and standard "
        f"deviation {x.std(0).round(2).tolist()}"
    )
    return got


def _batch(what: str, source: Source, got: dict[str, Any], size: tuple[int, ...]) -> None:
    """Raises AssertionError unless a batch is what the source declares."""
    x = np.asarray(got["x"])
    assert x.shape == (*size, *source.shape), f"{what} gives x {list(x.shape)}; it must be {[*size, *source.shape]}"
    assert x.dtype == np.float32, f"{what} gives x as {x.dtype}; it must be float32"
    finite(f"x of {what}", x)
    if len(source.shape) == 3:
        assert np.abs(x).max(initial=0.0) <= 1.0 + 1e-5, f"{what} gives images outside of [-1, 1]"
    if source.classes is None:
        return
    if "label" not in got:
        raise AssertionError(f"classes is {source.classes}, but {what} gives no labels")
    label = np.asarray(got["label"])
    assert label.shape == size, f"{what} gives labels {list(label.shape)}; they must be {list(size)}"
    assert label.dtype == np.int32, f"{what} gives labels as {label.dtype}; they must be int32"
    inside = label.size == 0 or (label.min() >= 0 and label.max() < source.classes)
    assert inside, f"{what} gives labels {label.min()}..{label.max()}; they must be 0..{source.classes - 1}"
