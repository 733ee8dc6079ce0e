"""Trackers of a run: those that its settings name, those of its user, and what happens where one fails."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ensgan.reporting import Sink, Tracked, Tracker, Watcher, sinks
from ensgan.runs import directory as rundir
from ensgan.runs.config import Config, to_dict
from ensgan.types import InputError

PACKAGES = {"tensorboard": "tensorboardX", "wandb": "wandb", "trackio": "trackio"}  # by their settings and extras


def check_trackers(config: Config) -> None:
    """Raises InputError where a package is missing that the settings ask for."""
    for extra, package in PACKAGES.items():
        if getattr(config, extra) and importlib.util.find_spec(package) is None:
            raise InputError(f"{extra} needs {package}: pip install 'ensgan[{extra}]'")


def trackers_of(config: Config) -> list[Tracker]:
    """The trackers that the settings name."""
    named = [sinks.tensorboard] if config.tensorboard else []
    projects = ((sinks.wandb, config.wandb), (sinks.trackio, config.trackio))
    return [*named, *(make(project) for make, project in projects if project)]


def tracker_of(text: str) -> Tracker:
    """The tracker `module:function`, from the current folder or an installed package.

    Raises:
        InputError: another form, or there is no such function.
    """
    place, colon, name = text.partition(":")
    if not colon or not place or not name:
        more = f"; that one is the flag --{text}" if text in PACKAGES else ""
        raise InputError(f"--track is {text!r}; give module:function, such as mysinks:to_csv{more}")
    sys.path.insert(0, "")  # the current folder, as for `python -m`
    try:
        module = importlib.import_module(place)
    except Exception as error:  # whatever the user's file does
        raise InputError(
            f"--track {text}: importing {place} fails ({type(error).__name__}: {error}); give a module of this folder, "
            "or of an installed package"
        ) from error
    finally:
        sys.path.remove("")
    found = getattr(module, name, None)
    if not callable(found):
        own = [key for key, value in vars(module).items() if callable(value) and key[:1] != "_"]
        raise InputError(f"--track {text}: {place} has no function {name!r}; it has {', '.join(sorted(own)) or 'none'}")
    return found


def opened(
    trackers: Sequence[Tracker], config: Config, directory: Path, stack: contextlib.ExitStack, watcher: Watcher
) -> list[Sink]:
    """The sinks of the trackers, which close with `stack`.

    Training matters more than where its numbers go: a sink that fails is named and left out from there on.

    Args:
        trackers: to be opened.
        config: settings of the run.
        directory: of the run.
        stack: closes them.
        watcher: is told what fails.

    Raises:
        InputError: one cannot start.
    """
    if not trackers:
        return []
    run = Tracked(config.name, rundir.tracking_id(directory), directory, to_dict(config))
    return [_opened(tracker, run, stack, watcher) for tracker in trackers]


def _opened(tracker: Tracker, run: Tracked, stack: contextlib.ExitStack, watcher: Watcher) -> Sink:
    name = getattr(tracker, "__name__", str(tracker))
    inner = contextlib.ExitStack()
    try:
        sink = inner.enter_context(tracker(run))
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"the tracker {name} does not start ({type(error).__name__}: {error}); it is a function of a run, with "
            "@contextlib.contextmanager above it, that yields a function of a step and its values"
        ) from error
    failed: list[BaseException] = []

    @contextlib.contextmanager
    def careful(what: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            failed.append(error)
            watcher.note(
                f"the tracker {name} failed {what} ({type(error).__name__}: {error}); training goes on without it"
            )

    def guarded(step: int, values: Mapping[str, Any]) -> None:
        if not failed:
            with careful(f"at step {step}"):
                sink(step, values)

    def close() -> None:  # it must neither see nor swallow an error of the run
        with careful("at its end"):
            inner.close()

    stack.callback(close)
    return guarded
