"""`ensgan judge`: a run's judge, how well it is calibrated, and its scores of samples in a file."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from shlex import quote
from typing import Any, NamedTuple

import numpy as np

from ensgan.cli import choices
from ensgan.cli.checks import check_apart, check_out, counted, opened_for, span_of
from ensgan.data import arrays, checks
from ensgan.data.labels import map_labels
from ensgan.data.law import training_law
from ensgan.data.sheets import SUFFIXES
from ensgan.data.source import dequantized
from ensgan.data.tables import read_points
from ensgan.evaluation.files import centred
from ensgan.reporting import write_reliability
from ensgan.reporting.files import written
from ensgan.runs import judges, records
from ensgan.runs.origin import Elsewhere
from ensgan.runs.restore import Opened
from ensgan.sampling import combine, draws
from ensgan.sampling.judge import Judge
from ensgan.sampling.truncation import scales
from ensgan.types import InputError

CHANCE = 0.249  # Brier score, hardly better than the ¼ of ½ for everything


def judge(
    run: Path,
    *,
    input_: str | None = None,
    out: str | None = None,
    from_: str | None = None,
    rule: str | None = None,
    calibrate: str | None = None,
    classes: str | None = None,
    truncation: float | None = None,
    data_dir: str | None = None,
    from_step: str | None = None,
    range_: str | None = None,
) -> None:
    """Combine all discriminators into one judge, plot its calibration, and score the samples in a file.

    Args:
        run: the run's folder; it gets judge.npz, judge.json and reliability.png. With --input, a judge that is there
            already is used again.
        input_: samples to score, in a .npz, .npy or, for points, a table (.csv, .tsv, .parquet), as `ensgan sample`
            writes them or as --data npz and --data table read them.
        out: a .npz to write, with `probability` and `logit` of every sample.
        from_: the fakes to judge against: best, mixture or member:I, as in `ensgan sample`.
        rule: how discriminators become one judge: stacking (default), forest, weighted, nash, mean_logit, median,
            minimum, mean_probability or log_mean_ratio.
        calibrate: isotonic (default), logistic or temperature.
        classes: law of the labels: training (the frequencies of the data), uniform, or one weight per class, such as
            0.2,0.8 (default: the run's own).
        truncation: judge samples of latents that are drawn towards their mean, as `ensgan sample --truncation`.
        data_dir: where the data are now (default: where they were).
        from_step: the step of the checkpoint to take, or best (default: the newest).
        range_: the values of black and white in a file of float images, such as 0,1 (default: -1,1, as samples have).

    Raises:
        InputError: files that cannot be read or written, or samples of another shape or range.
    """
    target = None if out is None else Path(out)
    if target is not None and input_ is None:
        raise InputError("--out is given without --input; name a .npz, .npy or .csv file of samples to judge")
    if target is not None:
        check_out(target, ".npz")
    combine.is_smooth(rule, calibrate)
    place = None if input_ is None else Path(input_)
    tabular = place is not None and place.suffix.lower() in SUFFIXES  # which columns to read, the run knows
    if range_ is not None and (place is None or tabular):
        raise InputError("--range is for float images in the file of --input, a .npz or .npy; leave it out")
    read = None if place is None or tabular else _read(place, span_of(range_))
    if target is not None:
        check_apart(target, input_)
    found = opened_for(target, run, data_dir, from_step)
    if place is not None and tabular:
        read = _table(place, found)
    asked = None if place is None or read is None else _checked(place, *read, found)
    law = choices.law(classes, found)
    weights, text = choices.weights(from_, found, classes=law)
    found = choices.shrunk(found, truncation)
    wanted = Wanted(rule, calibrate, classes=law)
    fitted = None if asked is None else stored_judge(found, weights, wanted)
    if fitted is None:
        fitted = fitted_judge(found, weights, wanted)
        records.save_judge(run, fitted, text, int(found.state.step))
        judges.save(run, fitted, found.state)
        print(
            f"how far it can be trusted is drawn in {write_reliability(run)};",
            f"`ensgan report {quote(str(run))}` shows it",
        )
    if asked is not None:
        _report(fitted.log_ratio, *asked, text, target)


class Wanted(NamedTuple):
    """The kind of a judge.

    Attributes:
        rule: how discriminators are combined; None for stacking, or for that of the judge in the folder.
        calibrate: how it is calibrated; None for isotonic, which repairs any shape but is flat in places, or logistic
            where it must be smooth, or for that of the judge in the folder.
        smooth: whether it needs a gradient everywhere.
        classes: the law of the labels of draws, `[K]`; None for that of the training data.
    """

    rule: str | None = None
    calibrate: str | None = None
    smooth: bool = False
    classes: np.ndarray | None = None


def judge_of(run: Opened, weights: np.ndarray, wanted: Wanted) -> Judge:
    """The judge of this kind that the run's folder holds, or a new one.

    Raises:
        InputError: there is none, and the data for a new one are elsewhere.
    """
    try:
        return stored_judge(run, weights, wanted) or fitted_judge(run, weights, wanted)
    except Elsewhere as error:
        calibrate = wanted.calibrate or ("logistic" if wanted.smooth else None)
        flags = {"--rule": wanted.rule, "--calibrate": calibrate}
        text = " ".join(f"{flag} {value}" for flag, value in flags.items() if value)
        command = f"ensgan judge {quote(str(run.directory))} {text}".strip()
        raise Elsewhere(
            f"{run.directory} holds no judge of this kind for these samples; make one where the data are, with "
            f"`{command}` and the same --from and --truncation. To make one now, they are needed: {error}"
        ) from error


def stored_judge(run: Opened, weights: np.ndarray, wanted: Wanted) -> Judge | None:
    """The judge that `ensgan judge` left, if it is of this kind, state and sampler with these `weights` `[M]`."""
    found = judges.load(run.directory, run.game, run.state)
    if found is None or not (wanted.rule in (None, found.rule) and wanted.calibrate in (None, found.calibrate)):
        return None
    if (wanted.smooth and not found.smooth) or not found.average:
        return None
    laws: list[tuple[Any, Any]] = [(draws.probabilities(run.game, run.state, weights), found.law)]
    laws.append((scales(run.game), found.scales))
    if run.game.classes is not None:
        shares = training_law(run.source) if wanted.classes is None else wanted.classes
        laws.append((draws.class_shares(run.game, shares), found.classes))
    if not all(np.array_equal(asked, fitted) for asked, fitted in laws):
        return None
    _describe(run, found, "from judge.npz")
    return found


def fitted_judge(run: Opened, weights: np.ndarray, wanted: Wanted = Wanted()) -> Judge:  # noqa: B008
    """A new judge of this kind, of the sampler with these `weights` `[M]`; its quality is printed on stderr."""
    how = wanted.calibrate or ("logistic" if wanted.smooth else "isotonic")
    rule, law = wanted.rule or "stacking", wanted.classes
    fitted = combine.fit(run.game, run.state, run.source, rule, calibrate=how, weights=weights, classes=law)
    _describe(run, fitted, "calibrated on held-out reals and as many draws of this sampler")
    return fitted


def _describe(run: Opened, judge: Judge, how: str) -> None:
    assert judge.before is not None
    assert judge.after is not None
    before, after = judge.before, judge.after
    count = len(combine.judges(run.game, run.state))
    some = "" if count == run.game.N else f"{count} of "
    print(
        f"judge: {judge.rule} of {some}{run.game.N} discriminators, {how}; on the other half of both, before → "
        f"after: Brier score {before.brier:.4f} → {after.brier:.4f}, calibration error {before.error:.4f} → "
        f"{after.error:.4f}, Dawid's Z {before.z:.1f} → {after.z:.1f}",
        file=sys.stderr,
        flush=True,
    )
    if after.brier > CHANCE:
        print(
            "warning: on held-out data this judge is no better than chance, so neither its scores nor refinement with "
            "it mean much",
            file=sys.stderr,
            flush=True,
        )


def _read(path: Path, span: tuple[float, float] | None) -> tuple[np.ndarray, np.ndarray | None]:
    """Samples of a file, and their labels if it has any; refined ones may leave [-1, 1] a little."""
    if path.is_dir():
        raise InputError(f"--input {path} is a folder; give a file, such as `ensgan sample RUN --out x.npz` writes")
    found = arrays.read_npz(path)
    x = checks.checked_samples(found.x, f"samples in {path}", "--range")
    if x.ndim == 4 and x.dtype != np.uint8 and x.size:
        x = centred(x, path, span, slack=0.25)
    elif span is not None:
        raise InputError(f"--range is for float images, and {path} holds none; leave it out")
    return dequantized(x, np.random.default_rng(0), 256), found.label


def _table(path: Path, found: Opened) -> tuple[np.ndarray, np.ndarray | None]:
    """Points of a table with the columns of the run's data, in the numbers of that table, and their labels."""
    shape = found.game.sample_shape
    if len(shape) != 1:
        raise InputError(f"{path} is a table of numbers, but this run judges images; give a .npz or .npy file")
    return read_points(path, found.source.columns, shape[0])


def _checked(
    path: Path, x: np.ndarray, label: np.ndarray | None, found: Opened
) -> tuple[np.ndarray, np.ndarray | None]:
    """Samples and labels that fit the discriminators of a run."""
    game, names = found.game, choices.class_names(found)
    if len(x) == 0:
        raise InputError(f"{path} holds no samples; give a file with at least one")
    if x.shape[1:] != game.sample_shape:
        raise InputError(
            f"{path} has samples of shape {list(x.shape[1:])}; this run judges samples of shape "
            f"{list(game.sample_shape)}"
        )
    if found.source.columns is not None:
        x = found.source.columns.scaled(x)
    x = checks.checked_samples(x, f"samples in {path}")
    if names is None:
        return x, None
    if label is None:
        raise InputError(f"{path} has no labels, but the discriminators of this run need classes; add them under 'y'")
    return x, map_labels(label, len(x), f"labels in {path}", names)[0]


def _report(
    log_ratio: Callable[[Any], Any], x: np.ndarray, label: np.ndarray | None, sampler: str, target: Path | None
) -> None:
    """Prints the scores of samples, and writes all of them into a file if one is given."""
    logit = np.asarray(log_ratio(x if label is None else (x, label)))
    probability = np.exp(-np.logaddexp(0.0, -logit))
    print(f"probability of being real rather than from {sampler}, and its logit")
    for k in range(min(len(x), 20)):
        print(f"{k:>6} {probability[k]:>8.4f} {logit[k]:>9.3f}")
    if len(x) > 20:
        print(f"   ... and {len(x) - 20} more" + ("" if target else "; --out FILE.npz writes them all"))
    shares = f"mean probability {probability.mean():.4f}, {(logit > 0).mean():.1%} look more real than not"
    print(f"{counted(len(x), 'sample')}: {shares}")
    if target is not None:
        with written(target) as file:
            np.savez(file, probability=probability.astype(np.float32), logit=logit)
