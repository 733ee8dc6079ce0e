"""Runs on disk: the host loop between stretches of steps, and what it leaves in the run directory.

A run directory holds `config.json` (resolved), `versions.json`, `metrics.jsonl`, `clock.json`, `checkpoints/`,
`samples.npz`, `samples.png` and `report.html`; `selection.json` once `ensgan select` chose a mixture; and `judge.json`
and `reliability.png` once `ensgan judge` fitted a judge. Whatever interrupts a run, going on from its newest
checkpoint gives the same states.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple, NoReturn

import jax
import numpy as np
from jax.sharding import Mesh

from ensgan import rundir
from ensgan.checkpoint import Checkpoints
from ensgan.config import Config, parse, to_dict
from ensgan.data import Source
from ensgan.data.source import check_split
from ensgan.devices import mesh, processes
from ensgan.devices.processes import same_array
from ensgan.evaluation import selection
from ensgan.evaluation.classifier import train_classifier
from ensgan.evaluation.features import Features, of_classifier
from ensgan.evaluation.tables import distances, evaluate_distances, evaluate_modes
from ensgan.gallery import save_samples
from ensgan.game.faults import describe_fault, spoiled, stopped
from ensgan.game.game import Game
from ensgan.game.info import Info, Total, added, mean
from ensgan.game.placement import chosen_mesh, shardings, start
from ensgan.game.program import Interrupted, Program
from ensgan.game.state import State
from ensgan.records import distance_record, mode_record, score_record
from ensgan.reporting import MetricsLog, TensorBoardSink, WandbSink, Watcher, flatten, write_report
from ensgan.reporting.files import write_json
from ensgan.training import TABLES, bare, between, build, periods, stretches
from ensgan.types import InputError

TAME = ". Lower the learning rate, add a penalty, or change the loss, and start again"


class Outcome(NamedTuple):
    """How a run ended."""

    step: int
    scores: selection.Selection | None
    stopped_by: int | None  # the signal that ended it early, before its last scores were made


def load_run(directory: Path, overrides: dict[str, Any] | None = None) -> Config:
    """The configuration that a run directory was made with.

    Raises:
        InputError: there is no run in it, or its configuration cannot be read.
    """
    file = directory / "config.json"
    if not file.is_file():
        raise InputError(f"no run at {directory}: it has no config.json; give a folder that `ensgan train` made")
    return parse({**rundir.settings(file), **(overrides or {})}, TABLES, prog="ensgan")[0]


def restore(directory: Path, config: Config) -> tuple[Game, Source, State]:
    """The game, the data and the newest state of a run, to look at; training goes on with `run(..., resume=True)`.

    Raises:
        InputError: the data are not those of the run, or it has no complete checkpoint, or one that cannot be read.
    """
    game, source = build(config)
    _check_data(directory, source.checksum())
    found = _newest(directory, config, game, None)
    if found is None:
        raise InputError(
            f"{directory} has no complete checkpoint, since it was stopped before one; `ensgan resume` starts it again"
        )
    return game, source, found[1]


def _newest(directory: Path, config: Config, game: Game, there: Mesh | None) -> tuple[int, State] | None:
    """The newest checkpoint and its step, if any. Only reads: what trains in the directory is not disturbed."""
    place = directory / "checkpoints"
    if not place.is_dir():
        return None
    with Checkpoints(place, config.keep, read_only=True) as checkpoints:
        return checkpoints.restore(_placed(game, there)) if checkpoints.steps else None


def _check_data(directory: Path, checksum: str) -> None:
    """Raises InputError where a run began with other data: what was held out then might be trained with now."""
    before = rundir.versions_of(directory).get("data", checksum)
    if before != checksum:
        raise InputError(
            f"the data are not those that {directory} began with (checksum {checksum}, then {before}): those held out "
            "for scores would be others; give back those data, or train anew"
        )


def _placed(game: Game, there: Mesh | None) -> Any:
    """Abstract arrays of a state, where fresh ones would be. Member counts, not the mesh, decide what can be read."""
    like = jax.eval_shape(game.init, jax.random.key(0))
    alone = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    where = jax.tree.map(lambda _: alone, like) if there is None else shardings(game, there, like)
    return jax.tree.map(lambda a, s: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=s), like, where)


def run(
    config: Config,
    directory: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    watcher: Watcher | None = None,
    sizes: mesh.Sizes | None = mesh.Sizes(),  # noqa: B008, a tuple of numbers
) -> Outcome:
    """Trains with a run directory, from the start or from its newest checkpoint, until `config.steps`.

    SIGTERM and SIGINT end it after the stretch in progress, with a checkpoint. Whatever the interruptions, the states
    on the way are the same, bit for bit on a CPU. Where several processes train together, all of them call this; the
    first one writes everything but its share of the checkpoints, and a signal to one of them ends all.

    Args:
        config: what to run.
        directory: where `config.json`, `metrics.jsonl`, `checkpoints/`, `samples.png` and `report.html` go.
        resume: go on from the newest checkpoint in it, which may have been made on another mesh.
        overwrite: replace a run that it holds.
        watcher: what to tell while it goes on.
        sizes: of the mesh; by default one device, None chooses by the devices that there are.

    Raises:
        InputError: wrong input, or a member stopped being finite (the last good state is saved first).
    """
    watcher = watcher or Watcher()
    first = processes.first()
    with processes.together():
        if not resume and first:
            rundir.check_free(directory, overwrite)
        game, source = build(config)
        there = chosen_mesh(game, sizes)
        program = Program(game, source, there)
        check_split(source, "select")
        distances(config.distances)  # an unknown one is told before anything begins
        if config.features != "identity" and not config.distances:
            raise InputError(f"features are those of a {config.features}, but no distances are taken; name some")
        _check_sinks(config)
        checksum = source.checksum()
        if resume and not source.resumable:
            raise InputError(f"the source {source.name!r} gives its batches once and cannot be resumed")
        if resume:
            _check_data(directory, checksum)
    processes.check_same(_facts(config, directory, checksum, there))
    with contextlib.ExitStack() as stack:
        begin, found, caught = 0, None, []
        if processes.several():  # one that a signal ends while it compiles would leave the others waiting
            caught = stack.enter_context(_signals())
        if resume:
            with processes.together():
                if first:
                    stack.enter_context(rundir.locked(directory))
            with processes.together():
                found = _newest(directory, config, game, there)
                begin = 0 if found is None else found[0]
                if begin > config.steps or (begin == config.steps and rundir.scored(directory, begin)):
                    raise InputError(
                        f"{directory} is already at step {begin} of {config.steps}; give more with --steps"
                    )
            _note_resumed(directory, begin, watcher)
        state = start(game, config.seed, there) if found is None else found[1]
        _note_schedule(config, game, watcher)
        clock = rundir.Clock(directory / "clock.json", resume)
        with clock.on("evaluate"), processes.together():
            features = _features(config, source, watcher)
        if begin < config.steps:
            with clock.on("compile"):
                where = "" if there is None else f" × {there.size} ({mesh.sizes_of(there)})"
                watcher.note(f"compiling {game.M}×{game.N} on {jax.devices()[0].device_kind}{where}")
                program.compile(state)
        with processes.together():
            if first:
                if not resume:  # everything that could be wrong has been seen by now: an older run may go
                    rundir.make(directory)
                    stack.enter_context(rundir.locked(directory))
                    rundir.check_free(directory, overwrite)
                    rundir.clear(directory)
                write_json(directory / "config.json", to_dict(config))
                write_json(directory / "versions.json", {**rundir.versions(), "data": checksum})

        checkpoints = stack.enter_context(Checkpoints(directory / "checkpoints", config.keep))
        if not processes.several():
            caught = stack.enter_context(_signals())
        log, sinks = None, []
        if first:
            log = stack.enter_context(MetricsLog(directory / "metrics.jsonl", resume_step=begin if resume else None))
            sinks = _sinks(config, directory)
        loop = _Loop(config, directory, game, source, features, program, checkpoints, log, clock, watcher, sinks)
        try:
            state = loop.go(state, begin, caught)
        finally:
            watcher.finish()
            for sink in sinks:
                sink.close()
        return Outcome(loop.step, loop.scores, loop.signal if not loop.finished else None)


def _features(config: Config, source: Source, watcher: Watcher) -> Features | None:
    """What distances are taken in; the same after an interruption, as a classifier follows from data and seed."""
    if config.features == "identity" or not config.distances:
        return None
    if source.single is not None:
        raise InputError(f"features of a classifier are those of single images, and {source.name!r} stacks them")
    watcher.note("training the classifier in whose features distances are taken")
    return of_classifier(train_classifier(source, seed=config.seed))


def _note_schedule(config: Config, game: Game, watcher: Watcher) -> None:
    """Says where a run is too short for its schedule."""
    plan, name = game.schedule, config.schedule.name
    if plan is None:
        return
    if plan.staged and game.M * plan.every > config.steps:
        watcher.note(
            f"the schedule {name} trains {game.M} pairs for {plan.every} steps each, and the run has {config.steps}: "
            f"{max(config.steps // plan.every, 1)} will be in the mixture; lower schedule.every, or give more steps"
        )
    elif plan.every >= config.steps and not plan.at_start:
        watcher.note(
            f"the schedule {name} acts every {plan.every} steps, and the run has {config.steps}: it never acts; lower "
            "schedule.every, or give more steps"
        )


def _note_resumed(directory: Path, begin: int, watcher: Watcher) -> None:
    """What is worth knowing of a run that goes on."""
    if begin == 0:
        watcher.note(f"{directory} was stopped before its first checkpoint: it starts again")
    now, then = rundir.versions(), rundir.versions_of(directory)
    names = [name for name in rundir.PACKAGES if then.get(name, now.get(name)) != now.get(name)]
    if changed := "; ".join(f"{name} {then[name]}, now {now.get(name, 'none')}" for name in names):
        watcher.note(f"it last ran with {changed}: its steps may differ in their last bits from those of one run")


def _facts(config: Config, directory: Path, checksum: str, there: Mesh | None) -> dict[str, Any]:
    """What must be the same in all processes of a run."""
    if not processes.several():
        return {}
    versions = rundir.versions()
    return {
        **{f"the version of {name}": versions[name] for name in rundir.PACKAGES if name in versions},
        **flatten_settings(to_dict(config)),
        "the run directory": directory.absolute(),
        "the mesh": mesh.sizes_of(there) if there is not None else mesh.Sizes(),
        "the checksum of the data": checksum,
    }


def flatten_settings(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted keys of nested settings, and their values."""
    if isinstance(tree, dict | list):
        pairs = tree.items() if isinstance(tree, dict) else enumerate(tree)
        return {k: v for key, value in pairs for k, v in flatten_settings(value, f"{prefix}{key}.").items()}
    return {prefix[:-1]: tree}


@dataclasses.dataclass
class _Loop:
    """The host loop of one run: stretches of steps, and what happens between them."""

    config: Config
    directory: Path
    game: Game
    source: Source
    features: Features | None  # that distances are taken in, if not the samples themselves
    program: Program
    checkpoints: Checkpoints
    log: MetricsLog | None  # None in all processes but the first
    clock: rundir.Clock
    watcher: Watcher
    sinks: list[Any]
    scores: selection.Selection | None = None
    step: int = 0
    signal: int | None = None
    finished: bool = False

    def go(self, state: State, begin: int, caught: list[int]) -> State:
        config = self.config
        total: Total | None = None  # of the steps since the last record
        self.step = begin
        self.watcher.start(begin, config.steps)
        marks = [config.log_every, config.eval_every, config.checkpoint_every, *periods(self.game)]
        if processes.any_of(bool(caught)):
            return self.stop(state, begin, caught)
        if begin == config.steps or (begin % config.eval_every == 0 and int(state.rated) < begin and begin > 0):
            state = self.evaluate(state, begin)  # a signal ended the run before these scores were made
        for begun, end in stretches(begin, config.steps, marks):
            with self.clock.on("train"):
                state = between(self.game, state, self.source, begun, config.held_out, self.program.mesh)
                try:
                    state, more = self.program.tally(state, end - begun)
                except Interrupted as error:  # what is saved, all processes save; but the others know nothing of it
                    if processes.several():
                        raise
                    self.give_up(error.state, str(error))
                total = added(total, more)
                fault = describe_fault(jax.device_get(state.fault))  # waits for the device
            if fault:
                self.give_up(state, f"{fault}; no later update was applied", TAME)
            self.step = end
            if end % config.log_every == 0 or end == config.steps:
                record = {"kind": "train", "step": end, "seconds": self.clock.spent["train"], **_host(mean(total))}
                total = None
                self.write(record)
                self.watcher.progress(end, record)
            last = end == config.steps
            if processes.any_of(bool(caught)):
                return self.stop(state, end, caught)
            due = last or end % config.checkpoint_every == 0
            try:
                if last or end % config.eval_every == 0:
                    state = self.evaluate(state, end)
            except BaseException:  # what was trained is not lost; but the other processes know nothing of it
                if due and not processes.several():
                    self.checkpoints.save(end, state)
                raise
            if due:  # after the scores, since they change ratings
                with self.clock.on("checkpoint"):
                    self.checkpoints.save(end, state)
        self.finished = True
        return state

    def stop(self, state: State, step: int, caught: list[int]) -> State:
        """Ends after a signal to any process. Schedulers give little time: the state is saved, scores can wait."""
        with self.clock.on("checkpoint"):
            self.checkpoints.save(step, state)
        self.signal = caught[0] if caught else int(signal.SIGTERM)
        self.keep_time(step)
        return state

    def keep_time(self, step: int) -> None:
        """Writes the clock."""
        if self.log is not None:
            self.clock.write(step)

    def write(self, record: dict[str, Any]) -> None:
        """One record into the log, and into the sinks."""
        if self.log is not None:
            self.log.write(record)
        for sink in self.sinks:
            sink.scalars(record["step"], flatten(record))

    def evaluate(self, whole: State, step: int) -> State:
        """Held-out scores, distances, pictures and the report, from averaged generators; the state with new ratings.

        On a mesh, every process makes them from a copy of its own, so that none waits long for the first. Ratings
        change at multiples of `eval_every` alone, so that they do not depend on where a run ended and went on.
        """
        self.watcher.scoring()
        with self.clock.on("evaluate"):
            state = whole if self.program.mesh is None else mesh.local(self.program.mesh, bare(whole))
            self.scores = selection.select(self.game, state, self.source, num=self.config.held_out)
            record = score_record(self.scores, step)
            if self.source.modes is not None:
                record["modes"] = mode_record(evaluate_modes(self.game, state, self.source))
            if names := self.config.distances:
                table = evaluate_distances(
                    self.game,
                    state,
                    self.source,
                    names=names,
                    features=self.features,
                    num=self.config.held_out,
                    seed=self.config.seed,
                    repeats=0,
                )
                record["distances"] = distance_record(table, names)
            self.write(record)
            if self.log is not None:
                save_samples(self.directory, self.game, state, self.source)
        self.keep_time(step)
        if self.log is not None:
            with self.clock.on("evaluate"):
                write_report(self.directory)
        self.watcher.scored(step, self.scores)
        if step % self.config.eval_every:
            return whole
        # Every process has made its own; the state holds those of the first, to the last bit.
        new = same_array({"ratings": self.scores.ratings, "rated": np.int32(step)})
        return whole._replace(**self.program.put(new))

    def give_up(self, state: State, reason: str, advice: str = "") -> NoReturn:
        """Saves the last good state and ends the run."""
        step, saved = int(state.step), self.checkpoints.steps
        if int(state.fault[0]) >= 0:
            state = stopped(state)
            step = int(state.step)
            if self.program.mesh is not None:  # where a checkpoint expects them
                state = state._replace(**self.program.put({"step": state.step, "fault": state.fault}))
        if spoiled(state.fault):
            where = f"the newest checkpoint is of step {saved[-1]}" if saved else "no checkpoint had been saved before"
        else:
            self.checkpoints.save(step, state)
            where = f"the state of step {step} is saved in {self.directory}"
        self.keep_time(step)
        if self.log is not None:
            write_report(self.directory)
        raise processes.Agreed(f"{reason}; {where}{advice}")  # faults are seen by all processes


def _host(info: Info) -> dict[str, Any]:
    return {key: np.asarray(value) for key, value in jax.device_get(info)._asdict().items()}


def _check_sinks(config: Config) -> None:
    for wanted, package, extra in (
        (config.tensorboard, "tensorboardX", "tensorboard"),
        (config.wandb, "wandb", "wandb"),
    ):
        if wanted and importlib.util.find_spec(package) is None:
            raise InputError(f"{extra} needs {package}: pip install 'ensgan[{extra}]'")


def _sinks(config: Config, directory: Path) -> list[Any]:
    sinks: list[Any] = [TensorBoardSink(directory / "tensorboard")] if config.tensorboard else []
    if not config.wandb:
        return sinks
    given = {"name": config.name, "dir": str(directory), "id": rundir.wandb_id(directory), "resume": "allow"}
    return [*sinks, WandbSink(config.wandb, **given)]


@contextlib.contextmanager
def _signals() -> Iterator[list[int]]:
    """Collects SIGTERM and SIGINT while inside; a second SIGINT is the usual KeyboardInterrupt."""
    caught: list[int] = []

    def remember(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and caught:
            raise KeyboardInterrupt
        caught.append(number)

    previous = {}
    with contextlib.suppress(ValueError):  # only the main thread may set handlers
        previous = {number: signal.signal(number, remember) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield caught
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
