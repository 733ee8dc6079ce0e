"""`ensgan sample`: samples of a run in a file, as they come or refined by the run's judge."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ensgan.cli import choices
from ensgan.cli.checks import check_folder, check_out, counted, opened_for
from ensgan.cli.judge import Wanted, judge_of
from ensgan.data import to_uint8
from ensgan.data.arrays import NAMES
from ensgan.data.checks import check_seed
from ensgan.data.labels import some
from ensgan.data.law import training_law
from ensgan.data.limits import memory
from ensgan.evaluation.comparison import copies
from ensgan.evaluation.tables import evaluate_refinement
from ensgan.evaluation.text import describe_refinement
from ensgan.evaluation.truncation import describe_truncation, evaluate_truncation
from ensgan.refine import NothingAccepted
from ensgan.reporting.files import written
from ensgan.runs.gallery import save_files, save_picture, save_table
from ensgan.runs.restore import Opened
from ensgan.sampling import combine, draws
from ensgan.sampling.judge import Judge
from ensgan.sampling.refinement import Refinement, Sampler, check_smooth, effort, refined
from ensgan.sampling.sampler import mean_output
from ensgan.sampling.sampler import sample as drawn
from ensgan.sampling.truncation import check_truncation
from ensgan.types import Array, InputError

MEASURED = 1000  # most held-out reals
MEMORY = min(2**32, memory() // 8)  # bytes of samples that one command holds; several times as many at its end
PICTURE = 2**29  # bytes of pixels in one picture


def sample(
    run: Path,
    *,
    num: int = 64,
    out: str = "samples.png",
    from_: str | None = None,
    stratified: bool = False,
    seed: int = 0,
    label: str | None = None,
    classes: str | None = None,
    truncation: float | None = None,
    data_dir: str | None = None,
    from_step: str | None = None,
    refine: str | None = None,
    budget: float | None = None,
    rate: float | None = None,
    rule: str | None = None,
    calibrate: str | None = None,
) -> None:
    """Draw samples into a file or a folder.

    Other forms, each with its help: --interpolate 8, ways between samples; --nearest 5, the nearest training samples.

    Args:
        run: the run's folder.
        num: how many samples.
        out: the file to write, .png, .npz, or .csv for points; or a folder, such as samples/, for one .png each, and a
            samples.csv with the classes.
        from_: best, mixture, member:I or average (default: mixture if members are parts, else best). average is the
            mean of all generators' outputs at the same noise: blurry, and not a mixture.
        stratified: with a mixture, every generator makes its exact share of the samples.
        seed: seed of the samples.
        label: classes in turn, such as 3 or cat,dog, of a conditional run, by name or number (default: classes by
            their law).
        classes: law of the labels: training (the frequencies of the data), uniform, or one weight per class, such as
            0.2,0.8 (default: the run's own).
        truncation: draw latents towards their mean: with 0.7, 0.7·z in place of z, so 0.7 times the deviation of normal
            latents. Samples get more typical and less varied; what that costs in recall is printed.
        data_dir: where the data are now (default: where they were).
        from_step: the step of the checkpoint to take, or best (default: the newest).
        refine: how the run's judge refines samples: obrs, drs, mh, ddls, dot or collaborative.
        budget: for obrs and drs the share of draws to accept, such as 0.5; for other methods steps per sample.
        rate: size of a step of ddls, dot and collaborative.
        rule: how discriminators become one judge: stacking (default), forest, weighted, nash, mean_logit, median,
            minimum, mean_probability or log_mean_ratio.
        calibrate: isotonic, logistic or temperature (default: isotonic, but logistic where a method follows gradients).

    Raises:
        InputError: a file that cannot be written, numbers out of range, or options that do not go together.
    """
    file, how = Path(out), Refinement(refine or "obrs", budget, rate)
    folder = _check_target(out, file)
    _check_numbers(seed, truncation, refine, budget=budget, rate=rate, rule=rule, calibrate=calibrate)
    found = opened_for(file, run, data_dir, from_step)
    _check_size(file, num, found.game.sample_shape, folder)
    names = choices.class_names(found)
    asked = choices.classes(label, names, training_law(found.source))
    _check_choice(from_, stratified, refine, label, classes)
    if refine is not None:  # before a judge is fitted
        _check_refinement(found, asked, how, rule, calibrate)
    law = choices.law(classes, found) if label is None else None
    weights, text = choices.weights("mixture" if from_ == "average" else from_, found, ", or average", law)
    key = jax.random.key(seed)
    if truncation is not None:
        text = f"{text}, truncation {truncation:g}"
        found = _shrunk(found, key, truncation, weights, asked, law)
    game, state = found.game, found.state
    tags: Any = draws.labels(game, key, num, None if asked is None else np.resize(asked, num), law)
    if refine is not None:
        judge = judge_of(found, weights, Wanted(rule, calibrate, smooth=how.kind.gradient))
        sampler = Sampler(game, weights, label=None if asked is None else asked[0], classes=law)
        x, tags, cost = _refined(sampler, found, key, num, judge, how)
        text = f"{text}, {cost},"
    elif from_ == "average":
        x = np.asarray(mean_output(game, state, key, num, weights=weights, label=tags))
        text = f"the average of outputs, weighted as {text},"
    else:
        x = np.asarray(drawn(game, state, key, num, weights=weights, label=tags, stratified=stratified))
    _write(file, x, tags, asked, found, folder, truncation)
    print(_told(num, text, file, None if asked is None or names is None else [names[k] for k in asked]))


def _told(num: int, text: str, file: Path, classes: list[str] | None) -> str:
    """What was drawn and where it is."""
    turn = "" if classes is None else f", class {some(classes, 20)}{' in turn' * (len(classes) > 1)}"
    return f"{counted(num, 'sample')} from {text} {'is' if num == 1 else 'are'} in {file}{turn}"


def _check_target(out: str, file: Path) -> bool:
    """Whether `--out` is a folder."""
    folder = out.endswith(("/", "\\")) or file.is_dir()
    if folder:
        check_folder(file)
    else:
        check_out(file, ".png", ".npz", ".csv", folder=True)
    return folder


def _check_size(out: Path, num: int, shape: tuple[int, ...], folder: bool) -> None:
    size = int(np.prod(shape))
    most = MEMORY // (4 * size)
    if not 1 <= num <= most:
        raise InputError(f"--num is {num}; give 1 to {most} at a time, and more with other seeds")
    pictured = 3 * num * (size if len(shape) == 3 and shape[0] > 64 else 64 * 64)
    if not folder and out.suffix == ".png" and len(shape) == 3 and pictured > PICTURE:
        most = max(1, num * PICTURE // pictured)
        raise InputError(
            f"--num is {num}, and a picture holds {most} of these samples; give a .npz or a folder for more"
        )
    if folder and len(shape) != 3:
        raise InputError(f"--out is {out}/, and samples that are no images have no files; give a .png or .npz")
    if not folder and out.suffix == ".csv" and len(shape) != 1:
        raise InputError(f"--out is {out}, and images have no table of numbers; give a .png, a .npz, or a folder")
    if not folder and out.suffix == ".png" and len(shape) != 3 and size < 2:
        raise InputError(f"--out is {out}, and samples of one number have no picture; give a name that ends in .npz")


def _check_numbers(seed: int, truncation: float | None, refine: str | None, **ways: Any) -> None:
    """Raises InputError for numbers out of range, and for flags that do nothing without --refine."""
    check_seed(seed, "--seed")
    if truncation is not None:
        check_truncation(truncation)
    for flag, given in ways.items():
        if refine is None and given is not None:
            raise InputError(f"--{flag} is given without --refine; say how samples are refined: --refine obrs")


def _check_refinement(
    found: Opened, asked: list[int] | None, how: Refinement, rule: str | None, calibrate: str | None
) -> None:
    if asked is not None and len(asked) > 1:
        raise InputError("--refine takes one class or all of them; give --label one class, or leave it out")
    effort(found.game, how)
    check_smooth(how.method, combine.is_smooth(rule, calibrate))


def _check_choice(
    choice: str | None, stratified: bool, refine: str | None, label: str | None, classes: str | None
) -> None:
    if label is not None and classes is not None:
        raise InputError("--label says the classes of all samples, and --classes their law; give one of them")
    for flag, given in (("refine", refine), ("stratified", stratified)):
        if choice == "average" and given:
            raise InputError(f"--{flag} needs a mixture and --from average is not one; use --from mixture")
    if refine is not None and stratified:
        raise InputError(
            "--stratified and --refine cannot be combined, because refinement changes the generators' shares; leave "
            "one out"
        )


def _shrunk(
    found: Opened, key: Array, truncation: float, weights: Any, asked: list[int] | None, law: np.ndarray | None
) -> Opened:
    """The run with truncated latents; prints what that costs, for classes as they are among held-out reals."""
    reals = found.reals("report", MEASURED)
    classes = asked if law is None else np.flatnonzero(law).tolist()
    if reals is not None:
        again = jax.random.fold_in(key, 2)
        table = evaluate_truncation(found.game, found.state, reals, again, truncation, weights=weights, classes=classes)
        print(
            "what truncation costs is not known, because there are too few held-out reals"
            if table is None
            else describe_truncation(table)
        )
    return choices.shrunk(found, truncation)


def _write(
    file: Path,
    x: np.ndarray,
    tags: Any,
    asked: list[int] | None,
    found: Opened,
    folder: bool,
    truncation: float | None,
) -> None:
    if folder:
        file.mkdir(exist_ok=True)
        save_files(file, x, tags, choices.class_names(found))
    elif file.suffix == ".csv":
        save_table(file, x, tags, choices.class_names(found), found.source.columns)
    elif file.suffix == ".npz":
        table = found.source.columns
        arrays: dict[str, Any] = {
            "x": x if table is None else table.undone(x).astype(np.float32),
            **({"images": to_uint8(x)} if x.ndim == 4 else {}),
            **({} if truncation is None else {"truncation": np.float32(truncation)}),
        }
        names = choices.class_names(found)
        with written(file) as whole:
            np.savez(whole, **arrays if tags is None else {**arrays, "label": tags, NAMES: np.array(names)})
    else:
        in_turn = len(asked) if asked is not None and 1 < len(asked) <= 20 else 0
        reals = None if x.ndim == 4 else found.reals("select", 1000)
        save_picture(file, x, None if reals is None else reals["x"], columns=in_turn)


def _refined(
    sampler: Sampler, found: Opened, key: Array, num: int, judge: Judge, how: Refinement
) -> tuple[np.ndarray, np.ndarray | None, str]:
    """Refined samples, their labels, and what they cost; prints how near they are to held-out reals."""
    game, label, method = sampler.game, sampler.label, how.method
    there = found.reals("report", 1000)
    reals = found.reals("select", 1000) if there is not None and how.kind.start and label is None else None
    start = reals if reals is None else (reals["x"], reals["label"]) if game.classes else reals["x"]
    end, told = ("\r" if sys.stderr.isatty() else "\n"), [0]

    def progress(done: int) -> None:
        if 10 * done // num > told[0]:
            told[0] = 10 * done // num
            print(f"refined {done} of {num} samples", file=sys.stderr, end="\n" if done == num else end, flush=True)

    if how.kind.critic and game.loss.logit != "uncalibrated":
        text = f"{method} assumes a Wasserstein critic, which this loss does not train; the result follows no known law"
        print(text, file=sys.stderr)
    try:
        got = refined(sampler, found.state, key, num, judge, how, start=start, progress=progress)
    except NothingAccepted as error:
        print(f"note: {error}. So the samples are not refined", file=sys.stderr)
        tags = draws.labels(game, key, num, label, sampler.classes)
        x = np.asarray(drawn(game, found.state, key, num, weights=sampler.weights, label=tags))
        return x, tags, f"not refined, because {method} accepted none"
    x, tags = got.x if game.classes is not None else (got.x, None)
    if there is not None:
        again, law = jax.random.fold_in(key, 1), {"weights": sampler.weights, "classes": sampler.classes}
        plain = drawn(game, found.state, again, min(num, 1000), label=label, **law)
        table = evaluate_refinement(found.data(), plain, x, label)
        if table is not None:
            print(describe_refinement(table, method))
        for note in copies(there["x"], np.asarray(x)):
            print(f"note: {note}", file=sys.stderr)
    size = "" if math.isnan(got.effective) else f", effective sample size {got.effective:.0f}"
    cost = (
        f"refined by {method} (acceptance {got.acceptance:.1%}; for each sample {got.generated:.1f} evaluations of "
        f"generators and {got.judged:.1f} of the judge{size})"
    )
    return np.asarray(x), None if tags is None else np.asarray(tags), cost
