"""The command line: `ensgan train | resume | select | evaluate | sample | judge | report | plan | methods`."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import re
import signal
import sys
import traceback
import warnings
from argparse import ArgumentError
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from ensgan.types import InputError, unknown

DEFAULT = "digits_4x4"
MEMORY = 2**32  # bytes of samples that one command holds
INTERRUPTED = 128 + signal.SIGINT
SAFE = "Complete checkpoints are safe: start all processes again, with `ensgan resume RUN` if there are any"
# What JAX's errors say, of whatever type, when a process does not answer any more.
LOST = r"Gloo|NCCL|[Cc]oordination ?[Ss]ervice|Connection closed by peer|sync_global_devices|Barrier (failed|timed out)"
LAST_WORDS = (
    "ensgan: this process was ended from outside, most likely because another process of its run had ended, as the "
    f"last lines of that one say, or had the same --process-id. {SAFE}\n"
)
# Where a command computes: arguments of the commands that train.
PLACE: list[tuple[str, type, Any, str]] = [
    ("--mesh", str, "auto", "devices for members and for samples, such as member=4,data=2; auto uses what there is"),
    (
        "--distributed",
        bool,
        False,
        "one of several processes, as Slurm, Open MPI, Kubernetes or a TPU pod started them",
    ),
    ("--coordinator", str, None, "host:port of process 0, for several processes started by hand"),
    ("--num-processes", int, None, "how many processes there are, with --coordinator"),
    ("--process-id", int, None, "which of them this is, from 0, with --coordinator"),
    ("--local-devices", str, None, "numbers of the local devices that this process takes, such as 0,1"),
    ("--join-timeout", int, 120, "seconds to wait for the other processes"),
]
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
  select RUN                         rank generators and discriminators on held-out data
  evaluate RUN                       measure the generators on the report split
  sample RUN --num N --out FILE      draw samples into a .png or .npz; --refine METHOD makes them better
  judge RUN --input FILE             say of samples in a .npz or .npy how real they look
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
        _tell(error)
        return 2
    except KeyboardInterrupt as error:
        _tell(error)
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
    with _joined("train --overwrite" if options["overwrite"] else "train", options):
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
    with _joined("resume", options):
        with processes.together():
            settings = runs.load_run(options["run"], overrides)
        outcome = runs.run(settings, options["run"], resume=True, watcher=_console(), sizes=mesh.parse(options["mesh"]))
        return _finish(outcome, options["run"])


def select(argv: list[str]) -> int:
    """Ranks both sides on the select split."""
    return _score("select", "select", argv)


def evaluate(argv: list[str]) -> int:
    """Measures on the report split; on ring, grid and labelled images also modes, beside a perfect sampler."""
    steps = ("--classifier-steps", int, 1500, "updates of the classifier that counts classes; 0 does without")
    return _score("evaluate", "report", argv, [steps])


def _score(command: str, split: str, argv: list[str], more: Sequence[Any] = ()) -> int:
    from ensgan import evaluation, features, runs, selection

    num = [("--num", int, None, "largest number of held-out samples, and of samples per generator for modes")]
    options = _options(command, argv, [*num, *more])
    if options.get("classifier_steps", 0) < 0:
        raise InputError(f"--classifier-steps is {options['classifier_steps']}; give 0 or more")
    settings = runs.load_run(options["run"])
    game, source, state = runs.restore(options["run"], settings)
    if options["num"] is not None and options["num"] < 8:
        raise InputError(f"--num is {options['num']}; scores need at least 8 samples")
    scores = selection.select(game, state, source, num=options["num"] or settings.held_out, split=split)
    if command == "evaluate":
        steps = options["classifier_steps"]
        if source.modes is None and steps and features.classifiable(source):
            text = f"training a classifier for {steps} steps, to count classes; --classifier-steps 0 does without"
            print(text, file=sys.stderr, flush=True)
        table = evaluation.evaluate_known(game, state, source, num=options["num"], seed=settings.seed, steps=steps)
        if table is not None:
            print((_modes(table) if source.modes is not None else _class_scores(table)) + "\n")
    print(describe(scores, split))
    return 0


def sample(argv: list[str]) -> int:
    """Draws samples into a file."""
    import jax
    import numpy as np

    import ensgan
    from ensgan import runs, sampling
    from ensgan.data import to_uint8

    options = _options(
        "sample",
        argv,
        [
            ("--num", int, 64, "how many samples"),
            ("--out", str, "samples.png", "file to write, .png or .npz"),
            ("--from", str, None, "best, mixture or member:I; the mixture where members are parts, else the best"),
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
    asked = _classes(options["label"], game.classes)
    if options["refine"] is not None:
        sampling.effort(options["refine"], options["budget"])  # what is wrong is told before a judge is fitted
    weights, text = _weights(options["from"], game, state, source, settings)
    key = jax.random.key(options["seed"])
    label = sampling.labels(game, key, options["num"], None if asked is None else np.resize(asked, options["num"]))
    if options["refine"] is None:
        for flag in ("budget", "rate"):
            if options[flag] is not None:
                raise InputError(f"--{flag} is given without --refine; say how samples are refined: --refine obrs")
        x = np.asarray(ensgan.sample(game, state, key, options["num"], weights=weights, label=label))
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


def judge(argv: list[str]) -> int:
    """Says of samples in a file how real they look to all discriminators together."""
    import numpy as np

    from ensgan import runs
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
                "samples in a .npz or .npy, as `ensgan sample` writes them or as --data npz reads them",
            ),
            ("--out", str, None, "a .npz to write, with `probability` and `logit` of every sample"),
            ("--from", str, None, "what fakes are: best, mixture or member:I, as in `ensgan sample`"),
            *JUDGE,
        ],
    )
    if options["input"] is None:
        raise InputError("--input is missing; name a .npz or .npy file of samples")
    path, out = Path(options["input"]), None if options["out"] is None else Path(options["out"])
    if out is not None and (out.suffix != ".npz" or not out.absolute().parent.is_dir()):
        raise InputError(f"--out is {out}; give a name that ends in .npz, in a folder that exists")
    x, label = images.read_npz(path)
    x = dequantized(checks.checked_samples(x, f"samples in {path}"), np.random.default_rng(0), 256)
    settings = runs.load_run(options["run"])
    game, source, state = runs.restore(options["run"], settings)
    if len(x) == 0 or x.shape[1:] != game.sample_shape:
        raise InputError(
            f"{path} has samples [{len(x)}, *{x.shape[1:]}]; this run judges samples of {game.sample_shape}"
        )
    if game.classes is not None:
        if label is None:
            raise InputError(
                f"{path} has no labels, and discriminators of this run are told classes; add them under 'y'"
            )
        label = checks.checked_labels(label, len(x), f"labels in {path}", game.classes)
    weights, text = _weights(options["from"], game, state, source, settings)
    log_ratio = _judge(game, state, source, weights, options).log_ratio
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


def _judge(game: Any, state: Any, source: Any, weights: Any, options: dict[str, Any]) -> Any:
    """A judge of one sampler; what it is worth goes to stderr."""
    from ensgan import combine, sampling

    rule = options["rule"]
    # Isotonic repairs any shape, but is flat in places.
    calibrate = options["calibrate"] or ("logistic" if options.get("refine") in sampling.GRADIENT else "isotonic")
    fitted: Any = combine.fit(game, state, source, rule, calibrate=calibrate, weights=weights)
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
    """Refined samples, their labels, and what they cost."""
    import numpy as np

    from ensgan import sampling

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
        label=None if asked is None else asked[0],
        start=start,
        progress=progress,
    )
    x, label = got.x if game.classes is not None else (got.x, None)
    size = "" if math.isnan(got.effective) else f", effective sample size {got.effective:.0f}"
    cost = (
        f"refined by {method} (acceptance {got.acceptance:.1%}; for each sample {got.generated:.1f} evaluations of "
        f"generators and {got.judged:.1f} of the judge{size})"
    )
    return np.asarray(x), None if label is None else np.asarray(label), cost


def report(argv: list[str]) -> int:
    """Writes the report again from what the run left."""
    from ensgan import runs
    from ensgan.reporting import write_report, write_samples

    run = _options("report", argv, [])["run"]
    runs.load_run(run)
    if (run / "samples.npz").is_file():
        write_samples(run)
    print(write_report(run))
    return 0


def plan(argv: list[str]) -> int:
    """Compiles one training step for devices that need not exist, and prints what it costs; nothing is run or read."""
    import functools
    import inspect
    import json

    from ensgan import config, data, mesh, plan, training

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
    given = {"shape": _shape(options["sample_shape"]), "num": options["samples"]}
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


def _shape(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    sizes = text.replace("x", ",").replace("×", ",").split(",")
    if not all(size.strip().isascii() and size.strip().isdecimal() for size in sizes):
        raise InputError(f"--sample-shape is {text!r}; give H,W,C of images, such as 64,64,3, or D of points")
    return tuple(int(size) for size in sizes)


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
    "judge": judge,
    "report": report,
    "plan": plan,
    "methods": methods,
}


def describe(scores: Any, split: str = "select") -> str:
    """The score matrix and both rankings as text, and how they were made."""
    from ensgan.reporting import format_matrix, format_ranking

    rows = [f"generator {i}" for i in range(len(scores.fool))]
    columns = [f"D{j}" for j in range(scores.fool.shape[1])]
    lines = [
        f"score matrix on {scores.num} held-out reals ({split} split) and common noise:",
        "P(D_j scores a fake of G_i above a real), ideal 0.5",
        format_matrix(scores.fool, rows, columns),
        "",
        "the same as mean σ(s − r)",
        format_matrix(scores.probability, rows, columns),
        "",
        f"generators by |S(G) − 0.5| and MMD together (MMD² of training reals: {scores.mmd_floor:.5f})",
    ]
    ranking = format_ranking(list(scores.rank_g), scores.score_g.value, scores.score_g.error).splitlines()
    for place, line in zip(scores.rank_g, ranking, strict=True):
        value, error, cover = scores.mmd.value[place], scores.mmd.error[place], scores.coverage[place]
        lines.append(f"{line}   MMD² {value:.5f} ± {error:.5f}   covers {cover:.0%} of held-out reals")
    lines += [
        f"the mixture covers {scores.coverage[-1]:.0%}, training reals {scores.coverage_floor:.0%}",
        "",
        "discriminators by S(D), the mean AUC of telling reals from the fakes of each generator",
        format_ranking(list(scores.rank_d), scores.score_d.value, scores.score_d.error, "discriminator"),
    ]
    if scores.members == "parts":
        lines.append(
            f"members are parts of the mixture: the best one, generator {scores.best}, covers "
            f"{scores.coverage[scores.best]:.0%} of held-out reals, the mixture {scores.coverage[-1]:.0%}"
        )
    return "\n".join(lines)


def _modes(table: Any) -> str:
    head = f"{'':<16} modes/{table.total:<3} high quality   KL to uniform   spread"
    rows = [
        f"{name:<16} {s.modes:>7.1f}   {s.hq:>11.2%}   {s.kl:>13.4f}   {s.spread:>6.2f}"
        for name, s in zip(table.names, table.scores, strict=True)
    ]
    e = table.perfect_error
    last = f"{'   its deviation':<16} {e.modes:>7.1f}   {e.hq:>11.2%}   {e.kl:>13.4f}   {e.spread:>6.2f}"
    note = (
        f"{table.num} samples each; high quality is within 3 standard deviations of a mode, spread 1 is the true width"
    )
    return "\n".join([note, head, *rows, last])


def _class_scores(table: Any) -> str:
    judge = table.classifier
    note = (
        f"{table.num} samples each; their classes are those of the classifier {judge.name}, which was trained on the "
        f"train split\nand is right about {judge.accuracy:.2%} of {judge.num} held-out images (select split)"
    )
    head = f"{'':<16} modes/{table.total:<5} KL to uniform   KL to data   TV to data   certainty"
    rows = [
        f"{name:<16} {s.modes:>9.1f}   {s.kl:>13.4f}   {s.kl_law:>10.4f}   {s.tv:>10.4f}   "
        + (f"{certainty:>9.2%}" if math.isfinite(certainty) else f"{'-':>9}")
        for name, s, certainty in zip(table.names, table.scores, table.certainty, strict=True)
    ]
    return "\n".join([note, head, *rows])


def _weights(choice: str | None, game: Any, state: Any, source: Any, settings: Any) -> tuple[Any, str]:
    """Weights over generators for `--from`, and what they are called."""
    import numpy as np

    from ensgan import selection

    choice = choice or ("mixture" if game.members == "parts" else "best")
    if choice == "mixture":
        kind = "uniform" if game.pairing.mixture is None else "learned"
        return game.mixture(state), f"the {kind} mixture of {game.M} generators"
    if choice == "best":
        scores = selection.select(game, state, source, num=settings.held_out)
        if scores.members == "parts":
            print(
                f"generator {scores.best} covers {scores.coverage[scores.best]:.0%} of held-out reals, "
                f"the mixture {scores.coverage[-1]:.0%}",
                file=sys.stderr,
            )
        return np.eye(game.M)[scores.best], f"generator {scores.best}, the best"
    kind, _, index = choice.partition(":")
    if kind != "member" or not (index.isascii() and index.isdecimal()):
        raise InputError(f"--from is {choice!r}; give best, mixture, or member:I with I from 0 to {game.M - 1}")
    if int(index) >= game.M:
        raise InputError(f"--from asks for member {index}; the run has generators 0 to {game.M - 1}")
    return np.eye(game.M)[int(index)], f"generator {index}"


def _classes(choice: str | None, classes: int | None) -> list[int] | None:
    """The classes that `--label` asks for."""
    if choice is None:
        return None
    if classes is None:
        raise InputError("--label is given, but the generators of this run are told no class; leave it out")
    parts = [part.strip() for part in choice.split(",")]
    if not all(re.fullmatch("[0-9]{1,9}", part) and int(part) < classes for part in parts):
        raise InputError(f"--label is {choice!r}; give one class or several, such as 0,1, from 0 to {classes - 1}")
    return [int(part) for part in parts]


def _finish(outcome: Any, directory: Path) -> int:
    from ensgan import processes

    if not processes.first():
        return 0 if outcome.stopped_by is None else 128 + outcome.stopped_by
    if outcome.stopped_by is not None:
        print(f"stopped by signal {outcome.stopped_by} at step {outcome.step}; go on with: ensgan resume {directory}")
        return 128 + outcome.stopped_by
    if outcome.scores is not None:
        print(describe(outcome.scores))
    print(f"\npictures: {directory / 'samples.png'}\nreport:   {directory / 'report.html'}")
    print(f"more:     ensgan sample {directory} --num 100 --out more.png")
    return 0


def _options(command: str, argv: list[str], arguments: list[tuple[str, type, Any, str]]) -> dict[str, Any]:
    """The run directory and the options of a command that works on a run."""
    from ensgan.config import plain_type_error

    parser = ArgumentParser(
        prog=f"ensgan {command}", description=COMMANDS[command].__doc__, exit_on_error=False, allow_abbrev=False
    )
    parser.add_argument("run", type=str, help="the run's folder")
    for flag, kind, default, text in arguments:
        _argument(parser, flag, kind, default, text)
    try:
        options = parser.parse_args(argv).as_dict()
    except ArgumentError as error:
        raise InputError(f"{plain_type_error(' '.join(str(error).split()))}; see `ensgan {command} --help`") from error
    if not options["run"]:
        raise InputError(f"the run's folder is empty; see `ensgan {command} --help`")
    return {**options, "run": Path(options["run"])}


def _argument(parser: ArgumentParser, flag: str, kind: type, default: Any, text: str) -> None:
    if kind is bool:
        parser.add_argument(flag, action="store_true", help=text)
    else:
        parser.add_argument(flag, type=kind if default is not None else kind | None, default=default, help=text)


@contextlib.contextmanager
def _joined(command: str, options: dict[str, Any]) -> Iterator[None]:
    """One of several processes, if the command line says so, until the end of the block."""
    from ensgan import mesh, processes

    mesh.parse(options["mesh"])  # wrong sizes are told before anybody waits for anybody
    explicit = (options["coordinator"], options["num_processes"], options["process_id"])
    devices = options["local_devices"]
    if not options["distributed"] and explicit == (None, None, None):
        if devices is not None:
            raise InputError("--local-devices is given to a process alone; add --distributed, or --coordinator")
        yield
        return
    if devices is not None and not re.fullmatch(r"\d+(,\d+)*", devices):
        raise InputError(f"--local-devices is {devices!r}; give numbers of devices, such as 0,1")
    numbers = None if devices is None else [int(number) for number in devices.split(",")]
    processes.join(*explicit, numbers, timeout=options["join_timeout"])
    in_order = processes.last_words(LAST_WORDS)
    try:
        processes.check_same({"the command": command})  # those of another one would not take the steps that follow
        yield
    except BaseException as error:
        if not isinstance(error, processes.Agreed):  # the others know nothing of it, and would wait for this process
            code = INTERRUPTED if isinstance(error, KeyboardInterrupt) else 2
            _tell(error)
            in_order()
            os._exit(code)
        if not processes.first():
            in_order()
            sys.exit(2)
        raise
    finally:
        in_order()


def _tell(error: BaseException) -> None:
    """One line on stderr for what a user did, a traceback for what we did."""
    if isinstance(error, InputError | OSError | MemoryError):
        text = str(error) if isinstance(error, InputError) else _system(error)
        print(f"ensgan: {' '.join(text.split())}", file=sys.stderr, flush=True)
    elif isinstance(error, KeyboardInterrupt):
        print("ensgan: interrupted", file=sys.stderr, flush=True)
    elif isinstance(error, Exception) and re.search(LOST, str(error)):
        text = " ".join(str(error).split())[:160]
        print(f"ensgan: another process of this run has ended ({text}). {SAFE}", file=sys.stderr, flush=True)
    else:
        traceback.print_exception(error)
    sys.stdout.flush()


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


def _system(error: BaseException) -> str:
    if isinstance(error, OSError):
        place = f": {error.filename}" if error.filename else ""
        return f"{error.strerror or error}{place}"
    return "out of memory; lower batch_size or the number of members"


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
