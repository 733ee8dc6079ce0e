"""The image files below a folder: what is listed, and what is skipped because it is no data."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

from ensgan.data.facts import left_out
from ensgan.data.labels import natural
from ensgan.types import InputError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif")
# Folders and files that systems and programs leave beside pictures, in small letters.
SYSTEM = {
    "@eadir",
    "#recycle",
    "#snapshot",
    "@recycle",
    "@tmp",
    "__macosx",
    "__pycache__",
    "$recycle.bin",
    "recycler",
    "system volume information",
    "lost+found",
    "network trash folder",
    "thumbs.db",
    "ehthumbs.db",
    "ehthumbs_vista.db",
    "desktop.ini",
    "picasa.ini",
    "icon\r",
}
NOTES = {".txt", ".md", ".rst", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".toml", ".html", ".htm"}
NOTES |= {".log", ".pdf", ".ini", ".db", ".lst", ".url", ".md5", ".sha1", ".sha256"}
NAMED_NOTES = re.compile(
    r"(readme|licen[cs]e|copying|authors|changelog|notice|checksums?|md5sums?|sha\d+sums?)\b", re.I
)
SPLIT_NAMES = {"train", "training", "val", "valid", "validation", "test", "testing", "dev", "eval", "holdout"}
HIDDEN, NOTE, LOOP = "hidden or system", "notes", "links into the folder itself"


class Listing(NamedTuple):
    """Image files below a folder in the order of their names, and what was skipped: kind -> paths."""

    files: list[Path]
    skipped: dict[str, list[str]]

    def left_out(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """What was skipped, each kind with its paths in natural order."""
        return tuple((kind, tuple(sorted(names, key=natural))) for kind, names in self.skipped.items())


def listed(path: Path) -> Listing:
    """All images below `path`, following links to other folders.

    Hidden and system files and folders, notes such as README or labels.csv, and links that lead back into the folder
    are skipped.

    Raises:
        InputError: no such directory, one that cannot be listed, no image, or a file of another kind.
    """
    if not path.is_dir():
        kind = "a file" if path.exists() else "not a directory"
        raise InputError(f"{path} is {kind}; expected a directory of images; correct the path")
    found = Listing([], {})
    _walk(path, path, (path.resolve(),), found)
    if not found.files:
        skipped = f"; skipped: {left_out(found.left_out())}" if found.skipped else ""
        raise InputError(f"{path} has no images; expected files that end in {', '.join(SUFFIXES)}{skipped}")
    found.files.sort()
    for file in found.files:
        if file.suffix.lower() not in SUFFIXES:
            raise InputError(
                f"{file} is not an image; expected only files that end in {', '.join(SUFFIXES)}; move it elsewhere"
            )
    return found


def class_folders(path: Path, files: list[Path]) -> tuple[list[str], list[str]] | None:
    """The folder of each image just below `path`, and all of them in natural order; None if an image is in none."""
    parts = [file.relative_to(path).parts for file in files]
    if any(len(part) == 1 for part in parts):
        return None
    each = [part[0] for part in parts]
    return each, sorted(set(each), key=natural)


def hints(path: Path, files: list[Path], names: list[str]) -> tuple[str, ...]:
    """Hints where classes look like splits of the data, or folders are no classes because some images are in none."""
    if not names:
        outside = [file for file in files if file.parent == path]
        if len(outside) == len(files):
            return ()
        return (
            f"folders are not taken for classes, because {len(outside):,} of {len(files):,} images are in none, such "
            f"as {outside[0].name}",
        )
    if not {name.lower() for name in names} <= SPLIT_NAMES:
        return ()
    first = "train" if "train" in names else names[0]
    return (
        f"the class folders are {', '.join(names)}, which look like splits and not like classes; if so, train with "
        f"one of them: --data-dir {path / first}",
    )


def _walk(root: Path, here: Path, chain: tuple[Path, ...], found: Listing) -> None:
    """Lists a folder; `chain` are the real paths of the folders that lead to it, of which none is entered again."""

    def skip(kind: str, entry: Path) -> None:
        found.skipped.setdefault(kind, []).append(str(entry.relative_to(root)))

    try:
        entries = sorted(os.scandir(here), key=lambda entry: entry.name)
    except OSError as error:
        raise InputError(f"{error.filename} cannot be listed ({error.strerror}); allow reading it") from error
    for entry in entries:
        place, name = Path(entry.path), entry.name
        if name.startswith(".") or name.lower() in SYSTEM:
            skip(HIDDEN, place)
        elif entry.is_symlink() and _loops(place, chain):
            skip(LOOP, place)
        elif _is_dir(entry):
            _walk(root, place, (*chain, place.resolve()), found)
        elif place.suffix.lower() in NOTES or (place.suffix.lower() not in SUFFIXES and NAMED_NOTES.match(name)):
            skip(NOTE, place)
        else:
            found.files.append(place)


def _loops(link: Path, chain: tuple[Path, ...]) -> bool:
    """Whether a link leads to itself, or to a folder that it is in."""
    try:
        target = link.resolve(strict=True)
    except FileNotFoundError:
        return False
    except (OSError, RuntimeError):  # a link to itself
        return True
    return any(target == above or target in above.parents for above in chain)


def _is_dir(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False
