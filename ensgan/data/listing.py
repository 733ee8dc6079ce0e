"""The image files below a folder or in an archive: what is listed, and what is skipped because it is no data."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePath, PurePosixPath
from shlex import quote
from typing import Any, NamedTuple

from ensgan.data.archives import Archive, Member, is_archive
from ensgan.data.facts import left_out
from ensgan.data.labels import natural
from ensgan.types import InputError

SUFFIXES = (".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
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
BESIDE_FILES = re.compile(r"zone\.identifier$|:encryptable$|^~\$|~$", re.I)  # what Windows and editors leave
NOTES = {".txt", ".md", ".rst", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".toml", ".html", ".htm"}
NOTES |= {".log", ".cls", ".pdf", ".ini", ".db", ".lst", ".url", ".md5", ".sha1", ".sha256"}
NAMED_NOTES = re.compile(
    r"(readme|licen[cs]e|copying|authors|changelog|notice|checksums?|md5sums?|sha\d+sums?)\b", re.I
)
SPLIT_NAMES = {"train", "training", "val", "valid", "validation", "test", "testing", "dev", "eval", "holdout"}
HIDDEN, NOTE, LOOP = "hidden or system", "notes", "links into the folder itself"
EMPTY, OTHER, RUN = "folders without an image", "files of other kinds", "runs of ensgan"
TWICE = "earlier files of the same name"
BESIDE = (".cls", ".json")  # of KEY.jpg in WebDataset, where its label may be
LABELS = "dataset.json"  # the labels of images, as StyleGAN's tool for data sets writes them
TABLES = (".csv", ".tsv", ".parquet")
File = Path | Member


class Listing(NamedTuple):
    """Image files in the order of their names, what was skipped (kind -> paths), and files that may hold labels."""

    top: Path  # the folder whose folders are the classes, or the archive
    files: list[Any]  # of type File
    skipped: dict[str, list[str]]
    beside: dict[str, Any]  # KEY.cls and KEY.json by their places

    def left_out(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """What was skipped, each kind with its paths in natural order."""
        return tuple((kind, tuple(sorted(names, key=natural))) for kind, names in self.skipped.items())

    def skip(self, kind: str, place: str) -> None:
        """Notes that something was skipped."""
        self.skipped.setdefault(kind, []).append(place)

    def skip_empty(self, place: str) -> None:
        """Notes a folder without an image, in place of those in it."""
        inside = [each for each in self.skipped.get(EMPTY, ()) if not each.startswith(place + os.sep)]
        self.skipped[EMPTY] = [*inside, place]

    def note(self, place: str, file: Any) -> None:
        """Notes that a file was skipped because it is no image, though it may hold a label."""
        self.skip(NOTE, place)
        if file.suffix.lower() in BESIDE:
            self.beside[str(file)] = file


def listed(path: Path, skip_other: bool = False) -> Listing:
    """All images below `path`, following links to other folders, or in the archive `path`.

    Hidden and system files and folders, notes such as README or labels.csv, and links that lead back into the folder
    are skipped. Folders that hold everything, one in the other, are no classes.

    Args:
        path: a folder or an archive.
        skip_other: whether files of other kinds are skipped, too.

    Raises:
        InputError: no such directory or archive, one that cannot be listed, no image, or a file of another kind.
    """
    found = Listing(path, [], {}, {})
    if is_archive(path):
        _unpack(path, found)
    elif shards := _shards(path):
        for shard in shards:
            _unpack(shard, found)
    elif is_run(path):
        raise InputError(f"{path} is a run and no data; give the folder of its data, or samples that it has written")
    elif path.is_dir():
        _walk(path, path, (path.resolve(),), found)
    else:
        kind = "a file" if path.exists() else "missing"
        raise InputError(
            f"{path} is {kind}; expected a directory of images, or a .zip or .tar of them; correct the path"
        )
    others = [file for file in found.files if file.suffix.lower() not in SUFFIXES]
    if others and skip_other:
        found.skipped[OTHER] = [str(file.relative_to(path)) for file in others]
        found.files[:] = [file for file in found.files if file.suffix.lower() in SUFFIXES]
    if not found.files:
        skipped = f"; skipped: {left_out(found.left_out())}" if found.skipped else ""
        raise InputError(f"{path} has no images; expected files that end in {', '.join(SUFFIXES)}{skipped}")
    found.files.sort(key=lambda file: (str(file.archive.path), file.name) if isinstance(file, Member) else str(file))
    if others and not skip_other:
        file = min(others, key=str)
        more = f" (nor are {len(others) - 1:,} more)" if len(others) > 1 else ""
        raise InputError(
            f"{file} is not an image of a kind that is read{more}; expected only files that end in "
            f"{', '.join(SUFFIXES)}; convert pictures, move the rest elsewhere or go on without it: --data.skip-broken "
            f"(skip_broken=True in Python){_instead(file)}"
        )
    top = path
    while isinstance(found.files[0], Path) and (inside := _holder(found.files, top, top, found.beside)):
        top /= inside
    return found._replace(top=top)


def _holder(files: list[Any], below: Path, place: PurePath, beside: dict[str, Any]) -> str | None:
    """The one folder in `below` that holds all files, in folders of its own; None if there is none.

    `place` is `below` in the names of files; labels in it count for all of them.
    """
    if not files or str(place / LABELS) in beside:
        return None
    first: str = files[0].relative_to(below).parts[0]
    each = (file.relative_to(below).parts for file in files)
    return first if all(len(parts) > 2 and parts[0] == first for parts in each) else None


def _instead(file: Any) -> str:
    """What else may be meant by a file that is no image."""
    if file.suffix.lower() in TABLES:
        return ", or read tables with --data table"
    return f", or read the archive itself: --data-dir {quote(str(file))}" if is_archive(Path(str(file))) else ""


def _shards(path: Path) -> list[Path]:
    """The .tar files of a folder that holds nothing else but notes: a data set in shards."""
    if not path.is_dir():
        return []
    every = [Path(entry.path) for entry in _entries(path)]
    files = [file for file in every if not _hidden(file.name) and not _is_note(file)]
    return sorted(files, key=lambda file: natural(file.name)) if files and all(map(_is_shard, files)) else []


def _is_shard(file: Path) -> bool:
    return is_archive(file) and not file.name.lower().endswith(".zip")


def hints(path: Path, files: list[Any], names: list[str]) -> tuple[str, ...]:
    """Hints where classes look like splits of the data, or folders are no classes because some images are in none."""
    if not names:
        outside = [file.relative_to(path) for file in files if len(file.relative_to(path).parts) == 1]
        if len(outside) in (0, len(files)):  # none, where dataset.json says that there are no classes
            return ()
        return (
            f"folders are not taken for classes, because {len(outside):,} of {len(files):,} images are in none, such "
            f"as {outside[0].name}",
        )
    if not {name.lower().removesuffix("set").rstrip(" _-") for name in names} <= SPLIT_NAMES:
        return ()
    first = next((name for name in names if name.lower().startswith("train")), names[0])
    return (
        f"the class folders are {', '.join(names)}, which look like splits and not like classes; if so, train with "
        f"one of them: --data-dir {quote(str(path / first))}",
    )


def _entries(here: Path) -> list[os.DirEntry[str]]:
    """What a folder holds, by name."""
    try:
        return sorted(os.scandir(here), key=lambda entry: entry.name)
    except OSError as error:
        raise InputError(f"{error.filename} cannot be listed ({error.strerror}); allow reading it") from error


def _walk(root: Path, here: Path, chain: tuple[Path, ...], found: Listing) -> None:
    """Lists a folder; `chain` are the real paths of the folders that lead to it, of which none is entered again."""
    for entry in _entries(here):
        place, name = Path(entry.path), entry.name
        if _hidden(name):
            found.skip(HIDDEN, str(place.relative_to(root)))
        elif entry.is_symlink() and _loops(place, chain):
            found.skip(LOOP, str(place.relative_to(root)))
        elif is_run(place):
            found.skip(RUN, str(place.relative_to(root)))
        elif _is_dir(entry):
            before = len(found.files)
            _walk(root, place, (*chain, place.resolve()), found)
            if len(found.files) == before:
                found.skip_empty(str(place.relative_to(root)))
        elif _is_note(place):
            found.note(str(place.relative_to(root)), place)
        else:
            found.files.append(place)


def _unpack(path: Path, found: Listing) -> None:
    """Lists an archive by the same rules; folders inside that hold everything are left out of the names."""
    archive, files = Archive(path), []
    for name in archive.repeated:
        found.skip(TWICE, name)
    for each in archive.members():
        parts = PurePosixPath(each.name).parts
        hidden = [k for k, part in enumerate(parts) if _hidden(part)]
        if hidden:
            place = "/".join(parts[: hidden[0] + 1])
            if place not in found.skipped.get(HIDDEN, ()):
                found.skip(HIDDEN, place)
        elif _is_note(PurePosixPath(each.name)):
            found.note(each.name, each)
        else:
            files.append(each)
    found.files.extend(files)
    while inside := _holder(files, path, path / archive.top, found.beside):
        archive.top /= inside


def is_run(place: Path) -> bool:
    """Whether a folder is a run, whose pictures are no data."""
    return (place / "config.json").is_file() and (place / "checkpoints").is_dir()


def _hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in SYSTEM or BESIDE_FILES.search(name) is not None


def _is_note(place: PurePath) -> bool:
    suffix = place.suffix.lower()
    return suffix in NOTES or (suffix not in SUFFIXES and NAMED_NOTES.match(place.name) is not None)


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
