"""Data sets of Hugging Face: .parquet files from its hub, or a folder that the library `datasets` wrote.

Tables alone are read, so no code of a data set is run, and nothing is unpickled.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Unpack

from ensgan.data.libraries import TRAIN, chosen, parts, reason
from ensgan.data.limits import check_fits
from ensgan.data.options import Rows
from ensgan.data.sheets import read_files
from ensgan.data.source import Source
from ensgan.data.tables import source_of
from ensgan.types import InputError

ENDINGS = (".parquet", ".arrow")
CONVERTED = "refs/convert/parquet"  # where the hub keeps what it converted itself
PART = re.compile(r"(.+?)-\d{5}-of-\d{5}")  # train-00000-of-00002.parquet


def hf(
    path: str | Path | None = None,
    *,
    which: str = "",
    x: str | None = None,
    y: str | None = None,
    seed: int = 0,
    **options: Unpack[Rows],
) -> Source:
    """A data set of Hugging Face: images in one column, or numbers; one of its splits, which is divided anew.

    Args:
        path: a folder that `save_to_disk` made, or a folder of .parquet files. By default the files of `which` are
            downloaded into the cache of Hugging Face, which is used where there is no connection.
        which: the name on the hub, or a folder, and perhaps a split; `--data hf:NAME:test` is short for it. By default
            the split is train, or the only one.
        x: the column of images; by default the only one. Of numbers, all columns are taken.
        y: the column of labels. By default one of the usual names, such as `label`, if there is one.
        seed: seed of the splits and of the noise of held-out samples.
        options: those of `table`.

    Returns:
        A source in memory; more than 2 GiB of pixels are decoded as they are needed.

    Raises:
        InputError: no such data set, folder, split or column, no connection, or images that cannot be read.
    """
    name, split = parts("hf", which, path)
    place = Path(path) if path is not None else Path(os.path.expanduser(name))
    if path is None and not place.exists():
        if name.startswith((".", "/", "~")):
            raise InputError(f"{name} is missing; give a folder, or the name of a data set on the hub")
        place = _fetched(name, split or TRAIN)
    found = _files(place)
    if not found:
        raise InputError(f"{place} has no table; expected files that end in {' or '.join(ENDINGS)}")
    files = found[chosen("hf", list(found), split, place)]
    check_fits(sum(file.stat().st_size for file in files), f"{place}", "choose a smaller split")
    columns = () if x is None else (x,)
    title = name.rpartition("/")[2] or place.name
    return source_of(read_files(files), (place, title), columns, y, seed, False, options)


def _files(place: Path) -> dict[str, list[Path]]:
    """The tables of a folder by the split that their names say; the empty one where they say none."""
    found: dict[str, list[Path]] = {}
    inside = sorted(place.rglob("*")) if place.is_dir() else [place]
    for file in inside:
        hidden = any(part.startswith(".") for part in file.relative_to(place).parts)
        if file.suffix.lower() in ENDINGS and file.is_file() and not hidden and not file.name.startswith("cache-"):
            found.setdefault(_split_of(file, place), []).append(file)
    return found


def _split_of(file: Path, place: Path) -> str:
    """The split of a file: data/test-00000-of-00001.parquet, test.parquet, test/0000.parquet or test/data-….arrow."""
    part = PART.fullmatch(file.stem)
    stem = part[1] if part else file.stem
    if stem not in ("data", "part") and not stem.isdecimal():
        return stem
    return file.parent.name if file.parent != place else ""


def _fetched(name: str, split: str) -> Path:
    """The folder in the cache with the .parquet files of a data set on the hub."""
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise InputError(
            "data sets of Hugging Face need huggingface_hub, which is not installed: pip install 'ensgan[hf]'"
        ) from error
    for revision in (None, CONVERTED):
        try:
            got = snapshot_download(name, repo_type="dataset", revision=revision, allow_patterns=f"*{split}*.parquet")
        except Exception as error:  # its client raises errors of many kinds
            if revision is not None:
                break  # nothing was converted
            raise InputError(
                f"{name} cannot be had from the hub of Hugging Face ({reason(error)}); check the name and the "
                "connection, or give a folder that has it: --data hf --data-dir DIR"
            ) from error
        if any(Path(got).rglob("*.parquet")):
            return Path(got)
    raise InputError(
        f"{name} has no .parquet files of a split {split!r} on the hub; name another, --data hf:{name}:SPLIT, or save "
        "it as .parquet and give the folder: --data hf --data-dir DIR"
    )
