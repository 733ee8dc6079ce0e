"""A run opened again: its configuration, its game and data, and its newest state."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
from jax.sharding import Mesh

from ensgan.data import Source
from ensgan.data.stores import is_address
from ensgan.game.adoption import Donor
from ensgan.game.game import Game
from ensgan.game.placement import shardings
from ensgan.game.state import State
from ensgan.reporting import read_metrics
from ensgan.reporting.files import RunFiles
from ensgan.runs import directory as rundir
from ensgan.runs.best import best_of
from ensgan.runs.build import TABLES, build_game, game_of
from ensgan.runs.checkpoint import Checkpoints
from ensgan.runs.config import Config
from ensgan.runs.mirror import folder_of
from ensgan.runs.origin import known, source_again, with_path
from ensgan.runs.parsing import parse
from ensgan.types import InputError


def load_run(directory: Path, overrides: dict[str, Any] | None = None) -> Config:
    """The configuration that a run directory was made with.

    Raises:
        InputError: there is no run in it, or its configuration cannot be read.
    """
    rundir.recover(directory)
    file = RunFiles(directory).config
    if not file.is_file():
        if RunFiles(directory).series.is_file():
            raise InputError(f"{directory} holds several runs; name one of them, such as {directory}/seed-0")
        raise InputError(f"no run at {directory}: it has no config.json; give a folder that `ensgan train` made")
    earlier = {"on_failure": "stop"}  # the only way of versions that did not write it
    return parse({**earlier, **rundir.settings(file), **(overrides or {})}, TABLES, prog="ensgan")[0]


def restore(directory: Path, config: Config) -> tuple[Game, Source, State]:
    """The game, the data and the newest state of a run, to look at; training goes on with `run(..., resume=True)`.

    Raises:
        InputError: the data are not those of the run, or it has no complete checkpoint, or one that cannot be read.
    """
    source = source_again(config, directory)
    game = game_of(config, source)
    return game, source, state_of(directory, config, game)


def state_of(directory: Path, config: Config, game: Game, step: int | None = None) -> State:
    """The newest state of a run, or that of `step`. Raises InputError where it has none, or one that cannot be read."""
    found = newest(directory, config, game, None, step)
    if found is None:
        raise InputError(
            f"{directory} has no complete checkpoint, since it was stopped before one; `ensgan resume` starts it again"
        )
    return found[1]


class Opened(NamedTuple):
    """A run as a command sees it: its folder, and what is in it."""

    directory: Path
    config: Config
    game: Game
    source: Source  # what the folder remembers of the data; held-out samples are read when they are asked for
    state: State
    data: Callable[[], Source]  # the data themselves; raises InputError where they are not there, or are others

    def reals(self, split: str, num: int) -> dict[str, Any] | None:
        """Held-out samples, for what can do without: None, and a note, where the data cannot be used."""
        try:
            return self.data().held_out(split, num)
        except InputError as error:
            print(f"note: no reals to compare with, because {error}", file=sys.stderr)
            return None


def opened(directory: Path, data_dir: str | None = None, step: int | str | None = None) -> Opened:
    """A run with one of its states.

    Args:
        directory: that of the run.
        data_dir: where its data are now; None where they were.
        step: the step of the state, or "best" for that of the best score by the run's `best`; None for the newest.

    Raises:
        InputError: as in `load_run` and `state_of`; or a step that is neither a number nor best.
    """
    config = load_run(directory)
    if step is not None:
        step = _step(directory, config, str(step))
    if data_dir is not None:
        config = with_path(config, data_dir if is_address(data_dir) else os.path.abspath(data_dir))
        if not is_address(data_dir) and not os.path.exists(data_dir):
            raise InputError(f"--data-dir is {data_dir}, which does not exist; give the place of the run's data")
    source, data = known(config, directory)
    game = build_game(config, source.shape, source.num["train"])
    return Opened(directory, config, game, source, state_of(directory, config, game, step), data)


def _step(directory: Path, config: Config, asked: str) -> int:
    """The number of a step, or of that with the best score."""
    if asked.isdecimal():
        return int(asked)
    if asked != "best":
        raise InputError(f"--from-step is {asked!r}; give a step of a checkpoint, or best")
    if not config.best:
        raise InputError(f"{directory} was not told what is best; give a step, or train with --best frechet")
    file = RunFiles(directory).metrics
    found = best_of(read_metrics(file) if file.is_file() else [], config.best, config.steps)
    if found.step is None:
        raise InputError(f"{directory} has no score by {config.best} yet")
    print(f"step {found.step} has the best {config.best}, {found.value:.4g}", file=sys.stderr)
    return found.step


def donors(places: Sequence[str]) -> list[Donor]:
    """The members that other runs give, from texts such as `RUN`, `RUN:member:3` and `RUN:step:2000`.

    Raises:
        InputError: a text of another form, a folder that is no run, or a checkpoint that it does not have.
    """
    found = []
    for place in places:
        path, numbers = place, {}
        while match := re.fullmatch(r"(.+):(member|step):([0-9]{1,9})", path):
            path, numbers = match[1], {match[2]: int(match[3]), **numbers}
        if re.search(r":(member|step)(:|$)", path):
            raise InputError(f"{place!r} is not a run to begin from; give RUN, RUN:member:I or RUN:step:N")
        with folder_of(path) as directory:
            config = load_run(directory)
            source, _ = known(config, directory)
            game = build_game(config, source.shape, source.num["train"])
            state = newest(directory, config, game, None, numbers.get("step"))
        if state is None:
            raise InputError(f"{path} has no complete checkpoint, so there are no weights to begin with")
        found.append(Donor(state[1], numbers.get("member"), place))
    return found


def newest(
    directory: Path, config: Config, game: Game, there: Mesh | None, step: int | None = None
) -> tuple[int, State] | None:
    """The newest checkpoint and its step, or that of `step`, if any. Only reads, so that training is not disturbed."""
    place = RunFiles(directory).checkpoints
    if not place.is_dir():
        return None
    with Checkpoints(place, config.keep, read_only=True) as checkpoints:
        return checkpoints.restore(_placed(game, there), step) if checkpoints.steps else None


def _placed(game: Game, there: Mesh | None) -> Any:
    """Abstract arrays of a state, where fresh ones would be. Member counts, not the mesh, decide what can be read."""
    like = jax.eval_shape(game.init, jax.random.key(0))
    alone = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    where = jax.tree.map(lambda _: alone, like) if there is None else shardings(game, there, like)
    return jax.tree.map(lambda a, s: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=s), like, where)
