"""Runs on disk: the host loop between stretches of steps, and what it leaves in the run directory.

A run directory holds `config.json` (resolved), `versions.json`, `metrics.jsonl`, `clock.json`, `checkpoints/`,
`samples.npz`, `samples.png` and `report.html`, and `selection.json` once `ensgan select` chose a mixture. Whatever
interrupts a run, going on from its newest checkpoint gives the same states.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import json
import os
import signal
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple, NoReturn

import jax
import numpy as np
from jax.sharding import Mesh

from ensgan import mesh, processes, rundir, selection
from ensgan.checkpoint import Checkpoints
from ensgan.config import Config, parse, to_dict
from ensgan.data import Source, to_uint8
from ensgan.dispatch import Interrupted, Program, shardings, start, to_divide
from ensgan.evaluation import evaluate_modes
from ensgan.faults import describe_fault, spoiled, stopped
from ensgan.game import Game, State
from ensgan.ratings import Ratings
from ensgan.refine import Judge
from ensgan.reporting import (
    MetricsLog,
    TensorBoardSink,
    WandbSink,
    Watcher,
    flatten,
    plain,
    read_metrics,
    write_reliability,
    write_report,
    write_samples,
)
from ensgan.reporting.pictures import COLUMNS, png, scatter_panel, tile
from ensgan.sampling import every_member
from ensgan.step import Info
from ensgan.training import TABLES, between, build, periods, stretches
from ensgan.types import InputError

TAME = ". Lower the learning rate, add a penalty, or change the loss, and start again"


class Outcome(NamedTuple):
    """How a run ended."""

    step: int
    scores: selection.Selection | None
    stopped_by: int | None  # the signal that ended it early, before its last scores were made


class Choice(NamedTuple):
    """What `selection.json` says."""

    step: int
    method: str
    weights: np.ndarray  # [M]


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
    """The game, the data and the newest state of a run, to look at; training goes on with `run(..., resume=True)`."""
    game, source = build(config)
    return game, source, _newest(directory, config, game, None)[1]


def _newest(directory: Path, config: Config, game: Game, there: Mesh | None) -> tuple[int, State]:
    """The newest checkpoint and its step. Only reads: a process that trains in the directory is not disturbed."""
    place = directory / "checkpoints"
    if place.is_dir():
        with Checkpoints(place, config.keep, read_only=True) as checkpoints:
            if checkpoints.steps:
                return checkpoints.restore(_placed(game, there))
    raise InputError(
        f"{directory} has no complete checkpoint; it was stopped before it saved one; start again with --overwrite"
    )


def _placed(game: Game, there: Mesh | None) -> Any:
    """Abstract arrays of a state, where fresh ones would be. Member counts, not the mesh, decide what can be read."""
    like = jax.eval_shape(game.init, jax.random.key(0))
    alone = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    where = jax.tree.map(lambda _: alone, like) if there is None else shardings(game, there, like)
    return jax.tree.map(lambda a, s: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=s), like, where)


def chosen_mesh(game: Game, sizes: mesh.Sizes | None) -> Mesh | None:
    """The mesh of a run, or None where it has one device.

    Args:
        game: what is played.
        sizes: of the mesh; None chooses them by the number of devices.

    Raises:
        InputError: the devices, or the game, do not fit.
    """
    if sizes is None:
        sizes = mesh.choose(jax.device_count(), **to_divide(game))
        if processes.several() and sizes.devices < jax.device_count():
            raise InputError(
                f"the largest mesh that fits this game is {sizes}, and several processes must use all of their "
                f"{jax.device_count()} devices; change the members, batch_size, or the number of processes"
            )
    return None if sizes.devices == 1 and not processes.several() else mesh.make(*sizes)


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
        selection.check_split(source, "select")
        _check_sinks(config)
        if resume and not source.resumable:
            raise InputError(f"the source {source.name!r} gives its batches once and cannot be resumed")
    processes.check_same(_facts(config, directory, source, there))
    with contextlib.ExitStack() as stack:
        begin, caught = 0, []
        if processes.several():  # one that a signal ends while it compiles would leave the others waiting
            caught = stack.enter_context(_signals())
        if resume:
            with processes.together():
                if first:
                    stack.enter_context(rundir.locked(directory))
            with processes.together():
                begin, state = _newest(directory, config, game, there)
                if begin > config.steps or (begin == config.steps and rundir.scored(directory, begin)):
                    raise InputError(
                        f"{directory} is already at step {begin} of {config.steps}; give more with --steps"
                    )
        else:
            state = start(game, config.seed, there)
        clock = rundir.Clock(directory / "clock.json", resume)
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
                rundir.write_json(directory / "config.json", to_dict(config))
                rundir.write_json(directory / "versions.json", rundir.versions())

        checkpoints = stack.enter_context(Checkpoints(directory / "checkpoints", config.keep))
        if not processes.several():
            caught = stack.enter_context(_signals())
        log, sinks = None, []
        if first:
            log = stack.enter_context(MetricsLog(directory / "metrics.jsonl", resume_step=begin if resume else None))
            sinks = _sinks(config, directory)
        loop = _Loop(config, directory, game, source, program, checkpoints, log, clock, watcher, sinks)
        try:
            state = loop.go(state, begin, caught)
        finally:
            watcher.finish()
            for sink in sinks:
                sink.close()
        return Outcome(loop.step, loop.scores, loop.signal if not loop.finished else None)


def _facts(config: Config, directory: Path, source: Source, there: Mesh | None) -> dict[str, Any]:
    """What must be the same in all processes of a run."""
    if not processes.several():
        return {}
    versions = rundir.versions()
    data = [source.arrays, source.held_out("select", selection.LEAST)]
    return {
        **{f"the version of {name}": versions[name] for name in rundir.PACKAGES if name in versions},
        **flatten_settings(to_dict(config)),
        "the run directory": directory.absolute(),
        "the mesh": mesh.sizes_of(there) if there is not None else mesh.Sizes(),
        "the checksum of the data": hex(
            zlib.crc32(b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(data)))
        ),
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
        self.step = begin
        self.watcher.start(begin, config.steps)
        marks = [config.log_every, config.eval_every, config.checkpoint_every, *periods(self.game)]
        if processes.any_of(bool(caught)):
            return self.stop(state, begin, caught)
        for begun, end in stretches(begin, config.steps, marks):
            with self.clock.on("train"):
                state = between(self.game, state, self.source, begun, config.held_out, self.program.mesh)
                try:
                    state, info = self.program(state, end - begun)
                except Interrupted as error:
                    self.give_up(error.state, str(error))
                fault = describe_fault(jax.device_get(state.fault))  # waits for the device
            if fault:
                self.give_up(state, f"{fault}; no later update was applied", TAME)
            self.step = end
            if end % config.log_every == 0 or end == config.steps:
                record = {"kind": "train", "step": end, "seconds": self.clock.spent["train"], **_host(info)}
                self.write(record)
                self.watcher.progress(end, record)
            last = end == config.steps
            if processes.any_of(bool(caught)):
                return self.stop(state, end, caught)
            if last or end % config.checkpoint_every == 0:
                with self.clock.on("checkpoint"):
                    self.checkpoints.save(end, state)
            if not last and end % config.eval_every == 0:
                self.evaluate(state, end)
        self.evaluate(state, config.steps)
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

    def evaluate(self, state: State, step: int) -> None:
        """Held-out scores, pictures and the report, from averaged generators.

        On a mesh, every process makes them from a copy of its own, so that none waits long for the first.
        """
        self.watcher.scoring()
        with self.clock.on("evaluate"):
            if self.program.mesh is not None:
                state = bare_copy(self.program.mesh, state)
            before = None if self.log is None else last_ratings(self.directory, step)
            self.scores = selection.select(self.game, state, self.source, num=self.config.held_out, before=before)
            record = score_record(self.scores, step)
            if self.source.modes is not None:
                record["modes"] = mode_record(evaluate_modes(self.game, state, self.source))
            self.write(record)
            if self.log is not None:
                save_samples(self.directory, self.game, state, self.source)
        self.keep_time(step)
        if self.log is not None:
            with self.clock.on("evaluate"):
                write_report(self.directory)
        self.watcher.scored(step, self.scores)

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
        raise InputError(f"{reason}; {where}{advice}")


def bare_copy(there: Mesh, state: State) -> State:
    """A copy of what scores and samples need, whole and on one device: everything but the optimisers' states."""
    bare = lambda side: tuple(members._replace(optimizer=()) for members in side)
    state = state._replace(generators=bare(state.generators), discriminators=bare(state.discriminators))
    return mesh.local(there, state)


def score_record(scores: selection.Selection, step: int) -> dict[str, Any]:
    """The JSON record of held-out scores."""
    return {
        "kind": "score",
        "step": step,
        "fool": scores.fool,
        "probability": scores.probability,
        **({} if scores.log_odds is None else {"log_odds": scores.log_odds, "accuracy": scores.accuracy}),
        "score_g": scores.score_g.value,
        "error_g": scores.score_g.error,
        "score_d": scores.score_d.value,
        "error_d": scores.score_d.error,
        "mmd": scores.mmd.value,
        "mmd_error": scores.mmd.error,
        "mmd_floor": scores.mmd_floor,
        "coverage": scores.coverage,
        "coverage_floor": scores.coverage_floor,
        **(
            {}
            if scores.left_out is None
            else {"left_out": scores.left_out.value, "left_out_error": scores.left_out.error}
        ),
        "rank_g": scores.rank_g,
        "rank_d": scores.rank_d,
        "ratings": scores.ratings._asdict(),
        "mixture": scores.mixture,
        "members": scores.members,
        "num": scores.num,
    }


def last_ratings(directory: Path, step: int) -> Ratings | None:
    """The ratings of all members at the last held-out scores before `step`, from the log; None where there are none.

    They live in the log and not in the state, since nothing that is trained depends on them; going on from its six
    digits gives the same ratings whatever the interruptions.
    """
    file = directory / "metrics.jsonl"
    records = read_metrics(file) if file.is_file() else []
    found = [r["ratings"] for r in records if r.get("kind") == "score" and r["step"] < step and "ratings" in r]
    return Ratings(**{key: np.array(value) for key, value in found[-1].items()}) if found else None


def save_selection(
    directory: Path, scores: selection.Selection, meta: selection.MetaGame, step: int, method: str | None
) -> str:
    """Writes `selection.json`: scores, ranks, ratings and mixtures, and which of them `sample --from mixture` takes.

    Args:
        directory: that of the run.
        scores: with fitted mixtures.
        meta: the meta-game of their matrix.
        step: of the state they are of.
        method: the mixture to take, or None for the one that the select split chose.

    Returns:
        The name of the mixture.
    """
    assert scores.fitted is not None
    taken = method or scores.fitted.chosen
    estimates = lambda found: {name: estimate._asdict() for name, estimate in found.items()}
    record = {
        **score_record(scores, step),
        "kind": "selection",
        "meta_game": meta._asdict(),
        "method": taken,
        "chosen": scores.fitted.chosen,
        "weights": scores.fitted.weights,
        "mmd_select": estimates(scores.fitted.select),
        "mmd_report": estimates(scores.fitted.report),
    }
    rundir.write_json(directory / rundir.SELECTION, plain(record))
    return taken


def save_judge(directory: Path, judge: Judge, calibrate: str, sampler: str, step: int) -> Path:
    """Writes `judge.json`, how far a judge can be trusted, and `reliability.png`; returns the picture's path.

    Args:
        directory: that of the run.
        judge: a fitted one.
        calibrate: how it was calibrated.
        sampler: what it was calibrated against.
        step: of the state it is of.
    """
    assert judge.before is not None
    assert judge.after is not None
    record = {"kind": "judge", "step": step, "rule": judge.rule, "calibrate": calibrate, "sampler": sampler}
    record |= {"before": judge.before._asdict(), "after": judge.after._asdict()}
    rundir.write_json(directory / rundir.JUDGE[0], plain(record))
    return write_reliability(directory)


def load_selection(directory: Path, members: int) -> Choice | None:
    """The mixture that `ensgan select` chose; None where nothing is stored.

    Raises:
        InputError: the file is damaged, or of a run with another number of generators.
    """
    file = directory / rundir.SELECTION
    if not file.is_file():
        return None
    try:
        record = json.loads(file.read_text())
        method = record["method"]
        found = Choice(int(record["step"]), method, np.array(record["weights"][method], np.float64))
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{file} cannot be read; write it again with `ensgan select {directory}`") from error
    if found.weights.shape != (members,):
        raise InputError(
            f"{file} has weights of shape {found.weights.shape}, but the run has {members} generators; write it again "
            f"with `ensgan select {directory}`"
        )
    return found


def mode_record(table: Any) -> dict[str, Any]:
    """The JSON form of a table of modes."""
    columns = {key: [getattr(score, key) for score in table.scores] for key in ("modes", "hq", "kl", "spread")}
    return {"names": table.names, **columns, "total": table.total, "num": table.num}


def save_samples(directory: Path, game: Game, state: State, source: Source) -> None:
    """`samples.npz` and `samples.png`: averaged generators beside reals."""
    image = len(game.sample_shape) == 3
    if not image and int(np.prod(game.sample_shape)) < 2:
        return  # a single number has no picture
    num, told = 32 if image else 1000, 0
    reals = source.held_out("select", num)
    label = reals.get("label")
    if image and game.classes is not None:
        told = min(COLUMNS, game.classes)
        reals, label = by_class(source.held_out("select", 1000), told, -(-num // told))
    num = len(reals["x"])
    fakes = np.asarray(every_member(game, state, jax.random.key(selection.NOISE_SEED + 1), num, label))
    if image:
        fakes, real = to_uint8(fakes), to_uint8(reals["x"])
    else:  # points are shown by their first two coordinates
        fakes, real = fakes.reshape(game.M, num, -1)[..., :2], reals["x"].reshape(num, -1)[:, :2]
    temporary = directory / "samples.tmp.npz"
    np.savez(temporary, generators=fakes, real=real, step=int(state.step), classes=told)
    os.replace(temporary, directory / "samples.npz")
    write_samples(directory)


def by_class(reals: dict[str, Any], classes: int, rows: int) -> tuple[dict[str, Any], np.ndarray]:
    """Reals in rows that run through the first classes, and their labels `[rows · classes]`.

    A class with fewer reals shows them again; one that has none shows grey.
    """
    x = np.zeros((rows, classes, *reals["x"].shape[1:]), np.float32)
    for k in range(classes):
        found = reals["x"][reals["label"] == k]
        if len(found):
            x[:, k] = found[np.arange(rows) % len(found)]
    return {"x": x.reshape(-1, *x.shape[2:])}, np.tile(np.arange(classes, dtype=np.int32), rows)


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
    return [*sinks, WandbSink(config.wandb, name=config.name, dir=str(directory))] if config.wandb else sinks


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


def save_picture(path: Path, x: np.ndarray, real: np.ndarray, columns: int = 0) -> None:
    """Samples `[n, ...]` as one picture: images enlarged in a grid, points (two coordinates) over the reals.

    The grid has so many columns, or where that is 0 as many as make it nearly a square.
    """
    if x.ndim == 4:
        scale = -(-64 // x.shape[1])
        enlarged = to_uint8(x).repeat(scale, axis=1).repeat(scale, axis=2)
        columns = columns or int(np.ceil(np.sqrt(len(x))))
        path.write_bytes(png(tile(enlarged, columns=min(20, columns), gap=4)))
    else:
        flat = lambda points: points.reshape(len(points), -1)[:, :2]
        path.write_bytes(png(scatter_panel(flat(x), flat(real), "#1f77b4")))
