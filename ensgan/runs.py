"""Runs on disk: the host loop between stretches of steps, and what it leaves in the run directory.

A run directory holds `config.json` (resolved), `versions.json`, `metrics.jsonl`, `clock.json`, `checkpoints/`,
`samples.npz`, `samples.png` and `report.html`. Whatever interrupts a run, going on from its newest checkpoint gives the
same states.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import json
import os
import platform
import shutil
import signal
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple, NoReturn

import jax
import numpy as np

from ensgan import selection
from ensgan.checkpoint import Checkpoints
from ensgan.config import Config, parse, read, to_dict
from ensgan.data import Source, to_uint8
from ensgan.dispatch import Interrupted, Program
from ensgan.evaluation import evaluate_modes
from ensgan.faults import describe_fault, spoiled, stopped
from ensgan.game import Game, State
from ensgan.reporting import (
    MetricsLog,
    TensorBoardSink,
    WandbSink,
    Watcher,
    flatten,
    read_metrics,
    write_report,
    write_samples,
)
from ensgan.reporting.pictures import png, scatter_panel, tile
from ensgan.sampling import every_member
from ensgan.step import Info
from ensgan.training import TABLES, build, refresh_payoff, stretches
from ensgan.types import InputError

try:
    import fcntl
except ImportError:  # not on Windows, where nothing stops two processes from training in one folder
    fcntl = None  # type: ignore[assignment]

RUN_FILES = ("metrics.jsonl", "clock.json", "versions.json", "samples.npz", "samples.png", "report.html")
TAME = ". Lower the learning rate, add a penalty, or change the loss, and start again"
PACKAGES = ("ensgan", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


class Clock:
    """Wall-clock seconds by what they were spent on, through interruptions."""

    def __init__(self, path: Path, resume: bool) -> None:
        """Starts at zero, or where an earlier part of the run stopped."""
        self.path = path
        self.spent = {
            "compile": 0.0,
            "train": 0.0,
            "evaluate": 0.0,
            "checkpoint": 0.0,
            "total": 0.0,
            "interruptions": 0,
        }
        if resume and path.is_file():
            with contextlib.suppress(OSError, ValueError, TypeError):
                found = json.loads(path.read_text())
                numbers = {k: v for k, v in dict(found).items() if isinstance(v, int | float)}
                self.spent |= {key: numbers[key] for key in self.spent if key in numbers}
            self.spent["interruptions"] += 1
        self._before, self._start = self.spent["total"], time.perf_counter()

    @contextlib.contextmanager
    def on(self, what: str) -> Iterator[None]:
        """Counts the time inside as spent on `what`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.spent[what] += time.perf_counter() - start

    def write(self, steps: int) -> None:
        """Writes the record beside the run."""
        self.spent["total"] = self._before + time.perf_counter() - self._start
        record = {key: round(value, 3) if isinstance(value, float) else value for key, value in self.spent.items()}
        _write_json(self.path, {**record, "steps": steps})


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
    return parse({**_settings(file), **(overrides or {})}, TABLES, prog="ensgan")[0]


def _settings(file: Path) -> dict[str, Any]:
    """What `config.json` holds. Raises InputError where no run wrote it."""
    tree = read(file)
    if missing := [key for key in ("generators", "discriminators", "data") if key not in tree]:
        raise InputError(f"{file} is not the configuration of a run: it has no {missing[0]!r}")
    return tree


def restore(directory: Path, config: Config) -> tuple[Game, Source, State]:
    """The game, the data and the newest state of a run, to look at; training goes on with `run(..., resume=True)`."""
    game, source = build(config)
    like = jax.eval_shape(game.init, jax.random.key(config.seed))
    return game, source, _newest(directory, config, like)[1]


def _newest(directory: Path, config: Config, like: Any) -> tuple[int, State]:
    """The newest checkpoint and its step. Only reads: a process that trains in the directory is not disturbed."""
    place = directory / "checkpoints"
    if place.is_dir():
        with Checkpoints(place, config.keep, read_only=True) as checkpoints:
            if checkpoints.steps:
                return checkpoints.restore(_placed(like))
    raise InputError(
        f"{directory} has no complete checkpoint; it was stopped before it saved one; start again with --overwrite"
    )


def _placed(like: Any) -> Any:
    """Abstract arrays with the sharding that fresh arrays get on one device."""
    sharding = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    return jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=sharding), like)


def check_free(directory: Path, overwrite: bool) -> None:
    """Raises InputError where a run, or what only looks like one, would be lost."""
    if directory.exists() and not directory.is_dir():
        raise InputError(f"{directory} is a file; give a folder for the run")
    file = directory / "config.json"
    if not file.exists():
        if found := [name for name in (*RUN_FILES, "checkpoints") if (directory / name).exists()]:
            raise InputError(
                f"{directory} holds {found[0]}, but no config.json of a run; it is left as it is, choose another folder"
            )
        return
    _settings(file)
    if not overwrite:
        raise InputError(
            f"{directory} already holds a run; go on with `ensgan resume {directory}`, choose another --run-dir, "
            "or add --overwrite to lose it"
        )


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Keeps other processes from training in the directory; the lock goes with this process, however it ends."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        if fcntl is not None:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise InputError(f"another process is training in {directory}; wait for it or stop it") from error
            except OSError:  # a file system without locks
                pass
        yield
    finally:
        os.close(descriptor)


def run(
    config: Config,
    directory: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    watcher: Watcher | None = None,
) -> Outcome:
    """Trains with a run directory, from the start or from its newest checkpoint, until `config.steps`.

    SIGTERM and SIGINT end it after the stretch in progress, with a checkpoint. Whatever the interruptions, the states
    on the way are the same, bit for bit on a CPU.

    Args:
        config: what to run.
        directory: where `config.json`, `metrics.jsonl`, `checkpoints/`, `samples.png` and `report.html` go.
        resume: go on from the newest checkpoint in it.
        overwrite: replace a run that it holds.
        watcher: what to tell while it goes on.

    Raises:
        InputError: wrong input, or a member stopped being finite (the last good state is saved first).
    """
    watcher = watcher or Watcher()
    if not resume:
        check_free(directory, overwrite)
    game, source = build(config)
    program = Program(game, source)
    selection.check_split(source, "select")
    _check_sinks(config)
    init = jax.jit(game.init)
    with contextlib.ExitStack() as stack:
        begin = 0
        if resume:
            if not source.resumable:
                raise InputError(f"the source {source.name!r} gives its batches once and cannot be resumed")
            stack.enter_context(_locked(directory))
            begin, state = _newest(directory, config, jax.eval_shape(init, jax.random.key(config.seed)))
            if begin > config.steps or (begin == config.steps and _scored(directory, begin)):
                raise InputError(f"{directory} is already at step {begin} of {config.steps}; give more with --steps")
        else:
            state = init(jax.random.key(config.seed))
        clock = Clock(directory / "clock.json", resume)
        if begin < config.steps:
            with clock.on("compile"):
                watcher.note(f"compiling {game.M}×{game.N} on {jax.devices()[0].device_kind}")
                program.compile(state)
        if not resume:  # everything that could be wrong has been seen by now: an older run may go
            _make(directory)
            stack.enter_context(_locked(directory))
            check_free(directory, overwrite)
            _clear(directory)
        _write_json(directory / "config.json", to_dict(config))
        _write_json(directory / "versions.json", versions())

        checkpoints = stack.enter_context(Checkpoints(directory / "checkpoints", config.keep))
        log = stack.enter_context(MetricsLog(directory / "metrics.jsonl", resume_step=begin if resume else None))
        caught = stack.enter_context(_signals())
        sinks = _sinks(config, directory)
        loop = _Loop(config, directory, game, source, program, checkpoints, log, clock, watcher, sinks)
        try:
            state = loop.go(state, begin, caught)
        finally:
            watcher.finish()
            for sink in sinks:
                sink.close()
        return Outcome(int(state.step), loop.scores, caught[0] if caught and not loop.finished else None)


@dataclasses.dataclass
class _Loop:
    """The host loop of one run: stretches of steps, and what happens between them."""

    config: Config
    directory: Path
    game: Game
    source: Source
    program: Program
    checkpoints: Checkpoints
    log: MetricsLog
    clock: Clock
    watcher: Watcher
    sinks: list[Any]
    scores: selection.Selection | None = None
    finished: bool = False

    def go(self, state: State, begin: int, caught: list[int]) -> State:
        config = self.config
        self.watcher.start(begin, config.steps)
        marks = [config.log_every, config.eval_every, config.checkpoint_every]
        for start, end in stretches(begin, config.steps, marks, self.game.pairing.payoff_every):
            with self.clock.on("train"):
                state = refresh_payoff(self.game, state, self.source, start, config.held_out)
                try:
                    state, info = self.program(state, end - start)
                except Interrupted as error:
                    self.give_up(error.state, str(error))
                fault = describe_fault(jax.device_get(state.fault))  # waits for the device
            if fault:
                self.give_up(state, f"{fault}; no later update was applied", TAME)
            if end % config.log_every == 0 or end == config.steps:
                record = {"kind": "train", "step": end, "seconds": self.clock.spent["train"], **_host(info)}
                self.write(record)
                self.watcher.progress(end, record)
            last = end == config.steps
            if last or caught or end % config.checkpoint_every == 0:
                with self.clock.on("checkpoint"):
                    self.checkpoints.save(end, state)
            if (
                caught
            ):  # a scheduler that sends SIGTERM gives little time: the state is safe, the rest can be made later
                self.clock.write(end)
                return state
            if not last and end % config.eval_every == 0:
                self.evaluate(state, end)
        self.evaluate(state, config.steps)
        self.finished = True
        return state

    def write(self, record: dict[str, Any]) -> None:
        """One record into the log, and into the sinks."""
        self.log.write(record)
        for sink in self.sinks:
            sink.scalars(record["step"], flatten(record))

    def evaluate(self, state: State, step: int) -> None:
        """Held-out scores, pictures and the report, from averaged generators."""
        self.watcher.scoring()
        with self.clock.on("evaluate"):
            self.scores = selection.select(self.game, state, self.source, num=self.config.held_out)
            record = score_record(self.scores, step)
            if self.source.modes is not None:
                record["modes"] = mode_record(evaluate_modes(self.game, state, self.source))
            self.write(record)
            save_samples(self.directory, self.game, state, self.source)
        self.clock.write(step)
        with self.clock.on("evaluate"):
            write_report(self.directory)
        self.watcher.scored(step, self.scores)

    def give_up(self, state: State, reason: str, advice: str = "") -> NoReturn:
        """Saves the last good state and ends the run."""
        step, saved = int(state.step), self.checkpoints.steps
        if int(state.fault[0]) >= 0:
            state = stopped(state)
            step = int(state.step)
        if spoiled(state.fault):
            where = f"the newest checkpoint is of step {saved[-1]}" if saved else "no checkpoint had been saved before"
        else:
            self.checkpoints.save(step, state)
            where = f"the state of step {step} is saved in {self.directory}"
        self.clock.write(step)
        write_report(self.directory)
        raise InputError(f"{reason}; {where}{advice}")


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
        "rank_g": scores.rank_g,
        "rank_d": scores.rank_d,
        "mixture": scores.mixture,
        "members": scores.members,
        "num": scores.num,
    }


def mode_record(table: Any) -> dict[str, Any]:
    """The JSON form of a table of modes."""
    columns = {key: [getattr(score, key) for score in table.scores] for key in ("modes", "hq", "kl", "spread")}
    return {"names": table.names, **columns, "total": table.total, "num": table.num}


def save_samples(directory: Path, game: Game, state: State, source: Source) -> None:
    """`samples.npz` and `samples.png`: averaged generators beside reals."""
    image = len(game.sample_shape) == 3
    if not image and int(np.prod(game.sample_shape)) < 2:
        return  # a single number has no picture
    num = 32 if image else 1000
    reals = source.held_out("select", num)
    label = reals.get("label")
    num = len(reals["x"])
    fakes = np.asarray(every_member(game, state, jax.random.key(selection.NOISE_SEED + 1), num, label))
    if image:
        fakes, real = to_uint8(fakes), to_uint8(reals["x"])
    else:  # points are shown by their first two coordinates
        fakes, real = fakes.reshape(game.M, num, -1)[..., :2], reals["x"].reshape(num, -1)[:, :2]
    temporary = directory / "samples.tmp.npz"
    np.savez(temporary, generators=fakes, real=real, step=int(state.step))
    os.replace(temporary, directory / "samples.npz")
    write_samples(directory)


def versions() -> dict[str, str]:
    """Versions of what a result depends on, and the device."""
    found = {"python": platform.python_version(), "platform": platform.platform(terse=True)}
    for package in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    device = jax.devices()[0]
    # Results on a GPU are only reproducible under XLA's deterministic settings, which the user chooses here.
    found["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "")
    return {**found, "device": f"{device.platform}: {device.device_kind} × {jax.device_count()}"}


def _host(info: Info) -> dict[str, Any]:
    return {key: np.asarray(value) for key, value in jax.device_get(info)._asdict().items()}


def _write_json(path: Path, value: Any) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(value, indent=2) + "\n")
    os.replace(temporary, path)


def _make(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the run directory {directory}: {error.strerror}") from error


def _clear(directory: Path) -> None:
    """Removes what an earlier run left, except its configuration, which is replaced; anything else stays."""
    try:
        for name in RUN_FILES:
            (directory / name).unlink(missing_ok=True)
        if (directory / "checkpoints").is_dir():
            shutil.rmtree(directory / "checkpoints")
    except OSError as error:
        raise InputError(f"cannot empty the run directory {directory}: {error.strerror}") from error


def _scored(directory: Path, step: int) -> bool:
    """Whether the log has held-out scores of that step."""
    file = directory / "metrics.jsonl"
    return file.is_file() and any((r.get("kind"), r.get("step")) == ("score", step) for r in read_metrics(file))


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


def save_picture(path: Path, x: np.ndarray, real: np.ndarray) -> None:
    """Samples `[n, ...]` as one picture: images enlarged in a grid, points (two coordinates) over the reals."""
    if x.ndim == 4:
        scale = -(-64 // x.shape[1])
        enlarged = to_uint8(x).repeat(scale, axis=1).repeat(scale, axis=2)
        path.write_bytes(png(tile(enlarged, columns=min(20, int(np.ceil(np.sqrt(len(x))))), gap=4)))
    else:
        flat = lambda points: points.reshape(len(points), -1)[:, :2]
        path.write_bytes(png(scatter_panel(flat(x), flat(real), "#1f77b4")))
