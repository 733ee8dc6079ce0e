"""A run's judge: fitted for one sampler, with what it is worth, drawn, and asked of samples in a file."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ensgan.cli import choices
from ensgan.data import Source, checks, images
from ensgan.data.source import dequantized
from ensgan.game.game import Game
from ensgan.game.state import State
from ensgan.reporting import write_reliability
from ensgan.runs import records
from ensgan.runs.restore import load_run, restore
from ensgan.sampling import combine
from ensgan.types import InputError

CHANCE = 0.249  # Brier score, hardly better than the ¼ of ½ for everything


def fit(
    game: Game,
    state: State,
    source: Source,
    weights: np.ndarray,
    *,
    rule: str | None = None,
    calibrate: str | None = None,
    smooth: bool = False,
) -> tuple[Any, str]:
    """A judge of the sampler that `weights` `[M]` make, and how it is calibrated; what it is worth goes to stderr.

    Unless `calibrate` says how, that is isotonic, which repairs any shape but is flat in places, and logistic where the
    judge must be `smooth`, for its gradient. The rule is stacking if not given.
    """
    how = calibrate or ("logistic" if smooth else "isotonic")
    rule = "stacking" if rule is None else rule
    fitted: Any = combine.fit(game, state, source, rule, calibrate=how, weights=weights)
    before, after = fitted.before, fitted.after
    count = len(combine.judges(game, state))
    some = "" if count == game.N else f"{count} of "
    print(
        f"judge: {rule} of {some}{game.N} discriminators, calibrated on held-out reals and as many draws of this "
        f"sampler; on the other half of both, before and after: Brier score {before.brier:.4f} {after.brier:.4f}, "
        f"calibration error {before.error:.4f} {after.error:.4f}, Z {before.z:.1f} {after.z:.1f}",
        file=sys.stderr,
        flush=True,
    )
    if after.brier > CHANCE:
        print(
            "caution: on that half this judge is no better than a coin; what it says of samples means little, and so "
            "does what refinement makes of them",
            file=sys.stderr,
            flush=True,
        )
    return fitted, how


def judge(
    run: Path,
    file: str | None = None,
    *,
    out: str | None = None,
    choice: str | None = None,
    rule: str | None = None,
    calibrate: str | None = None,
) -> None:
    """Draws how far all discriminators together can be trusted, and prints how real samples in a file look to them.

    Args:
        run: the run's folder; it gets `judge.json` and `reliability.png`.
        file: samples in a `.npz` or `.npy`, if there are any to judge.
        out: a `.npz` to write, with `probability` and `logit` of every sample.
        choice: what fakes are: `best`, `mixture` or `member:I`.
        rule: how discriminators become one judge; stacking if not given.
        calibrate: how its logit is calibrated; isotonic if not given.

    Raises:
        InputError: files that cannot be read or written, or samples of another shape.
    """
    target = None if out is None else Path(out)
    if target is not None and file is None:
        raise InputError("--out is given without --input; name a .npz or .npy file of samples to judge")
    if target is not None and (target.suffix != ".npz" or not target.absolute().parent.is_dir()):
        raise InputError(f"--out is {target}; give a name that ends in .npz, in a folder that exists")
    found = None if file is None else _read(Path(file))
    settings = load_run(run)
    game, source, state = restore(run, settings)
    asked = None if file is None or found is None else _checked(Path(file), *found, game)
    weights, text = choices.weights(choice, game, state, source, settings, run)
    fitted, how = fit(game, state, source, weights, rule=rule, calibrate=calibrate)
    records.save_judge(run, fitted, how, text, int(state.step))
    print(f"how far it can be trusted is drawn in {write_reliability(run)}; `ensgan report {run}` shows it")
    if asked is not None:
        _tell(fitted.log_ratio, *asked, text, target)


def _read(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Samples of a file, and their labels if it has any; refined ones may be no pixels."""
    x, label = images.read_npz(path)
    x = checks.checked_samples(x, f"samples in {path}", pixels=False)
    return dequantized(x, np.random.default_rng(0), 256), label


def _checked(path: Path, x: np.ndarray, label: np.ndarray | None, game: Game) -> tuple[np.ndarray, np.ndarray | None]:
    """Samples that the discriminators of a game can see, and the labels that they are told."""
    if len(x) == 0 or x.shape[1:] != game.sample_shape:
        raise InputError(
            f"{path} has samples [{len(x)}, *{x.shape[1:]}]; this run judges samples of {game.sample_shape}"
        )
    if game.classes is None:
        return x, None
    if label is None:
        raise InputError(f"{path} has no labels, and discriminators of this run are told classes; add them under 'y'")
    return x, checks.checked_labels(label, len(x), f"labels in {path}", game.classes)


def _tell(
    log_ratio: Callable[[Any], Any], x: np.ndarray, label: np.ndarray | None, sampler: str, target: Path | None
) -> None:
    """Prints what a judge of a sampler says of samples, and writes all of it into a file if one is given."""
    logit = np.asarray(log_ratio(x if label is None else (x, label)))
    probability = np.exp(-np.logaddexp(0.0, -logit))
    print(f"probability of being real rather than from {sampler}, and its logit")
    for k in range(min(len(x), 20)):
        print(f"{k:>6} {probability[k]:>8.4f} {logit[k]:>9.3f}")
    if len(x) > 20:
        print(f"   ... and {len(x) - 20} more" + ("" if target else "; --out FILE.npz writes them all"))
    print(
        f"{len(x)} samples: mean probability {probability.mean():.4f}, {(logit > 0).mean():.1%} look more real than not"
    )
    if target is not None:
        np.savez(target, probability=probability.astype(np.float32), logit=logit)
