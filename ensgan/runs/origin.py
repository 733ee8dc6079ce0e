"""Where the data of a run are, also after it was moved, and whether they are the data that it began with."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import os
from collections.abc import Callable
from pathlib import Path
from shlex import quote
from typing import Any

from ensgan.data import SOURCES, Source
from ensgan.data.labels import some
from ensgan.data.recorded import differences, is_record, record, remembered
from ensgan.data.stores import is_address
from ensgan.game.game import Game
from ensgan.reporting.files import RunFiles
from ensgan.runs import directory as rundir
from ensgan.runs.build import described_law, source_of
from ensgan.runs.config import Config, Plug
from ensgan.types import InputError


class Elsewhere(InputError):
    """The data of a run are not where they were."""


def with_path(config: Config, place: str) -> Config:
    """The configuration with its data at another place.

    Raises:
        InputError: data that are no files.
    """
    if "path" not in inspect.signature(SOURCES[config.data.name]).parameters:
        raise InputError(
            f"--data-dir is given, but the data {config.data.name!r} are not read from files; leave it out"
        )
    return dataclasses.replace(config, data=Plug(config.data.name, {**config.data.options, "path": place}))


def about(
    config: Config, directory: Path, game: Game, source: Source, changes: list[str], begin: int | None
) -> dict[str, Any]:
    """The content of `data.json`: what was read, from where, the law of labels, and changes on the way.

    Args:
        config: the run's.
        directory: that of the run, as it is before it is written.
        game: what is played.
        source: the data.
        changes: what `check_data` said.
        begin: the step from which a run goes on; None for a new one.
    """
    before = {} if begin is None else remembered_of(directory)
    path = config.data.options.get("path")
    same = begin is not None and rundir.settings(RunFiles(directory).config)["data"].get("path") == path
    begun = before.get("relative_to") if same else beginning(directory)
    changed = [*before.get("changes", ()), *([{"step": begin, "what": changes}] if changes else ())]
    return {
        **record(source),
        **described_law(config, game, source)[1],
        **({"relative_to": begun} if path and begun else {}),
        **({"changes": changed} if changed else {}),
    }


def beginning(directory: Path) -> dict[str, str]:
    """The folder that relative paths begin in, as `data.json` keeps it: absolute, and as seen from the run."""
    here = Path.cwd()
    return {"folder": str(here), "from_run": os.path.relpath(here, directory.absolute())}


def located(config: Config, directory: Path) -> Config:
    """The configuration with the path of its data where they are found.

    A relative path is looked for in the folder where the run began, in the one that now is as far from the run, and in
    the present one.

    Raises:
        Elsewhere: they are in none of them.
    """
    path = config.data.options.get("path")
    if not path or is_address(path):
        return config
    begun = remembered_of(directory).get("relative_to", {})
    folders = [Path(begun["folder"]), directory / begun["from_run"]] if begun else []
    places = dict.fromkeys(os.path.abspath(folder / os.path.expanduser(path)) for folder in (*folders, Path.cwd()))
    found = [place for place in places if os.path.exists(place)]
    if not found:
        raise Elsewhere(
            f"the data of {directory} are not at {' or '.join(places)}{_damaged(directory)}; say where they are with "
            "--data-dir PATH"
        )
    return with_path(config, found[0])


def known(config: Config, directory: Path) -> tuple[Source, Callable[[], Source]]:
    """What a run remembers of its data, and a function that opens them.

    Of the first, held-out samples are read when they are asked for. It is the data themselves where an earlier version
    made the run.
    """
    data = functools.cache(lambda: source_again(config, directory))
    return remembered(remembered_of(directory), lambda split, num: data().held_out(split, num)) or data(), data


def source_again(config: Config, directory: Path) -> Source:
    """The data of a run.

    Raises:
        InputError: they are not where they were, cannot be read, or are others.
    """
    source = source_of(located(config, directory))
    check_data(directory, source, config=config)
    return source


def remembered_of(directory: Path) -> dict[str, Any]:
    """The content of `data.json`; empty where it is missing or broken."""
    found = rundir.dictionary(RunFiles(directory).data)
    return found if is_record(found) else {}


def check_data(directory: Path, source: Source, new: bool = False, config: Config | None = None) -> list[str]:
    """Compares the data with those that a run began with: what was held out then might be trained with now.

    Args:
        directory: that of the run.
        source: the data now.
        new: whether other data are welcome.
        config: the configuration, whose networks may know the classes.

    Returns:
        What differs, in words; empty where nothing does.

    Raises:
        InputError: they are others and not welcome, or of another shape, or networks do not know their classes.
    """
    versions = RunFiles(directory).versions
    if rundir.damaged(versions):
        raise InputError(
            f"{versions} is damaged, and says whether the data are the same; restore it, or remove it to go on without "
            "a comparison"
        )
    if rundir.versions_of(directory).get("data") in (None, source.checksum()):
        return []
    before, now = remembered_of(directory), record(source)
    differ = differences(before, now) if before else []
    differ = differ or [f"some samples are others, or in another order{_damaged(directory)}"]
    text = f"the data have changed since {directory} was started: {'; '.join(differ)}"
    if before.get("shape", now["shape"]) != now["shape"]:
        raise InputError(
            f"{text}. A run goes on only with samples of its shape; restore the original data, or start a new run"
        )
    if config is not None:
        _check_classes(config, directory, source)
    if not new:
        raise InputError(
            f"{text}. Restore the original data, or go on with these and new splits: "
            f"`ensgan resume {quote(str(directory))} --new-data`, with the same --data-dir if there is one; "
            "what is held out then may have been trained with"
        )
    return differ


def _check_classes(config: Config, directory: Path, source: Source) -> None:
    """Raises InputError where new data have other classes than those that the networks of a run know."""
    if not any(group.network.options.get("classes") for group in (*config.generators, *config.discriminators)):
        return
    before, now = remembered_of(directory).get("class_names"), list(source.class_names or ())
    if before is not None and before != now:
        raise InputError(
            f"the networks of {directory} know the classes {some(before)}, and the data have {some(now) or 'none'}; "
            "give data with the same classes, or start a new run"
        )


def _damaged(directory: Path) -> str:
    """A remark where `data.json`, which says more about the data, cannot be used."""
    file = RunFiles(directory).data
    return f" ({file} is damaged)" if os.path.lexists(file) and not remembered_of(directory) else ""
