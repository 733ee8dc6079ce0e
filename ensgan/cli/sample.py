"""Samples of a run drawn into a file, as they come or refined by the run's judge."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ensgan.cli import choices
from ensgan.cli.judge import fit
from ensgan.data import Source, to_uint8
from ensgan.evaluation.tables import evaluate_refinement
from ensgan.evaluation.text import describe_refinement
from ensgan.game.state import State
from ensgan.runs.gallery import save_picture
from ensgan.runs.restore import load_run, restore
from ensgan.sampling import combine, draws
from ensgan.sampling.judge import Judge
from ensgan.sampling.refinement import Refinement, Sampler, check_smooth, effort, refined
from ensgan.sampling.sampler import mean_output, sample
from ensgan.types import Array, InputError

MEMORY = 2**32  # bytes of samples that one command holds


def sample_file(
    run: Path,
    out: Path,
    num: int,
    *,
    choice: str | None = None,
    seed: int = 0,
    label: str | None = None,
    stratified: bool = False,
    refine: str | None = None,
    budget: float | None = None,
    rate: float | None = None,
    rule: str | None = None,
    calibrate: str | None = None,
) -> None:
    """Draws samples into a `.png` or `.npz`.

    Args:
        run: the run's folder.
        out: the file.
        num: how many samples.
        choice: `best`, `mixture`, `member:I` or `average`, the mean of all generators' outputs at the same noise.
        seed: of the samples.
        label: classes in turn, such as `0,1,2`, of a conditional run.
        stratified: whether every generator of a mixture makes its exact share.
        refine: a method of `refining.METHODS`, by which the run's judge refines samples.
        budget: of the method.
        rate: of the method.
        rule: how discriminators become one judge; stacking if not given.
        calibrate: how its logit is calibrated; isotonic if not given, logistic where gradients count.

    Raises:
        InputError: a file that cannot be written, numbers out of range, or options that do not go together.
    """
    if out.suffix not in (".png", ".npz"):
        raise InputError(f"--out is {out}; give a name that ends in .png or .npz")
    if not out.absolute().parent.is_dir():
        raise InputError(f"--out is {out}, but the folder {out.absolute().parent} does not exist; make it first")
    if not 0 <= seed < 2**32:
        raise InputError(f"--seed is {seed}; it must be at least 0 and below 2³²")
    settings = load_run(run)
    game, source, state = restore(run, settings)
    most = MEMORY // (4 * int(np.prod(game.sample_shape)))
    if not 1 <= num <= most:
        raise InputError(f"--num is {num}; give 1 to {most} at a time, and more with other seeds")
    if out.suffix == ".png" and len(game.sample_shape) != 3 and int(np.prod(game.sample_shape)) < 2:
        raise InputError(f"--out is {out}, and samples of one number have no picture; give a name that ends in .npz")
    asked, averaged = choices.classes(label, game.classes), choice == "average"
    for flag, given in (("refine", refine), ("stratified", stratified)):
        if averaged and given:
            raise InputError(f"--{flag} is of a mixture, and an average of outputs is none; use --from mixture")
    if refine is not None and stratified:
        raise InputError("--stratified is of samples as they come, and --refine changes their shares; leave one out")
    how = Refinement(refine or "obrs", budget, rate)
    if refine is not None:  # wrong input is refused before a judge is fitted
        if asked is not None and len(asked) > 1:
            raise InputError("--refine takes one class or all of them; give --label one number, or leave it out")
        effort(game, how)
        check_smooth(refine, combine.is_smooth(rule, calibrate))
    for flag, given in (("budget", budget), ("rate", rate), ("rule", rule), ("calibrate", calibrate)):
        if refine is None and given is not None:
            raise InputError(f"--{flag} is given without --refine; say how samples are refined: --refine obrs")
    choice = "mixture" if averaged else choice
    weights, text = choices.weights(choice, game, state, source, settings, run, ", or average")
    key = jax.random.key(seed)
    tags: Any = draws.labels(game, key, num, None if asked is None else np.resize(asked, num))
    if refine is not None:
        judge, _ = fit(game, state, source, weights, rule=rule, calibrate=calibrate, smooth=how.kind.gradient)
        sampler = Sampler(game, weights, label=None if asked is None else asked[0])
        x, tags, cost = _refined(sampler, state, source, key, num, judge, how)
        text = f"{text}, {cost},"
    elif averaged:
        x = np.asarray(mean_output(game, state, key, num, weights=weights, label=tags))
        text = f"the average of outputs, weighed as {text},"
    else:
        x = np.asarray(sample(game, state, key, num, weights=weights, label=tags, stratified=stratified))
    if out.suffix == ".npz":
        arrays: dict[str, Any] = {"x": x, **({"images": to_uint8(x)} if len(game.sample_shape) == 3 else {})}
        np.savez(out, **arrays if tags is None else {**arrays, "label": tags})
    else:
        in_turn = len(asked) if asked is not None and 1 < len(asked) <= 20 else 0
        save_picture(out, x, source.held_out("select", 1000)["x"], columns=in_turn)
    print(f"{num} samples from {text} are in {out}")


def _refined(
    sampler: Sampler, state: State, source: Source, key: Array, num: int, judge: Judge, how: Refinement
) -> tuple[np.ndarray, np.ndarray | None, str]:
    """Refined samples, their labels, and what they cost; prints how near they are to held-out reals."""
    game, label, method = sampler.game, sampler.label, how.method
    reals = source.held_out("select", 1000) if how.kind.start and label is None else None
    start = reals if reals is None else (reals["x"], reals["label"]) if game.classes else reals["x"]
    end, told = ("\r" if sys.stderr.isatty() else "\n"), [0]

    def progress(done: int) -> None:
        if 10 * done // num > told[0]:
            told[0] = 10 * done // num
            print(f"refined {done} of {num} samples", file=sys.stderr, end="\n" if done == num else end, flush=True)

    if how.kind.critic and game.loss.logit != "uncalibrated":
        text = f"{method} assumes a Wasserstein critic, which this loss does not train; the result follows no known law"
        print(text, file=sys.stderr)
    got = refined(sampler, state, key, num, judge, how, start=start, progress=progress)
    x, tags = got.x if game.classes is not None else (got.x, None)
    again = jax.random.fold_in(key, 1)
    plain = sample(game, state, again, min(num, 1000), weights=sampler.weights, label=label)
    table = evaluate_refinement(source, plain, x, label)
    if table is not None:
        print(describe_refinement(table, method))
    size = "" if math.isnan(got.effective) else f", effective sample size {got.effective:.0f}"
    cost = (
        f"refined by {method} (acceptance {got.acceptance:.1%}; for each sample {got.generated:.1f} evaluations of "
        f"generators and {got.judged:.1f} of the judge{size})"
    )
    return np.asarray(x), None if tags is None else np.asarray(tags), cost
