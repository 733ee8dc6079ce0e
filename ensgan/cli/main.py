"""The command line: finds the command, and turns what goes wrong into one line and an exit code."""

from __future__ import annotations

import importlib
import inspect
import logging
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib import metadata
from typing import Any

from ensgan import environment
from ensgan.cli import compiled, streams
from ensgan.cli.configurations import file_of, shipped
from ensgan.cli.distributed import INTERRUPTED, tell
from ensgan.types import InputError, out_of_memory, unknown

USAGE = """usage: ensgan COMMAND ...

  train [CONFIG] [--key value ...]   train an ensemble; without a CONFIG, 4×4 on handwritten digits
  train [CONFIG] --seeds 0-9         the same with ten seeds, into one folder
  sweep [CONFIG] --set KEY=A,B       every combination of some settings, with --seeds
  sweep [CONFIG] --trials 20         those that a search chooses, with --search KEY=LOW..HIGH and --goal METRIC
  compare RUN RUN ...                runs beside each other at equal work, with intervals over seeds
  resume RUN [--steps N]             continue from the newest checkpoint
  select RUN [--method NAME]         rank both sides on held-out data, and choose a mixture of generators
  evaluate RUN                       measure the generators on held-out data
  evaluate --real A --fake B         compare two folders of images, or two .npz files
  sample RUN --num N --out FILE      draw samples into a .png or .npz; --refine METHOD lets the run's judge choose
  sample RUN --interpolate 8         the ways between samples; --nearest 5: the training samples nearest to each
  judge RUN [--input FILE]           combine all discriminators into one judge; score the samples in a file
  export RUN --to DIR                write a generator, the mixture or a discriminator as files that run without ensgan
  report RUN                         write report.html and samples.png again
  data NAME [--data-dir DIR]         what would be read: counts, sizes, classes, copies across splits, a picture
  plan [CONFIG] [--key value ...]    what a training step costs on devices you may not have
  doctor                             versions, devices and caches, and a self-test of seconds, for reports of bugs
  methods                            the ensemble methods by name: what they do and what they need

`ensgan COMMAND --help` explains a command. What a command compiles is kept for the next one, in the user's folder for
caches; --no-compile-cache compiles everything again. CONFIG is a .toml file or one of: {configs}"""

# Each command is a function of its own name in a file of its own name; a second form has other first flags.
COMMANDS: dict[str, Callable[[list[str]], int]] = {}
FORMS = {
    "evaluate": {"folders": {"--real", "--fake"}},
    "sample": {"walk": {"--interpolate"}, "neighbours": {"--nearest"}},
}


def _command(name: str) -> Callable[[list[str]], int]:
    def run(argv: list[str]) -> int:
        from ensgan.cli.arguments import call

        given = {argument.partition("=")[0] for argument in argv}
        form = _form(name, given)
        module = importlib.import_module(f"ensgan.cli.{form}")
        function: Any = getattr(module, form)
        words = getattr(module, "arguments", list)(argv)  # what a command's own short forms stand for
        return call(name, function, words, file_of) or 0

    return run


def _form(name: str, given: set[str]) -> str:
    """The form of a command that the given flags ask for. Raises InputError for flags of two forms."""
    forms = {form: flags & given for form, flags in FORMS.get(name, {}).items() if flags & given}
    if not forms:
        return name
    form, *others = forms
    first = min(forms[form])
    if others:
        raise InputError(f"{first} and {min(forms[others[0]])} are two forms of `ensgan {name}`; give one of them")
    flags = [
        {
            each.rstrip("_")
            for each in inspect.signature(getattr(importlib.import_module(f"ensgan.cli.{k}"), k)).parameters
        }
        for k in (name, form)
    ]
    if wrong := [each for each in sorted(given) if each[2:].replace("-", "_") in flags[0] - flags[1]]:
        raise InputError(f"{wrong[0]} does not go with {first}; leave one of them out")
    return form


_names = ("train", "sweep", "resume", "compare", "select", "evaluate", "sample", "export", "judge", "report", "data")
for _name in (*_names, "plan", "methods", "doctor"):
    COMMANDS[_name] = _command(_name)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command. Wrong input is one line on stderr and exit code 2; a run that a signal ended gives 128 + it."""
    argv = [each for each in (sys.argv[1:] if argv is None else argv) if each != compiled.OFF]
    try:
        if not argv or argv[0] in ("-h", "--help", "help"):
            print(USAGE.format(configs=", ".join(shipped())))
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
            fault = environment.device_fault()
            if fault is None:
                raise
            error = InputError(fault)
        tell(error)
        return 2


def command() -> None:
    """The program `ensgan`."""
    streams.prepare()
    # When a checkpoint cannot be written or read, each of Orbax's threads and tasks reports its own traceback on the
    # way down; the error itself reaches `main` and is reported in one line.
    for name in ("absl", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    sys.unraisablehook = _quiet
    warnings.filterwarnings("ignore", message="coroutine .* was never awaited")
    warnings.filterwarnings("ignore", message="Image size .* exceeds limit")  # twice that is refused
    try:
        code = _code()
    except KeyboardInterrupt:
        code = INTERRUPTED
    lost = streams.failed()
    if lost is not None and not isinstance(lost, BrokenPipeError):  # the reader of a pipe may have seen enough
        print(f"ensgan: the work is done, but its output is lost: {lost.strerror}", file=sys.stderr)
        code = code or 2
    if code == INTERRUPTED:
        os._exit(code)  # a program that was interrupted while it compiles would crash on its orderly way out
    sys.exit(code)


def _code() -> int:
    """Runs the command of this program; its exit code."""
    if fault := environment.setting_fault() or environment.xla_fault():
        tell(InputError(fault))
        return 2
    try:
        return main(compiled.use(sys.argv[1:]))
    except SystemExit as stop:  # after a help text
        return stop.code if isinstance(stop.code, int) else 0


def _quiet(unraisable: Any) -> None:
    """Says nothing of errors in destructors, but does not swallow the user's Ctrl-C either."""
    if issubclass(unraisable.exc_type, KeyboardInterrupt):
        os._exit(INTERRUPTED)
