"""One run from its folder to its report: checks before it begins, and everything around the loop."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
from jax.sharding import Mesh

from ensgan.data import Source
from ensgan.data.source import check_split
from ensgan.devices import mesh, processes
from ensgan.evaluation import selection
from ensgan.evaluation.classifier import train_classifier
from ensgan.evaluation.features import Features, of_classifier
from ensgan.evaluation.tables import distances
from ensgan.game.adoption import adopt
from ensgan.game.game import Game
from ensgan.game.placement import chosen_mesh, shardings, start
from ensgan.game.program import Program
from ensgan.game.state import State
from ensgan.reporting import MetricsLog, Tracker, Watcher
from ensgan.reporting.files import RunFiles, write_json
from ensgan.runs import directory as rundir
from ensgan.runs import signals
from ensgan.runs.best import check
from ensgan.runs.build import described_law, game_of, source_of
from ensgan.runs.checkpoint import Checkpoints
from ensgan.runs.clock import Clock, Lost, lost_after
from ensgan.runs.config import Config, to_dict
from ensgan.runs.loop import Loop
from ensgan.runs.origin import about, check_data, located
from ensgan.runs.outputs import Outputs
from ensgan.runs.restore import donors, newest
from ensgan.runs.tracking import check_trackers, opened, trackers_of
from ensgan.types import InputError


class Outcome(NamedTuple):
    """How a run ended."""

    step: int
    scores: selection.Selection | None
    stopped_by: int | None  # the signal that ended it early, before its last scores were made


def run(
    config: Config,
    directory: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    watcher: Watcher | None = None,
    new_data: bool = False,
    sizes: mesh.Sizes | None = mesh.Sizes(),  # noqa: B008, a tuple of numbers
    trackers: Sequence[Tracker] = (),
) -> Outcome:
    """Trains with a run directory, from the start or from its newest checkpoint, until `config.steps`.

    SIGTERM, SIGINT and SIGHUP (a closed terminal) end it after the stretch in progress, with a checkpoint. Whatever
    the interruptions, the states on the way are the same, bit for bit on a CPU. Where several processes train together,
    all of them call this; the first one writes everything but its share of the checkpoints, and a signal to one of them
    ends all.

    Args:
        config: what to run.
        directory: where `config.json`, `metrics.jsonl`, `checkpoints/`, `samples.png` and `report.html` go.
        resume: continue from the newest checkpoint in it, which may have been made on another mesh.
        overwrite: replace a run that it holds, as soon as this one has its first checkpoint; until then it is kept.
        watcher: receives progress.
        new_data: continue although the data are others than before; their splits are new too.
        sizes: the sizes of the mesh; by default one device, None chooses by the devices that there are.
        trackers: get the numbers too, besides those that the settings name.

    Raises:
        InputError: wrong input, or a member stopped being finite (the last good state is saved first).
    """
    watcher = watcher or Watcher()
    with processes.together():
        job = _checked_job(config, directory, sizes, resume, overwrite, new_data)
    processes.check_same(_facts(config, directory, job))
    with contextlib.ExitStack() as stack:
        caught = []
        if processes.several():  # one that a signal ends while it compiles would leave the others waiting
            caught = stack.enter_context(signals.collected())
        found = _found(config, directory, job, stack, watcher) if resume else None
        if job.changes:
            watcher.note(f"going on with other data and new splits: {'; '.join(job.changes)}")
        for line in [*job.source.summary(), *described_law(config, job.game, job.source)[0]]:
            watcher.note(line)
        begin, state = _fresh(config, job, watcher) if found is None else found
        _note_schedule(config, job.game, watcher)
        if resume and rundir.damaged(RunFiles(directory).clock):
            watcher.note(f"{RunFiles(directory).clock} is damaged, so times count from here")
        with processes.together():
            lost = lost_after(RunFiles(directory).metrics, begin) if resume else Lost()
        if lost.steps:
            watcher.note(lost.told())
        clock = Clock(RunFiles(directory).clock, resume, lost)
        with clock.on("evaluate"), processes.together():
            features = _features(config, job.source, watcher)
        if begin < config.steps:
            with clock.on("compile"):
                where = "" if job.mesh is None else f" × {job.mesh.size} ({mesh.sizes_of(job.mesh)})"
                watcher.note(f"compiling {job.game.M}×{job.game.N} on {jax.devices()[0].device_kind}{where}")
                job.program.compile(state)
                watcher.note(f"a step has {_work(job)}")
        with processes.together():
            where = begin if resume else None
            saved = _take(config, directory, job, stack, where, overwrite) if processes.first() else None
        place = RunFiles(directory).checkpoints
        checkpoints = stack.enter_context(Checkpoints(place, config.keep, config.keep_every, saved=saved))
        if not processes.several():
            caught = stack.enter_context(signals.collected())
        trackers = [*trackers_of(config), *trackers]
        outputs = _outputs(config, directory, stack, clock, watcher, begin if resume else None, trackers)
        loop = Loop(config, directory, job.game, job.source, job.program, features, checkpoints, outputs)
        try:
            state = loop.go(state, begin, caught)
        finally:
            watcher.finish()
        return Outcome(loop.step, loop.scores, loop.signal if not loop.finished else None)


def _fresh(config: Config, job: _Job, watcher: Watcher) -> tuple[int, State]:
    """The step and the state at the start, with the weights of other runs if the configuration names some."""
    state = start(job.game, config.seed, job.mesh)
    if not config.init_from:
        return 0, state
    with processes.together():
        given = donors(config.init_from)
    watcher.note(f"members begin with the weights of {', '.join(config.init_from)}")
    state = adopt(job.game, state, given)
    return 0, state if job.mesh is None else jax.device_put(state, shardings(job.game, job.mesh, state))


class _Job(NamedTuple):
    """The parts of a run, once they are known to fit."""

    game: Game
    source: Source
    program: Program
    mesh: Mesh | None
    checksum: str  # of the data
    changes: list[str]  # of the data, where they are others than before


def _checked_job(
    config: Config, directory: Path, sizes: mesh.Sizes | None, resume: bool, overwrite: bool, new_data: bool
) -> _Job:
    """Builds what is trained. Raises InputError for everything that can be wrong before a step is compiled."""
    if not resume and processes.first():
        rundir.recover(directory)
        rundir.check_free(directory, overwrite)
    source = source_of(located(config, directory) if resume else config)
    changes = check_data(directory, source, new_data, config) if resume else []
    game = game_of(config, source)
    there = chosen_mesh(game, sizes)
    program = Program(game, source, there)
    check_split(source, "select")
    distances(config.distances)
    check(config, source)
    if config.features != "identity" and not config.distances:
        raise InputError(
            f"features = {config.features!r} is for distances, but distances is empty; name some, or leave features out"
        )
    check_trackers(config)
    if resume and not source.resumable:
        raise InputError(f"the source {source.name!r} gives its batches once and cannot be resumed")
    return _Job(game, source, program, there, source.checksum(), changes)


def _work(job: _Job) -> str:
    """The samples and the work of one step."""
    game, flops = job.game, job.program.flops / 1e9
    samples = f"{game.reals} reals and {game.M} × {game.fakes} fakes"
    return f"{samples}: {flops:.3g} GFLOP" if flops else samples


def _found(
    config: Config, directory: Path, job: _Job, stack: contextlib.ExitStack, watcher: Watcher
) -> tuple[int, State] | None:
    """The newest checkpoint of a run that continues, in a folder that is now locked."""
    with processes.together():
        if processes.first():
            stack.enter_context(rundir.locked(directory))
    with processes.together():
        found = newest(directory, config, job.game, job.mesh)
        begin = 0 if found is None else found[0]
        if begin > config.steps or (begin == config.steps and rundir.scores_at(directory, begin)):
            raise InputError(f"{directory} has done {begin} steps; to go on, give more: --steps {2 * begin}")
    _note_resumed(directory, begin, watcher)
    return found


def _take(
    config: Config, directory: Path, job: _Job, stack: contextlib.ExitStack, begin: int | None, overwrite: bool
) -> Callable[[], None] | None:
    """Takes the folder, with an older run set aside; gives what is to be called when the first checkpoint is there.

    A run that continues has it already, and goes on from step `begin`.
    """
    saved = None
    if begin is None:
        rundir.make(directory)
        stack.enter_context(rundir.locked(directory))
        rundir.check_free(directory, overwrite)
        saved = stack.enter_context(rundir.replacing(directory))
    files = RunFiles(directory)
    data = about(config, directory, job.game, job.source, job.changes, begin)
    write_json(files.config, to_dict(config))
    write_json(files.versions, {**rundir.versions(), "data": job.checksum})
    write_json(files.data, data)
    return saved


def _outputs(
    config: Config,
    directory: Path,
    stack: contextlib.ExitStack,
    clock: Clock,
    watcher: Watcher,
    resumed: int | None,
    trackers: Sequence[Tracker],
) -> Outputs:
    """Where a run reports; only the first of several processes writes."""
    if not processes.first():
        return Outputs(None, clock, watcher, [])
    log = stack.enter_context(MetricsLog(RunFiles(directory).metrics, resume_step=resumed))
    return Outputs(log, clock, watcher, opened(trackers, config, directory, stack, watcher))


def _features(config: Config, source: Source, watcher: Watcher) -> Features | None:
    """The features of the distances; the same after an interruption, as a classifier follows from data and seed."""
    if config.features == "identity" or not config.distances:
        return None
    if source.single is not None:
        raise InputError(f"features of a classifier are those of single images, and {source.name!r} stacks them")
    watcher.note("training a classifier for the features of the distances")
    return of_classifier(train_classifier(source, seed=config.seed))


def _note_schedule(config: Config, game: Game, watcher: Watcher) -> None:
    """Notes where a run is too short for its schedule."""
    plan, name = game.schedule, config.schedule.name
    if plan is None:
        return
    if plan.claims.staged and game.M * plan.every > config.steps:
        watcher.note(
            f"the schedule {name} trains {game.M} pairs for {plan.every} steps each, and the run has {config.steps}: "
            f"{max(config.steps // plan.every, 1)} will be in the mixture; lower --schedule.every, or give more steps"
        )
    elif plan.every >= config.steps and not plan.claims.at_start:
        watcher.note(
            f"the schedule {name} acts every {plan.every} steps, and the run has {config.steps}, so it never acts; "
            "lower --schedule.every, or give more steps"
        )


def _note_resumed(directory: Path, begin: int, watcher: Watcher) -> None:
    """Notes about a run that continues."""
    if begin == 0:
        watcher.note(f"{directory} was stopped before its first checkpoint: starting again")
    now, then = rundir.versions(), rundir.versions_of(directory)
    names = [name for name in rundir.PACKAGES if then.get(name, now.get(name)) != now.get(name)]
    if changed := "; ".join(f"{name} {then[name]}, now {now.get(name, 'none')}" for name in names):
        watcher.note(
            f"it last ran with {changed}: the next steps may differ in their last bits from an uninterrupted run"
        )


def _facts(config: Config, directory: Path, job: _Job) -> dict[str, Any]:
    """The facts that must agree in all processes of a run."""
    if not processes.several():
        return {}
    versions = rundir.versions()
    return {
        **{f"the version of {name}": versions[name] for name in rundir.PACKAGES if name in versions},
        **flatten_settings(to_dict(config)),
        "the run directory": directory.absolute(),
        "the mesh": mesh.sizes_of(job.mesh) if job.mesh is not None else mesh.Sizes(),
        "the checksum of the data": job.checksum,
    }


def flatten_settings(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted keys of nested settings, and their values."""
    if isinstance(tree, dict | list):
        pairs = tree.items() if isinstance(tree, dict) else enumerate(tree)
        return {k: v for key, value in pairs for k, v in flatten_settings(value, f"{prefix}{key}.").items()}
    return {prefix[:-1]: tree}
