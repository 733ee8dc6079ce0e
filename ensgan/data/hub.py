"""Data sets of Hugging Face: .parquet files from its hub, or a folder that the library `datasets` wrote.

Tables alone are read, so no code of a data set is run, and nothing is unpickled.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

from ensgan.data.labels import some
from ensgan.data.limits import check_fits
from ensgan.data.pictures import Pictures
from ensgan.data.sheets import read_files
from ensgan.data.source import FRACTIONS, Source
from ensgan.data.tables import source_of
from ensgan.types import InputError, unknown

ENDINGS = (".parquet", ".arrow")
CONVERTED = "refs/convert/parquet"  # where the hub keeps what it converted itself
TRAIN = "train"
PART = re.compile(r"(.+?)-\d{5}-of-\d{5}")  # train-00000-of-00002.parquet


def hf(
    path: str | Path | None = None,
    *,
    which: str = "",
    x: str | None = None,
    y: str | None = None,
    seed: int = 0,
    dequantize: bool = True,
    flip: bool = False,
    fractions: tuple[float, ...] = FRACTIONS,
    **pictures: Unpack[Pictures],
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
        dequantize: whether pixels get uniform noise.
        flip: whether training images are mirrored left to right, half of them at random; held-out ones stay.
        fractions: shares of train, select, calibrate and report.
        pictures: `size`, `channels`, `background` and `skip_broken`; see `Pictures`.

    Returns:
        A source in memory; more than 2 GiB of pixels are decoded as they are needed.

    Raises:
        InputError: no such data set, folder, split or column, no connection, or images that cannot be read.
    """
    name, split = _parts(which, path)
    place = Path(path) if path is not None else Path(name).expanduser()
    if path is None and not place.exists():
        if name.startswith((".", "/", "~")):
            raise InputError(f"{name} is missing; give a folder, or the name of a data set on the hub")
        place = _fetched(name, split or TRAIN)
    files = _of_split(_files(place), split, place)
    check_fits(sum(file.stat().st_size for file in files), f"{place}", "choose a smaller split")
    options = {"dequantize": dequantize, "flip": flip, "seed": seed, "fractions": fractions}
    columns = () if x is None else (x,)
    return source_of(read_files(files), place, name.rpartition("/")[2] or place.name, y, columns, options, pictures)


def _parts(which: str, path: str | Path | None) -> tuple[str, str]:
    """The name of a data set, or its folder, and the split; empty where they are not given."""
    if path is not None:
        return "", which
    name, colon, split = which.rpartition(":")
    name, split = (name, split) if colon and re.fullmatch(r"\w+", split) else (which, "")
    if not name:
        raise InputError("hf needs a data set; give its name, --data hf:NAME, or a folder, --data hf --data-dir DIR")
    return name, split


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


def _of_split(found: dict[str, list[Path]], split: str, place: Path) -> Sequence[Path]:
    """The files of a split; of `train`, or of the only one, where none is asked for."""
    if not found:
        raise InputError(f"{place} has no table; expected files that end in {' or '.join(ENDINGS)}")
    if split:
        if split not in found:
            raise unknown(f"split of {place}", split, [name for name in found if name] or ["(all in one)"])
        return found[split]
    if len(found) > 1 and TRAIN not in found:
        raise InputError(f"{place} has the splits {some(found)}; name one, such as --data hf:NAME:{min(found)}")
    return found.get(TRAIN) or next(iter(found.values()))


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
                f"{name} cannot be had from the hub of Hugging Face ({_reason(error)}); check the name and the "
                "connection, or give a folder that has it: --data hf --data-dir DIR"
            ) from error
        if any(Path(got).rglob("*.parquet")):
            return Path(got)
    raise InputError(
        f"{name} has no .parquet files of a split {split!r} on the hub; name another, --data hf:{name}:SPLIT, or save "
        "it as .parquet and give the folder: --data hf --data-dir DIR"
    )


def _reason(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__
