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

from ensgan.cli.distributed import INTERRUPTED, PLACE, joined, tell
from ensgan.types import InputError, out_of_memory, unknown

DEFAULT = "digits_4x4"
# How discriminators become one judge: arguments of the commands that need one.
JUDGE: list[tuple[str, type, Any, str]] = [
    ("--rule", str, None, "stacking if not given; forest, weighted, nash, mean_logit, median and more"),
    (
        "--calibrate",
        str,
        None,
        "temperature, logistic or isotonic; isotonic if not given, logistic where gradients count",
    ),
]
NUM = ("--num", int, None, "largest number of held-out samples, and of samples per generator for modes")
INCEPTION = (
    "--inception",
    str,
    None,
    "compare images by Inception-v3 with the weights in this file: FID, KID and more",
)
CACHE = ("--cache", str, None, "a folder that keeps features, means and covariances for the next time")
REPEATS = ("--repeats", int, None, "halves that intervals are taken from, 100 if not given; 0 does without")
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
    except (InputError, OSError) as error:
        tell(error)
        return 2
    except KeyboardInterrupt as error:
        tell(error)
        return INTERRUPTED
    except Exception as error:
        if not out_of_memory(error):
            raise
        tell(error)
        return 2


def train(argv: list[str]) -> int:
    """Trains from a configuration; see `ensgan train --help`."""
    from ensgan.devices import mesh, processes
    from ensgan.runs import config
    from ensgan.runs.build import TABLES
    from ensgan.runs.parsing import parse
    from ensgan.runs.run import run

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

    settings, options = parse(tree, TABLES, flags, extra=own)
    if options["run_dir"] is not None and not options["run_dir"].strip("\0 "):
        raise InputError("--run-dir is empty; give a folder, or leave it out for runs/NAME-SEED-N")
    command = " ".join(
        ["train", *(f"--{name.replace('_', '-')}" for name in ("overwrite", "run_dir") if options[name])]
    )
    with joined(command, options):
        free = lambda: processes.from_first(str(_free_directory(settings.name, settings.seed)))
        directory = Path(options["run_dir"] or free())
        outcome = run(
            settings, directory, overwrite=options["overwrite"], watcher=_console(), sizes=mesh.parse(options["mesh"])
        )
        return _finish(outcome, directory)


def resume(argv: list[str]) -> int:
    """Goes on from the newest checkpoint."""
    from ensgan.devices import mesh, processes
    from ensgan.runs.restore import load_run
    from ensgan.runs.run import run

    steps = ("--steps", int, None, "train until this step in all; the run's own number if not given")
    options = _options("resume", argv, [steps, *PLACE])
    overrides = {} if options["steps"] is None else {"steps": options["steps"]}
    with joined("resume", options):
        with processes.together():
            settings = load_run(options["run"], overrides)
        outcome = run(settings, options["run"], resume=True, watcher=_console(), sizes=mesh.parse(options["mesh"]))
        return _finish(outcome, options["run"])


def select(argv: list[str]) -> int:
    """Ranks both sides on the select split, fits mixtures of generators, and stores the one that `sample` takes."""
    from ensgan.cli.select import select
    from ensgan.evaluation.selection import MIXTURES

    text = f"mixture to take: {', '.join(MIXTURES)}; the one that is best on the select split if not given"
    select(**_options("select", argv, [NUM, ("--method", str, None, text)]))
    return 0


def evaluate(argv: list[str]) -> int:
    """Measures on the report split; on ring, grid and labelled images also modes, beside a perfect sampler.

    `ensgan evaluate --real DIR --fake DIR` compares two folders of images instead; it has its own --help.
    """
    from ensgan.cli.evaluate import evaluate

    if {"--real", "--fake"} & {argument.partition("=")[0] for argument in argv}:
        return _evaluate_folders(argv)
    steps = ("--classifier-steps", int, 1500, "updates of the classifier that counts classes; 0 does without")
    evaluate(**_options("evaluate", argv, [NUM, steps, INCEPTION, REPEATS, CACHE]))
    return 0


def _evaluate_folders(argv: list[str]) -> int:
    """Compares two folders of images: distances with intervals, and the floor that reals get against reals."""
    from ensgan.cli.folders import evaluate_folders

    text = "identity compares pixels; classifier trains one on the reals, whose subfolders are the classes"
    options = _options(
        "evaluate",
        argv,
        [
            ("--real", str, None, "folder of real images"),
            ("--fake", str, None, "folder of images to measure"),
            ("--features", str, "identity", text),
            INCEPTION,
            ("--moments", bool, False, "the Fréchet distance alone, without an interval: no features need be held"),
            ("--size", int, None, "crop and resize all images to so many pixels a side; else they must have one size"),
            ("--pixels", int, None, "most pixels of a side for identity, 8 if not given; larger images are averaged"),
            ("--classifier-steps", int, None, "updates of the classifier; 1500 if not given"),
            ("--num", int, None, "most images of each folder; all if not given"),
            ("--seed", int, 0, "of what is drawn at random"),
            REPEATS,
            CACHE,
        ],
        description=_evaluate_folders.__doc__,
        positional=False,
    )
    evaluate_folders(**options)
    return 0


def sample(argv: list[str]) -> int:
    """Draws samples into a file."""
    from ensgan.cli.sample import sample_file
    from ensgan.sampling.refinement import METHODS

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
                f"how samples are refined by the run's judge: {', '.join(sorted(METHODS))}",
            ),
            (
                "--budget",
                float,
                None,
                "of obrs and drs, the share of draws to accept, such as 0.5; of the others, steps for each sample",
            ),
            (
                "--rate",
                float,
                None,
                "size of a step of the methods that follow gradients",
            ),
            *JUDGE,
        ],
    )
    out, num, choice = Path(options.pop("out")), options.pop("num"), options.pop("from")
    sample_file(options.pop("run"), out, num, choice=choice, **options)
    return 0


def export(argv: list[str]) -> int:
    """Writes a generator, the mixture or a discriminator as files that run without this library."""
    from ensgan.cli import choices
    from ensgan.runs import config, export
    from ensgan.runs.restore import load_run, restore

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
    export.check_target(directory, options["overwrite"])
    settings = load_run(options["run"])
    game, source, state = restore(options["run"], settings)
    kind, _, index = (options["from"] or "").partition(":")
    if kind == "discriminator":
        j = choices.member("discriminator", index, game.N)
        portable, text = export.judge(game, state, j), f"discriminator {j}"
    else:
        weights, text = choices.weights(
            options["from"], game, state, source, settings, options["run"], ", or discriminator:J"
        )
        portable = export.sampler(game, state, weights)
    about = {"what": text, "step": int(state.step), "run": config.to_dict(settings)}
    export.write(portable, directory, overwrite=options["overwrite"], about=about)
    print(f"{directory} holds {text}: {', '.join(sorted(path.name for path in directory.iterdir()))}")
    return 0


def judge(argv: list[str]) -> int:
    """Fits a judge of all discriminators, draws how far it can be trusted, and says of samples how real they look."""
    from ensgan.cli.judge import judge

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
    judge(options.pop("run"), options.pop("input"), choice=options.pop("from"), **options)
    return 0


def report(argv: list[str]) -> int:
    """Writes the report again from what the run left."""
    from ensgan.reporting import write_reliability, write_report, write_samples
    from ensgan.runs.restore import load_run

    run = _options("report", argv, [])["run"]
    load_run(run)
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

    from ensgan import data
    from ensgan.cli import choices
    from ensgan.cli.plan import describe
    from ensgan.devices import mesh
    from ensgan.runs import config
    from ensgan.runs.build import TABLES, build_game, viewed
    from ensgan.runs.parsing import parse
    from ensgan.runs.plan import plan, virtual_devices

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
        text = "sizes of the mesh, such as member=4,data=2; auto, all devices that fit, is that of a topology"
        parser.add_argument("--mesh", type=str, default="", help=f"{text}; one device if not given, or auto with one")
        text = "TPUs to compile for, such as v5e:4x4 (needs libtpu); CPU devices, made up, if not given"
        parser.add_argument("--topology", type=str | None, default=None, help=text)
        parser.add_argument("--bandwidth", type=float, default=100.0, help="GB/s that a device sends")
        parser.add_argument("--peak", type=float, default=100.0, help="TFLOP/s that a device computes")
        text = "shape of a sample, such as 64,64,3, where only the files know it"
        parser.add_argument("--sample-shape", type=str | None, default=None, help=text)
        text = "how many samples there are, where only the files know it; 60,000 if not given"
        parser.add_argument("--samples", type=int | None, default=None, help=text)
        parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")

    tables = {**TABLES, "data": {name: unread(source) for name, source in data.SOURCES.items()}}
    flags = [_flag(argument) for argument in argv[named is not None :]]
    settings, options = parse(tree, tables, flags, prog="ensgan plan", extra=arguments)
    for flag in ("bandwidth", "peak"):
        if not 0 < options[flag] < math.inf:
            raise InputError(f"--{flag} is {options[flag]}; give a number above 0")
    auto = "auto" if options["topology"] is not None else "member=1,data=1"
    sizes = mesh.parse(options["mesh"] or auto)
    if sizes is None and options["topology"] is None:
        raise InputError("--mesh auto says no number of devices; give sizes, such as member=4,data=2, or a --topology")
    virtual_devices(1 if sizes is None or options["topology"] is not None else sizes.devices)
    given = {"shape": choices.shape(options["sample_shape"]), "num": options["samples"]}
    outline = functools.partial(data.outline, settings.data.name, seed=settings.seed, **given, **settings.data.options)
    source = outline()
    game = build_game(settings, source.shape, source.num["train"])
    if source.classes is None:
        source = outline(classes=game.classes)
    source = viewed(settings, source)
    found = plan(game, source, sizes, topology=options["topology"])
    rates = {"bandwidth": 1e9 * options["bandwidth"], "peak": 1e12 * options["peak"]}
    if options["json"]:
        share = found.communication_share(**rates)
        print(json.dumps({"config": settings.name, **found.as_dict(), **rates, "communication_share": share}))
    else:
        print(describe(found, name=settings.name, source=source, **rates))
    return 0


def methods(argv: list[str]) -> int:
    """Prints the table of methods."""
    from ensgan.cli import methods

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
    from ensgan.devices import processes
    from ensgan.evaluation.text import describe_scores

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
    from ensgan.runs.parsing import plain_type_error

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
    from ensgan.devices import processes
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
