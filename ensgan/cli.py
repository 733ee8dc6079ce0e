"""The command line: `ensgan train | resume | select | evaluate | sample | judge | export | report | plan | methods`."""

from __future__ import annotations

import logging
import math
import os
import sys
import warnings
from argparse import ArgumentError
from collections.abc import Callable, Sequence
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from ensgan.joining import INTERRUPTED, PLACE, joined, tell
from ensgan.types import InputError, unknown

DEFAULT = "digits_4x4"
MEMORY = 2**32  # bytes of samples that one command holds
# How discriminators become one judge: arguments of the commands that need one.
JUDGE: list[tuple[str, type, Any, str]] = [
    ("--rule", str, "stacking", "stacking, forest, weighted, nash, mean_logit, mean_probability, median and more"),
    (
        "--calibrate",
        str,
        None,
        "temperature, logistic or isotonic; isotonic if not given, logistic where gradients count",
    ),
]
USAGE = """usage: ensgan COMMAND ...

  train [CONFIG] [--key value ...]   train an ensemble; with no CONFIG, 4×4 on handwritten digits
  resume RUN [--steps N]             go on where a run stopped
  select RUN [--method NAME]         rank both sides on held-out data, and choose a mixture of generators
  evaluate RUN                       measure the generators on the report split
  evaluate --real DIR --fake DIR     measure images in one folder against those in another
  sample RUN --num N --out FILE      draw samples into a .png or .npz; --refine METHOD lets a judge choose
  judge RUN [--input FILE]           draw how far all discriminators can be trusted; say of samples how real they look
  export RUN --to DIR                a generator, the mixture or a discriminator as files that run without ensgan
  report RUN                         write report.html and samples.png again
  plan [CONFIG] [--key value ...]    what a training step costs on a mesh of devices that need not exist
  methods                            the ensemble methods by name: what they do and what they need

`ensgan COMMAND --help` explains a command. CONFIG is a .toml file or one of: {configs}"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command. Wrong input is one line on stderr and exit code 2; a run that a signal ended gives 128 + it."""
    argv = list(sys.argv[1:] if argv is None else argv)
    try:
        if not argv or argv[0] in ("-h", "--help", "help"):
            print(USAGE.format(configs=", ".join(_configs())))
            return 0 if argv else 2
        if argv[0] == "--version":
            print(f"ensgan {metadata.version('ensgan')}")
            return 0
        if argv[0] not in COMMANDS:
            raise unknown("command", argv[0], COMMANDS)
        return COMMANDS[argv[0]](argv[1:])
    except (InputError, OSError, MemoryError) as error:
        tell(error)
        return 2
    except KeyboardInterrupt as error:
        tell(error)
        return INTERRUPTED


def train(argv: list[str]) -> int:
    """Trains from a configuration; see `ensgan train --help`."""
    from ensgan import config, mesh, processes, runs
    from ensgan.training import TABLES

    named = argv[0] if argv and not argv[0].startswith("-") else None
    path = _config_file(DEFAULT if named is None else named)
    tree = {"name": path.stem, **config.read(path)}
    flags = [_flag(argument) for argument in argv[named is not None :]]

    def own(parser: ArgumentParser) -> None:
        parser.usage = (
            "ensgan train [CONFIG] [--run-dir DIR] [--overwrite] [--mesh SIZES] [--distributed] [--data NAME] "
            "[--data-dir DIR] [--key value ...]"
        )
        parser.add_argument(
            "--run-dir", type=str, default=None, help="folder of the run; runs/NAME-SEED-N if not given"
        )
        parser.add_argument("--overwrite", action="store_true", help="replace the run that is in the folder")
        for flag, kind, default, text in PLACE:
            _argument(parser, flag, kind, default, text)

    settings, options = config.parse(tree, TABLES, flags, extra=own)
    if options["run_dir"] is not None and not options["run_dir"].strip("\0 "):
        raise InputError("--run-dir is empty; give a folder, or leave it out for runs/NAME-SEED-N")
    with joined("train --overwrite" if options["overwrite"] else "train", options):
        given = options["run_dir"] or str(_free_directory(settings.name, settings.seed))
        directory = Path(given if options["run_dir"] else processes.from_first(given))
        outcome = runs.run(
            settings, directory, overwrite=options["overwrite"], watcher=_console(), sizes=mesh.parse(options["mesh"])
        )
        return _finish(outcome, directory)


def resume(argv: list[str]) -> int:
    """Goes on from the newest checkpoint."""
    from ensgan import mesh, processes, runs

    steps = ("--steps", int, None, "train until this step in all; the run's own number if not given")
    options = _options("resume", argv, [steps, *PLACE])
    overrides = {} if options["steps"] is None else {"steps": options["steps"]}
    with joined("resume", options):
        with processes.together():
            settings = runs.load_run(options["run"], overrides)
        outcome = runs.run(settings, options["run"], resume=True, watcher=_console(), sizes=mesh.parse(options["mesh"]))
        return _finish(outcome, options["run"])


def select(argv: list[str]) -> int:
    """Ranks both sides on the select split, fits mixtures of generators, and stores the one that `sample` takes."""
    from ensgan.selection import MIXTURES

    text = f"mixture to take: {', '.join(MIXTURES)}; the one that is best on the select split if not given"
    return _score("select", "select", argv, [("--method", str, None, text)])


def evaluate(argv: list[str]) -> int:
    """Measures on the report split; on ring, grid and labelled images also modes, beside a perfect sampler.

    `ensgan evaluate --real DIR --fake DIR` compares two folders of images instead; it has its own --help.
    """
    if {"--real", "--fake"} & {argument.partition("=")[0] for argument in argv}:
        return _evaluate_folders(argv)
    steps = ("--classifier-steps", int, 1500, "updates of the classifier that counts classes; 0 does without")
    return _score("evaluate", "report", argv, [steps])


def _evaluate_folders(argv: list[str]) -> int:
    """Compares two folders of images: distances with intervals, and the floor that reals get against reals."""
    from ensgan import comparison
    from ensgan.reporting import describe_floor, format_measured

    text = "identity compares pixels; classifier trains one on the reals, whose subfolders are the classes"
    options = _options(
        "evaluate",
        argv,
        [
            ("--real", str, None, "folder of real images"),
            ("--fake", str, None, "folder of images to measure"),
            ("--features", str, "identity", text),
            ("--size", int, None, "crop and resize all images to so many pixels a side; else they must have one size"),
            ("--pixels", int, comparison.PIXELS, "most pixels of a side for identity; larger images are averaged"),
            ("--classifier-steps", int, 1500, "updates of the classifier"),
            ("--num", int, None, "most images of each folder; all if not given"),
            ("--seed", int, 0, "of what is drawn at random"),
            ("--cache", str, None, "a folder that keeps features for the next time"),
        ],
        description=_evaluate_folders.__doc__,
        positional=False,
    )
    for flag in ("real", "fake"):
        if not options[flag]:
            raise InputError(f"--{flag} is missing; give `ensgan evaluate --real DIR --fake DIR`")
    if options["features"] not in ("identity", "classifier"):
        raise unknown("features", options["features"], ["identity", "classifier"])
    if options["num"] is not None and options["num"] < 4:
        raise InputError(f"--num is {options['num']}; give at least 4")
    if not 0 <= options["seed"] < 2**32:
        raise InputError(f"--seed is {options['seed']}; it must be at least 0 and below 2³²")
    steps = options["classifier_steps"] if options["features"] == "classifier" else 0
    if options["features"] == "classifier" and steps < 1:
        raise InputError(f"--classifier-steps is {steps}; give 1 or more")
    found, judge = comparison.compare_folders(
        options["real"],
        options["fake"],
        **{key: options[key] for key in ("size", "pixels", "num", "seed", "cache")},
        classifier_steps=steps,
    )
    print(f"{found.fakes} fakes against {found.reals} reals in the features: {found.features}")
    if judge is not None:
        print(
            "the classifier was trained on 40 % of the reals, which are not compared, and is right about "
            f"{judge.accuracy:.2%} of {judge.num} others"
        )
    print(format_measured({"value [95 % interval]": found.rows}))
    print(describe_floor(found))
    return 0


def _score(command: str, split: str, argv: list[str], more: Sequence[Any] = ()) -> int:
    from ensgan import evaluation, features, runs, selection
    from ensgan.reporting import (
        describe_classes,
        describe_distances,
        describe_mixtures,
        describe_modes,
        describe_players,
        describe_scores,
    )

    num = [("--num", int, None, "largest number of held-out samples, and of samples per generator for modes")]
    options = _options(command, argv, [*num, *more])
    if options.get("classifier_steps", 0) < 0:
        raise InputError(f"--classifier-steps is {options['classifier_steps']}; give 0 or more")
    method = options.get("method")
    if method not in (None, *selection.MIXTURES):
        raise unknown("method", method, selection.MIXTURES)
    settings = runs.load_run(options["run"])
    game, source, state = runs.restore(options["run"], settings)
    if options["num"] is not None and options["num"] < 8:
        raise InputError(f"--num is {options['num']}; scores need at least 8 samples")
    num, step = options["num"] or settings.held_out, int(state.step)
    before = runs.last_ratings(options["run"], step)
    scores = selection.select(game, state, source, num=num, split=split, fit=command == "select", before=before)
    if command == "evaluate":
        steps = options["classifier_steps"]
        if source.modes is None and steps and features.classifiable(source):
            text = f"training a classifier for {steps} steps, to count classes; --classifier-steps 0 does without"
            print(text, file=sys.stderr, flush=True)
        table = evaluation.evaluate_known(game, state, source, num=options["num"], seed=settings.seed, steps=steps)
        if table is not None:
            print((describe_modes(table) if source.modes is not None else describe_classes(table)) + "\n")
        best = selection.select(game, state, source, num=settings.held_out).best  # chosen on another split
        count = options["num"] or settings.held_out
        try:
            distances = evaluation.evaluate_distances(game, state, source, best, num=count, seed=settings.seed)
            print(describe_distances(distances) + "\n")
        except InputError as error:  # such as samples that are all equal; what follows is known all the same
            print(f"distances are not measured: {error}\n")
    print(describe_scores(scores, split))
    if scores.fitted is not None:
        meta = selection.meta_game(game, state, scores.fool)
        taken = runs.save_selection(options["run"], scores, meta, step, method)
        print("\n" + describe_players(scores, meta))
        print("\n" + describe_mixtures(scores.fitted))
        print(f"\n`ensgan sample {options['run']} --from mixture` now takes {taken}; all of this is in selection.json")
    return 0


def sample(argv: list[str]) -> int:
    """Draws samples into a file."""
    import jax
    import numpy as np

    import ensgan
    from ensgan import choices, runs, sampling
    from ensgan.data import to_uint8

    options = _options(
        "sample",
        argv,
        [
            ("--num", int, 64, "how many samples"),
            ("--out", str, "samples.png", "file to write, .png or .npz"),
            (
                "--from",
                str,
                None,
                "best, mixture or member:I; the mixture where members are parts, else the best; or average, the mean "
                "of the outputs of all generators at the same noise, which is no mixture, and blurred",
            ),
            ("--stratified", bool, False, "of a mixture, every generator makes its exact share of the samples"),
            ("--seed", int, 0, "seed of the samples"),
            (
                "--label",
                str,
                None,
                "classes in turn, such as 3 or 0,1,2, of a conditional run; each as likely as any other if not given",
            ),
            (
                "--refine",
                str,
                None,
                f"how samples are refined by the run's judge: {', '.join(sorted(sampling.METHODS))}",
            ),
            (
                "--budget",
                float,
                None,
                "of obrs and drs, the share of draws to accept, such as 0.5; of the others, steps for each sample",
            ),
            ("--rate", float, None, f"size of a step of {', '.join(sampling.GRADIENT)}"),
            *JUDGE,
        ],
    )
    out = Path(options["out"])
    if out.suffix not in (".png", ".npz"):
        raise InputError(f"--out is {out}; give a name that ends in .png or .npz")
    if not out.absolute().parent.is_dir():
        raise InputError(f"--out is {out}, but the folder {out.absolute().parent} does not exist; make it first")
    if not 0 <= options["seed"] < 2**32:
        raise InputError(f"--seed is {options['seed']}; it must be at least 0 and below 2³²")
    settings = runs.load_run(options["run"])
    game, source, state = runs.restore(options["run"], settings)
    most = MEMORY // (4 * int(np.prod(game.sample_shape)))
    if not 1 <= options["num"] <= most:
        raise InputError(f"--num is {options['num']}; give 1 to {most} at a time, and more with other seeds")
    asked = choices.classes(options["label"], game.classes)
    averaged = options["from"] == "average"
    if options["refine"] is not None:
        sampling.effort(options["refine"], options["budget"])  # what is wrong is told before a judge is fitted
    for flag in ("refine", "stratified"):
        if averaged and options[flag]:
            raise InputError(f"--{flag} is of a mixture, and an average of outputs is none; use --from mixture")
    if options["refine"] is not None and options["stratified"]:
        raise InputError("--stratified is of samples as they come, and --refine changes their shares; leave one out")
    choice = "mixture" if averaged else options["from"]
    weights, text = choices.weights(choice, game, state, source, settings, options["run"], ", or average")
    key = jax.random.key(options["seed"])
    label = sampling.labels(game, key, options["num"], None if asked is None else np.resize(asked, options["num"]))
    if options["refine"] is None:
        for flag in ("budget", "rate"):
            if options[flag] is not None:
                raise InputError(f"--{flag} is given without --refine; say how samples are refined: --refine obrs")
        if averaged:
            x = np.asarray(sampling.mean_output(game, state, key, options["num"], weights=weights, label=label))
            text = f"the average of outputs, weighed as {text},"
        else:
            how = {"weights": weights, "label": label, "stratified": options["stratified"]}
            x = np.asarray(ensgan.sample(game, state, key, options["num"], **how))
    else:
        x, label, cost = _refined(game, state, source, key, weights, asked, options)
        text = f"{text}, {cost},"
    image = len(game.sample_shape) == 3
    if out.suffix == ".npz":
        arrays: dict[str, Any] = {"x": x, **({"images": to_uint8(x)} if image else {})}
        np.savez(out, **arrays if label is None else {**arrays, "label": label})
    else:
        in_turn = len(asked) if asked is not None and 1 < len(asked) <= 20 else 0
        runs.save_picture(out, x, source.held_out("select", 1000)["x"], columns=in_turn)
    print(f"{options['num']} samples from {text} are in {out}")
    return 0


def export(argv: list[str]) -> int:
    """Writes a generator, the mixture or a discriminator as files that run without this library."""
    from ensgan import choices, config, exporting, runs

    text = "best, mixture, member:I or discriminator:J; the mixture where members are parts, else the best"
    options = _options(
        "export",
        argv,
        [
            ("--to", str, None, "folder to make"),
            ("--from", str, None, text),
            ("--overwrite", bool, False, "replace the export that is in the folder"),
        ],
    )
    if not options["to"]:
        raise InputError("--to is missing; give a folder to make")
    directory = Path(options["to"])
    exporting.check_target(directory, options["overwrite"])
    settings = runs.load_run(options["run"])
    game, source, state = runs.restore(options["run"], settings)
    kind, _, index = (options["from"] or "").partition(":")
    if kind == "discriminator":
        j = choices.member("discriminator", index, game.N)
        portable, text = exporting.judge(game, state, j), f"discriminator {j}"
    else:
        weights, text = choices.weights(
            options["from"], game, state, source, settings, options["run"], ", or discriminator:J"
        )
        portable = exporting.sampler(game, state, weights)
    about = {"what": text, "step": int(state.step), "run": config.to_dict(settings)}
    exporting.write(portable, directory, overwrite=options["overwrite"], about=about)
    print(f"{directory} holds {text}: {', '.join(sorted(path.name for path in directory.iterdir()))}")
    return 0


def judge(argv: list[str]) -> int:
    """Fits a judge of all discriminators, draws how far it can be trusted, and says of samples how real they look."""
    import numpy as np

    from ensgan import choices, runs
    from ensgan.data import checks, images
    from ensgan.data.source import dequantized

    options = _options(
        "judge",
        argv,
        [
            (
                "--input",
                str,
                None,
                "samples to judge, in a .npz or .npy, as `ensgan sample` writes them or as --data npz reads them",
            ),
            ("--out", str, None, "a .npz to write, with `probability` and `logit` of every sample"),
            ("--from", str, None, "what fakes are: best, mixture or member:I, as in `ensgan sample`"),
            *JUDGE,
        ],
    )
    out = None if options["out"] is None else Path(options["out"])
    if out is not None and options["input"] is None:
        raise InputError("--out is given without --input; name a .npz or .npy file of samples to judge")
    if out is not None and (out.suffix != ".npz" or not out.absolute().parent.is_dir()):
        raise InputError(f"--out is {out}; give a name that ends in .npz, in a folder that exists")
    path = x = label = None
    if options["input"] is not None:
        path = Path(options["input"])
        x, label = images.read_npz(path)
        x = dequantized(checks.checked_samples(x, f"samples in {path}"), np.random.default_rng(0), 256)
    settings = runs.load_run(options["run"])
    game, source, state = runs.restore(options["run"], settings)
    if x is not None and (len(x) == 0 or x.shape[1:] != game.sample_shape):
        raise InputError(
            f"{path} has samples [{len(x)}, *{x.shape[1:]}]; this run judges samples of {game.sample_shape}"
        )
    if x is not None and game.classes is not None:
        if label is None:
            raise InputError(
                f"{path} has no labels, and discriminators of this run are told classes; add them under 'y'"
            )
        label = checks.checked_labels(label, len(x), f"labels in {path}", game.classes)
    weights, text = choices.weights(options["from"], game, state, source, settings, options["run"])
    fitted = _judge(game, state, source, weights, options)
    picture = runs.save_judge(options["run"], fitted, _calibration(options), text, int(state.step))
    print(f"how far it can be trusted is drawn in {picture}; `ensgan report {options['run']}` shows it")
    if x is None:
        return 0
    log_ratio = fitted.log_ratio
    chunks = [slice(k, k + 1024) for k in range(0, len(x), 1024)]
    part = lambda c: x[c] if game.classes is None or label is None else (x[c], label[c])
    logit = np.concatenate([np.asarray(log_ratio(part(c))) for c in chunks])
    probability = np.exp(-np.logaddexp(0.0, -logit))
    print(f"probability of being real rather than from {text}, and its logit")
    for k in range(min(len(x), 20)):
        print(f"{k:>6} {probability[k]:>8.4f} {logit[k]:>9.3f}")
    if len(x) > 20:
        print(f"   ... and {len(x) - 20} more" + ("" if out else "; --out FILE.npz writes them all"))
    print(
        f"{len(x)} samples: mean probability {probability.mean():.4f}, {(logit > 0).mean():.1%} look more real than not"
    )
    if out is not None:
        np.savez(out, probability=probability.astype(np.float32), logit=logit)
    return 0


def _calibration(options: dict[str, Any]) -> str:
    from ensgan import sampling

    # Isotonic repairs any shape, but is flat in places.
    return options["calibrate"] or ("logistic" if options.get("refine") in sampling.GRADIENT else "isotonic")


def _judge(game: Any, state: Any, source: Any, weights: Any, options: dict[str, Any]) -> Any:
    """A judge of one sampler; what it is worth goes to stderr."""
    from ensgan import combine

    rule = options["rule"]
    fitted: Any = combine.fit(game, state, source, rule, calibrate=_calibration(options), weights=weights)
    before, after = fitted.before, fitted.after
    print(
        f"judge: {rule} of {game.N} discriminators, calibrated on held-out reals and as many draws of this sampler; on "
        f"the other half of both, before and after: Brier score {before.brier:.4f} {after.brier:.4f}, calibration "
        f"error {before.error:.4f} {after.error:.4f}, Z {before.z:.1f} {after.z:.1f}",
        file=sys.stderr,
        flush=True,
    )
    return fitted


def _refined(
    game: Any, state: Any, source: Any, key: Any, weights: Any, asked: list[int] | None, options: dict[str, Any]
) -> tuple[Any, Any, str]:
    """Refined samples, their labels, and what they cost; how near they are to held-out reals is printed."""
    import jax
    import numpy as np

    from ensgan import evaluation, reporting, sampling

    if asked is not None and len(asked) > 1:
        raise InputError("--refine takes one class or all of them; give --label one number, or leave it out")
    method, num = options["refine"], options["num"]
    reals = source.held_out("select", 1000) if method == "mh" and asked is None else None
    start = reals if reals is None else (reals["x"], reals["label"]) if game.classes else reals["x"]
    end, told = ("\r" if sys.stderr.isatty() else "\n"), [0]

    def progress(done: int) -> None:
        if 10 * done // num > told[0]:
            told[0] = 10 * done // num
            print(f"refined {done} of {num} samples", file=sys.stderr, end="\n" if done == num else end, flush=True)

    one = None if asked is None else asked[0]
    if method == "dot" and game.loss.logit != "uncalibrated":
        text = "dot takes the judge for a Kantorovich potential, as critics of the Wasserstein loss are; these are none"
        print(text, file=sys.stderr)
    got = sampling.refined(
        game,
        state,
        key,
        num,
        judge=_judge(game, state, source, weights, options),
        method=method,
        budget=options["budget"],
        rate=options["rate"],
        weights=weights,
        label=one,
        start=start,
        progress=progress,
    )
    x, label = got.x if game.classes is not None else (got.x, None)
    plain = sampling.sample(game, state, jax.random.fold_in(key, 1), min(num, 1000), weights=weights, label=one)
    table = evaluation.evaluate_refinement(source, plain, x, one)
    if table is not None:
        print(reporting.describe_refinement(table, method))
    size = "" if math.isnan(got.effective) else f", effective sample size {got.effective:.0f}"
    cost = (
        f"refined by {method} (acceptance {got.acceptance:.1%}; for each sample {got.generated:.1f} evaluations of "
        f"generators and {got.judged:.1f} of the judge{size})"
    )
    return np.asarray(x), None if label is None else np.asarray(label), cost


def report(argv: list[str]) -> int:
    """Writes the report again from what the run left."""
    from ensgan import runs
    from ensgan.reporting import write_reliability, write_report, write_samples

    run = _options("report", argv, [])["run"]
    runs.load_run(run)
    if (run / "samples.npz").is_file():
        write_samples(run)
    if (run / "judge.json").is_file():
        write_reliability(run)
    print(write_report(run))
    return 0


def plan(argv: list[str]) -> int:
    """Compiles one training step for devices that need not exist, and prints what it costs; nothing is run or read."""
    import functools
    import inspect
    import json

    from ensgan import choices, config, data, mesh, plan, training

    def unread(source: Callable[..., Any]) -> Callable[..., Any]:
        """The same options, for the parser: files need not be named."""
        options = functools.wraps(source)(lambda **options: source(**options))
        given = inspect.signature(source, eval_str=True).parameters.values()
        free = lambda p: p.replace(kind=p.KEYWORD_ONLY, default=None, annotation=p.annotation | None)
        options.__signature__ = inspect.Signature([free(p) if p.name == "path" else p for p in given])  # type: ignore[attr-defined]
        return options

    named = argv[0] if argv and not argv[0].startswith("-") else None
    path = _config_file(DEFAULT if named is None else named)
    tree = {"name": path.stem, **config.read(path)}
    own = ("--mesh", "--topology", "--bandwidth", "--peak", "--sample-shape", "--samples", "--json")

    def arguments(parser: ArgumentParser) -> None:
        parser.usage = f"ensgan plan [CONFIG] {' '.join(f'[{flag}]' for flag in own)} [--key value ...]"
        text = "sizes of the mesh, such as member=4,data=2, or auto: as many devices as fit; one device if not given"
        parser.add_argument("--mesh", type=str, default="", help=f"{text}, or auto with a topology")
        text = "TPUs to compile for, such as v5e:4x4 (needs libtpu); CPU devices, made up, if not given"
        parser.add_argument("--topology", type=str | None, default=None, help=text)
        parser.add_argument("--bandwidth", type=float, default=100.0, help="GB/s that a device sends")
        parser.add_argument("--peak", type=float, default=100.0, help="TFLOP/s that a device computes")
        text = "shape of a sample, such as 64,64,3, where only the files know it"
        parser.add_argument("--sample-shape", type=str | None, default=None, help=text)
        text = "how many samples there are, where only the files know it; 60,000 if not given"
        parser.add_argument("--samples", type=int | None, default=None, help=text)
        parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")

    tables = {**training.TABLES, "data": {name: unread(source) for name, source in data.SOURCES.items()}}
    flags = [_flag(argument) for argument in argv[named is not None :]]
    settings, options = config.parse(tree, tables, flags, prog="ensgan plan", extra=arguments)
    for flag in ("bandwidth", "peak"):
        if not 0 < options[flag] < math.inf:
            raise InputError(f"--{flag} is {options[flag]}; give a number above 0")
    auto = "auto" if options["topology"] is not None else "member=1,data=1"
    sizes = mesh.parse(options["mesh"] or auto)
    plan.virtual_devices(1 if sizes is None or options["topology"] is not None else sizes.devices)
    given = {"shape": choices.shape(options["sample_shape"]), "num": options["samples"]}
    outline = functools.partial(data.outline, settings.data.name, seed=settings.seed, **given, **settings.data.options)
    source = outline()
    game = training.build_game(settings, source.shape, source.num["train"])
    if source.classes is None:
        source = outline(classes=game.classes)
    source = training.viewed(settings, source)
    found = plan.plan(game, source, sizes, topology=options["topology"])
    rates = {"bandwidth": 1e9 * options["bandwidth"], "peak": 1e12 * options["peak"]}
    if options["json"]:
        share = found.communication_share(**rates)
        print(json.dumps({"config": settings.name, **found.as_dict(), **rates, "communication_share": share}))
    else:
        print(plan.describe(found, name=settings.name, source=source, **rates))
    return 0


def methods(argv: list[str]) -> int:
    """Prints the table of methods."""
    from ensgan import methods

    if {"-h", "--help"} & set(argv):
        print("usage: ensgan methods\n\nEvery method has a configuration: `ensgan train methods/NAME`.")
        return 0
    if argv:
        raise InputError(
            f"unknown argument {argv[0]}; `ensgan methods` takes none, `ensgan train methods/NAME` runs one"
        )
    print(methods.table())
    print(f"\n{methods.LEGEND}")
    print(
        "\nEach has a configuration: `ensgan train methods/NAME`. Numbers are arXiv papers; docs/methods.md says more."
    )
    return 0


COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "train": train,
    "resume": resume,
    "select": select,
    "evaluate": evaluate,
    "sample": sample,
    "export": export,
    "judge": judge,
    "report": report,
    "plan": plan,
    "methods": methods,
}


def _finish(outcome: Any, directory: Path) -> int:
    from ensgan import processes
    from ensgan.reporting import describe_scores

    if not processes.first():
        return 0 if outcome.stopped_by is None else 128 + outcome.stopped_by
    if outcome.stopped_by is not None:
        print(f"stopped by signal {outcome.stopped_by} at step {outcome.step}; go on with: ensgan resume {directory}")
        return 128 + outcome.stopped_by
    if outcome.scores is not None:
        print(describe_scores(outcome.scores))
    print(f"\npictures: {directory / 'samples.png'}\nreport:   {directory / 'report.html'}")
    print(f"more:     ensgan sample {directory} --num 100 --out more.png")
    return 0


def _options(
    command: str,
    argv: list[str],
    arguments: list[tuple[str, type, Any, str]],
    *,
    description: str | None = None,
    positional: bool = True,
) -> dict[str, Any]:
    """The run directory, if there is one, and the options of a command that works on what a run left."""
    from ensgan.config import plain_type_error

    parser = ArgumentParser(
        prog=f"ensgan {command}",
        description=description or COMMANDS[command].__doc__,
        exit_on_error=False,
        allow_abbrev=False,
    )
    if positional:
        parser.add_argument("run", type=str, help="the run's folder")
    for flag, kind, default, text in arguments:
        _argument(parser, flag, kind, default, text)
    try:
        options = parser.parse_args(argv).as_dict()
    except ArgumentError as error:
        raise InputError(f"{plain_type_error(' '.join(str(error).split()))}; see `ensgan {command} --help`") from error
    if not positional:
        return options
    if not options["run"]:
        raise InputError(f"the run's folder is empty; see `ensgan {command} --help`")
    return {**options, "run": Path(options["run"])}


def _argument(parser: ArgumentParser, flag: str, kind: type, default: Any, text: str) -> None:
    if kind is bool:
        parser.add_argument(flag, action="store_true", help=text)
    else:
        parser.add_argument(flag, type=kind if default is not None else kind | None, default=default, help=text)


def _flag(argument: str) -> str:
    """`--data-dir` is `--data.path`, and `--batch-size` is `--batch_size`."""
    key, equals, value = argument.partition("=")
    mine = ("--run-dir", "--sample-shape", *(flag for flag, *_ in PLACE))
    if not key.startswith("--") or key in mine:
        return argument
    return ("--data.path" if key == "--data-dir" else "--" + key[2:].replace("-", "_")) + equals + value


def _configs(folder: str = "") -> dict[str, Path]:
    """Configurations that ship with the package, by name; those of a folder of them, such as `methods`, are apart."""
    root = Path(str(resources.files("ensgan.configs")))
    return {f"{folder}{'/' * bool(folder)}{path.stem}": path for path in sorted((root / folder).glob("*.toml"))}


def _config_file(name: str) -> Path:
    path = Path(name)
    if path.suffix or path.is_file():
        if not path.is_file():
            raise InputError(f"there is no configuration {name}; give a .toml file, or one of: {', '.join(_configs())}")
        return path
    known = {**_configs(), **_configs("methods")}
    if name not in known:
        shown = [*_configs(), "methods/NAME of `ensgan methods`"] if "/" not in name else _configs("methods")
        raise unknown("configuration", name, shown)
    return known[name]


def _free_directory(name: str, seed: int) -> Path:
    n = 1
    while (directory := Path("runs") / f"{name}-{seed}-{n}").exists():
        n += 1
    return directory


def _console() -> Any:
    """What tells how it goes; the first of several processes speaks for all."""
    from ensgan import processes
    from ensgan.reporting import Console, Watcher

    return Console(sys.stderr) if processes.first() else Watcher()


def command() -> None:
    """The program `ensgan`."""
    # When a checkpoint cannot be written or read, each of Orbax's threads and tasks reports its own traceback on the
    # way down; the error itself reaches `main` and is told in one line.
    for name in ("absl", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    sys.unraisablehook = _quiet
    warnings.filterwarnings("ignore", message="coroutine .* was never awaited")
    try:
        code = main()
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of a pipe has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except KeyboardInterrupt:
        code = INTERRUPTED
    if code == INTERRUPTED:
        os._exit(code)  # a program that was interrupted while it compiles would crash on its orderly way out
    sys.exit(code)


def _quiet(unraisable: Any) -> None:
    """Says nothing of errors in destructors, but does not swallow the user's Ctrl-C either."""
    if issubclass(unraisable.exc_type, KeyboardInterrupt):
        os._exit(INTERRUPTED)


if __name__ == "__main__":
    command()
