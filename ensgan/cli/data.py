"""`ensgan data`: what would be read, before anything is trained."""

from __future__ import annotations

import textwrap
from pathlib import Path

import numpy as np

from ensgan.cli.checks import check_data_apart, check_out, counted
from ensgan.cli.configurations import shipped
from ensgan.data import SOURCES, Source
from ensgan.evaluation.leaks import leaks
from ensgan.runs.build import source_of
from ensgan.runs.config import Config
from ensgan.runs.gallery import save_picture
from ensgan.types import InputError, unknown

MANY = 10_000


USAGE = """usage: ensgan data NAME [--data-dir DIR] [--flag value ...]
       ensgan data CONFIG [--data-dir DIR] [--flag value ...]

Show what would be read: counts, sizes, values, classes, splits, copies across splits, and a picture.

  NAME                              {names}
  --data-dir DIR                    where the files are (default: well-known sets are downloaded once)
  --out VALUE                       the picture to write (default data.png)
  --num VALUE                       how many samples it shows (default 64)
  --seed VALUE                      seed of the splits (default 0)

`ensgan data NAME --help-all` lists all flags, with the options of the data."""


def arguments(argv: list[str]) -> list[str]:
    """`ensgan data NAME` is short for `ensgan data --data NAME`; other first words are configurations.

    Raises:
        InputError: the first word is neither data nor a configuration.
        SystemExit: after the help was printed.
    """
    if {"-h", "--help"} & set(argv):
        print(
            USAGE.format(
                names=f"\n{'':36}".join(
                    textwrap.wrap(f"{', '.join(SOURCES)}; medmnist:bloodmnist; hf:NAME:SPLIT; tfds:NAME:SPLIT", 82)
                )
            )
        )
        raise SystemExit(0)
    first = argv[0] if argv else "-"
    if first.partition(":")[0] in SOURCES:
        return ["--data", *argv]
    known = {**shipped(), **shipped("methods")}
    if not first.startswith("-") and first not in known and not Path(first).suffix and not Path(first).exists():
        raise unknown("data or configuration", first, {*SOURCES, *shipped()})
    return argv


def data(settings: Config, *, out: str = "data.png", num: int = 64) -> None:
    """Show what would be read: counts, sizes, values, classes, splits, copies across splits, and a picture.

    Args:
        settings: the configuration; the name of data is enough, as in `ensgan data mnist --data-dir DIR`.
        out: the picture to write, .png.
        num: how many samples it shows.
    """
    if not 1 <= num <= MANY:
        raise InputError(f"--num is {num}; give 1 to {MANY}")
    check_out(Path(out), ".png")
    check_data_apart(Path(out), settings)
    source = source_of(settings)
    endless = f"data {source.name}: samples of {'×'.join(map(str, source.shape))}, drawn endlessly"
    print("\n".join(source.summary() or [endless]))
    sizes = ", ".join(f"{split} {'endless' if n is None else f'{n:,}'}" for split, n in source.num.items())
    print(f"splits: {sizes} (seed {settings.seed})")
    _tell_leaks(source)
    x = np.asarray(source.held_out("select", num)["x"])
    if x.ndim == 2 and x.shape[1] < 2:
        print("samples of one number have no picture")
        return
    save_picture(Path(out), x, None)
    print(f"{counted(len(x), 'sample')} of the select split {'is' if len(x) == 1 else 'are'} drawn in {out}")


def _tell_leaks(source: Source) -> None:
    if source.facts is not None and source.facts.merged:
        print("copies are not counted, because numbers that differ became equal as float32")
        return
    found = leaks(source)
    if found is None:
        return
    near = "" if found.near is None else f", and {found.near:,} nearly so"
    verb = "is" if found.equal == 1 else "are"
    print(f"of {found.looked:,} held-out samples {found.equal:,} {verb} in the train split as well{near}")
    if found.within:
        print(f"the train split has {found.within:,} cop{'y' if found.within == 1 else 'ies'} of its own samples")
    if found.equal + (found.near or 0) > 0.01 * found.looked:
        print("  note: scores on such samples are too good; remove copies before training")
