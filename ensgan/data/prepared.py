"""Data sets of TensorFlow Datasets, read by position and without TensorFlow.

What is prepared is read from its folder, by the features that ship with the library, so no code of a stranger is run.
"""

from __future__ import annotations

import difflib
import importlib
import json
import os
from pathlib import Path
from shlex import quote
from typing import Any, Unpack

import numpy as np

from ensgan.data.labels import natural, some
from ensgan.data.libraries import chosen, parts, reason
from ensgan.data.limits import check_fits
from ensgan.data.options import Rows
from ensgan.data.sheets import Read
from ensgan.data.source import Source
from ensgan.data.tables import source_of
from ensgan.types import InputError, unknown

INFO = "dataset_info.json"  # in the folder of each version of a data set
FEATURES = "features.json"
CLASS, LIBRARY = "pythonClassName", "tensorflow_datasets."
PREPARE = "tfds.builder({!r}, file_format='array_record').download_and_prepare()"


def tfds(
    path: str | Path | None = None,
    *,
    which: str = "",
    x: str | None = None,
    y: str | None = None,
    seed: int = 0,
    **options: Unpack[Rows],
) -> Source:
    """A data set of TensorFlow Datasets: images in one feature, or numbers; one of its splits, which is divided anew.

    Args:
        path: the folder in which data sets are prepared (TFDS_DATA_DIR, or ~/tensorflow_datasets, by default), or that
            of one of them. It must be prepared as array_record. What is not there is prepared by the library, which
            downloads it, and for most data sets needs TensorFlow to do so.
        which: the name of the data set, also with a configuration or version as the library has it, and perhaps a
            split; `--data tfds:NAME:test` is short for it. By default the split is train, or the only one.
        x: the feature of images; by default the only one. Of numbers, all features are taken.
        y: the feature of labels. By default one of the usual names, such as `label`, if there is one.
        seed: seed of the splits and of the noise of held-out samples.
        options: those of `table`.

    Returns:
        A source in memory; more than 2 GiB of pixels are decoded as they are needed.

    Raises:
        InputError: no such data set, folder, split or feature, no connection, or images that cannot be read.
    """
    alone = path is not None and (not which or _is_one(Path(path)))
    name, split = ("", which) if alone else parts("tfds", which, None)
    root = Path(os.path.expanduser(path or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"))
    if path is not None and not root.is_dir():
        raise InputError(
            f"{root} is {'a file' if root.exists() else 'missing'}; give the folder in which the data set is prepared"
        )
    library = _library()
    place = _prepared(root, name) or _fetched(library, root, name)
    _check_features(place)
    try:
        builder = library.builder_from_directory(place)
        known = builder.info.splits
        part = chosen("tfds", list(known), split, place) if known else ""
        if not part:
            raise InputError(f"{place} has no split; prepare it again")
        check_fits(int(known[part].num_bytes), f"{place}", "choose a smaller split")
        images = [key for key, each in builder.info.features.items() if isinstance(each, library.features.Image)]
        skip = {key: library.decode.SkipDecoding() for key in images}
        read = _read(place, builder.as_data_source(part, decoders=skip), builder.info.features, images, library)
    except InputError:
        raise
    except Exception as error:  # the library raises errors of many kinds
        again = PREPARE.format(name or place.parent.name)
        raise InputError(f"{place} cannot be read ({reason(error)}); prepare it as array_record: {again}") from error
    title = name.partition(":")[0].replace("/", "-") or builder.info.name
    return source_of(read, (place, title), () if x is None else (x,), y, seed, False, options)


def _library() -> Any:
    """The library."""
    try:
        return importlib.import_module("tensorflow_datasets")
    except ImportError as error:
        raise InputError(
            "data sets of TensorFlow Datasets need tensorflow-datasets, which is not installed: "
            "pip install 'ensgan[tfds]'"
        ) from error


def _is_one(path: Path) -> bool:
    """Whether a folder is that of one data set, or of a version of it, so that only a split can be asked for."""
    return (path / INFO).is_file() or any(path.glob(f"*/{INFO}"))


def _prepared(root: Path, name: str) -> Path | None:
    """The folder of the newest version of a data set, NAME[/CONFIG][:VERSION]; of the only one without a name.

    Raises:
        InputError: there are several, or none and no name.
    """
    if (root / INFO).is_file():
        return root
    inside, _, version = name.partition(":")
    below = root / inside
    found = [file.parent for file in below.rglob(INFO) if not version or file.parent.name == version]
    kinds = sorted({str(each.parent.relative_to(root)) for each in found})
    if len(kinds) > 1:
        flags = f"--data tfds:{kinds[0]} --data-dir {quote(str(root))}"
        raise InputError(f"{below} has {some(kinds)}; name one, such as {flags}")
    if not found and not name:
        raise InputError(f"{root} holds no data set that TensorFlow Datasets prepared; give the folder that does")
    return max(found, key=lambda each: natural(each.name), default=None)


def _fetched(library: Any, root: Path, name: str) -> Path:
    """The folder of a data set that the library prepares now."""
    known = library.list_builders(with_community_datasets=False)
    plain = name.partition(":")[0].partition("/")[0]
    if plain not in known:
        close = difflib.get_close_matches(plain, known, n=5, cutoff=0.5)
        raise unknown("data set of TensorFlow Datasets", plain, close or [f"{len(known):,} of `tfds.list_builders()`"])
    print(f"preparing {name} of TensorFlow Datasets in {root}")
    try:
        library.data_source(name, data_dir=root, split=[])
    except Exception as error:  # of many kinds, also of what a data set imports
        raise InputError(
            f"{name} is not prepared in {root}, and cannot be ({reason(error)}); where there is a connection and "
            f"TensorFlow, run {PREPARE.format(name)} and give its folder: --data-dir DIR"
        ) from error
    place = _prepared(root, name)
    if place is None:
        raise InputError(f"{name} was prepared, but is not in {root}; give its folder: --data-dir DIR")
    return place


def _check_features(place: Path) -> None:
    """Raises InputError where a folder names features that are no part of the library: it would import them."""

    def classes(tree: Any) -> list[str]:
        if isinstance(tree, list):
            return [name for each in tree for name in classes(each)]
        if not isinstance(tree, dict):
            return []
        own = [str(tree[key]) for key in (CLASS, "type") if isinstance(tree.get(key), str)]
        return own + [name for each in tree.values() for name in classes(each)]

    try:
        found = classes(json.loads((place / FEATURES).read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{place / FEATURES} cannot be read ({reason(error)}); prepare the data set again") from error
    if wrong := [name for name in found if not name.startswith(LIBRARY)]:
        raise InputError(
            f"{place / FEATURES} names {wrong[0]}, which is no feature of TensorFlow Datasets, so it is not read; "
            "prepare the data set with features of the library"
        )


def _read(place: Path, rows: Any, features: Any, images: list[str], library: Any) -> Read:
    """All rows by features, images still encoded."""
    columns: dict[str, list[Any]] = {key: [] for key in sorted(features)}  # the file has them in any order
    for row in rows:
        for key, cells in columns.items():
            cells.append(row[key])
    made = {key: cells if key in images else _column(cells) for key, cells in columns.items()}
    names = {
        key: tuple(each.names)
        for key, each in features.items()
        if isinstance(each, library.features.ClassLabel) and each.num_classes
    }
    return Read(made, len(rows), ((place, len(rows), None),), names)


def _column(cells: list[Any]) -> Any:
    """Numbers as an array, texts as texts; what is neither stays, and is no sample."""
    if all(isinstance(cell, bool | int | float | np.number | np.bool) for cell in cells):
        return np.array(cells)
    return [cell.decode("utf-8", "replace") if isinstance(cell, bytes) else cell for cell in cells]
