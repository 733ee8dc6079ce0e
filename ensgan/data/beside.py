"""Labels in files beside images: dataset.json, and KEY.cls or KEY.json of WebDataset; else folders are classes."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

from ensgan.data.archives import Member
from ensgan.data.listing import BESIDE, LABELS, NOTE, Listing
from ensgan.types import InputError

FIELDS = ("label", "cls", "class")  # of KEY.json
ALONE = "labels without an image"
SMALL = 2**20  # bytes of a file with a label


def class_names(path: Path, found: Listing) -> list[str] | None:
    """The class of each image; None if there are no classes.

    They are those of `dataset.json` if there is one; its labels may be null: then there are no classes, and folders
    only hold a thousand images each, as StyleGAN's tool writes them. Else they are those of files beside the images, as
    WebDataset has them (KEY.jpg and KEY.cls or KEY.json), which are then no longer called skipped; else the folders
    just below `path`, unless an image is in none.

    Raises:
        InputError: a label that cannot be read, or an image without one.
    """
    noted = _noted(path, found)
    if noted is None:
        noted = _beside(found)
    if noted is not None:
        return noted or None
    parts = [file.relative_to(path).parts for file in found.files]
    return None if any(len(part) == 1 for part in parts) else [part[0] for part in parts]


def _beside(found: Listing) -> list[str] | None:
    """The classes in KEY.cls or KEY.json beside each image KEY.jpg; None if there are none."""
    keys = [_key(str(file)) for file in found.files]
    for ending in BESIDE:
        files = {_key(place): file for place, file in found.beside.items() if place.lower().endswith(ending)}
        there = [files[key] for key in keys if key in files]
        if not there or _label(there[0]) is None:
            continue
        if missing := [key for key in keys if key not in files]:
            raise InputError(f"{missing[0]}{ending} is missing; give every image its label, or none")
        labels = [_label(file) for file in there]
        if None in labels:
            raise InputError(f"{there[labels.index(None)]} has no label, which others have; add it")
        kept = [place for place in found.skipped[NOTE] if not place.lower().endswith(ending)]
        found.skipped.update({NOTE: kept})
        if not kept:
            del found.skipped[NOTE]
        return [str(label) for label in labels]
    return None


def _key(place: str) -> str:
    """A place without its endings: those of WebDataset begin at the first dot of a name."""
    folder, slash, name = place.replace("\\", "/").rpartition("/")
    return folder + slash + name.partition(".")[0]


def _label(file: Any) -> str | int | None:
    """The class in a KEY.cls or KEY.json; None if it has none."""
    with file.open("rb") if isinstance(file, Path) else file.open() as content:
        raw = content.read(SMALL + 1)
    try:
        if len(raw) > SMALL:
            raise ValueError("too long")
        text = raw.decode("utf-8").strip()
        if file.suffix.lower() == ".cls":
            return text or None
        tree = json.loads(text)
        label = next((tree[key] for key in FIELDS if key in tree), None) if isinstance(tree, dict) else None
        if not isinstance(label, int | str | None):
            raise ValueError("no number and no text")
        return label
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file} is not the label of an image ({str(error)[:80]}); repair or remove it") from error


def _noted(path: Path, listing: Listing) -> list[str] | None:
    """The classes that `dataset.json` gives, empty where it says that there are none; None where it says nothing."""
    if isinstance(listing.files[0], Member):
        archive = listing.files[0].archive
        note: Any = Member(str(archive.top / LABELS), archive)
        there = note in archive.members()
    else:
        note = path / LABELS
        there = note.is_file()
    if not there:
        return None
    try:
        with note.open("rb") if isinstance(note, Path) else note.open() as file:
            tree = json.loads(file.read())
        pairs = tree.get("labels") if isinstance(tree, dict) else None
        if pairs is None:
            return [] if isinstance(tree, dict) and "labels" in tree else None
        labels = [(str(PurePosixPath(name)), label) for name, label in pairs]
        label_of = dict(labels)
        names = [file.relative_to(path).as_posix() for file in listing.files]
        found = [label_of[name] for name in names]
    except KeyError as error:
        raise InputError(
            f"{note} has no label for {error}; complete it, or remove it to take folders for classes"
        ) from error
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(
            f'{note} is not a list of labels; expected {{"labels": [["a/1.png", 0], ...]}}; repair or remove it'
        ) from error
    if not all(isinstance(label, int | str) and not isinstance(label, bool) for label in found):
        raise InputError(
            f"{note} has labels that are no whole numbers and no texts; give one class a sample, or remove the file"
        )
    if several := [name for name, label in labels if label_of[name] != label]:
        raise InputError(f"{note} has several labels for {several[0]!r}; give one class a sample, or remove the file")
    for name in sorted(label_of.keys() - set(names)):
        listing.skip(ALONE, name)
    return [str(label) for label in found]
