"""The loop of a run: stretches of training, scores, records and checkpoints."""

from __future__ import annotations

import dataclasses
import signal
from pathlib import Path
from typing import Any, NoReturn

import jax
import numpy as np

from ensgan.data import Source
from ensgan.devices import mesh, processes
from ensgan.devices.processes import same_array
from ensgan.evaluation import selection
from ensgan.evaluation.features import Features
from ensgan.evaluation.tables import evaluate_distances, evaluate_modes
from ensgan.game.faults import describe_fault, spoiled, stopped
from ensgan.game.game import Game
from ensgan.game.info import Total, added, mean
from ensgan.game.program import Interrupted, Program
from ensgan.game.state import State
from ensgan.pace import pace_of
from ensgan.reporting import read_metrics, write_report
from ensgan.reporting.files import RunFiles
from ensgan.runs import collapse
from ensgan.runs.best import Best, agreed, best_of, value_of
from ensgan.runs.build import law_of
from ensgan.runs.checkpoint import Checkpoints
from ensgan.runs.config import Config
from ensgan.runs.film import keep_frame, write_film
from ensgan.runs.gallery import save_samples
from ensgan.runs.healing import describe, heal, recover
from ensgan.runs.outputs import CLOCK, FILM, PICTURES, REPORT, Outputs
from ensgan.runs.records import distance_record, mode_record, score_record
from ensgan.runs.speed import Meter
from ensgan.training import bare, between, periods, stretches

TAME = ". Lower the learning rate, add a penalty, or change the loss, and start again"
HEAL = ", or let members heal: --on-failure heal"


@dataclasses.dataclass
class Loop:
    """The host loop of one run: stretches of steps, and the work between them."""

    config: Config
    directory: Path
    game: Game
    source: Source
    program: Program
    features: Features | None  # that distances are taken in, if not the samples themselves
    checkpoints: Checkpoints
    outputs: Outputs
    scores: selection.Selection | None = None
    step: int = 0
    signal: int | None = None
    finished: bool = False

    def __post_init__(self) -> None:
        """Takes the law of labels from the configuration."""
        self.law = law_of(self.config, self.game, self.source)
        self.best = Best()
        self.history: list[dict[str, Any]] = []  # of scores and healings, from which dead members are known

    def go(self, state: State, begin: int, caught: list[int]) -> State:
        """Trains from step `begin` to the end, or until a signal is in `caught`; the last state."""
        config, clock = self.config, self.outputs.clock
        total: Total | None = None  # of the steps since the last record
        self.step = begin
        meter = Meter(self.program.mesh, clock.spent["train"], begin)
        self.outputs.watcher.start(begin, config.steps)
        samples = self.game.n_critic * (self.game.reals + self.game.M * self.game.fakes)  # of a step
        marks = [config.log_every, config.eval_every, config.checkpoint_every, *periods(self.game)]
        file = RunFiles(self.directory).metrics
        logged = read_metrics(file) if (config.best or config.heal_collapsed) and file.is_file() else []
        if config.best:
            self.best = agreed(best_of(logged, config.best, begin))
            self.checkpoints.best = self.best.step
        if config.heal_collapsed:
            self.history = collapse.remembered(logged, config.eval_every, begin)
        if processes.any_of(bool(caught)):
            return self.stop(state, begin, caught)
        missed = begin % config.eval_every == 0 and int(state.rated) < begin and begin > 0
        if begin == config.steps or missed:
            state = self.evaluate(state, begin)  # nothing to train, or a signal came before these scores were made
            state = self.renewed(state, begin) if missed else state
            self.checkpoints.save(begin, state)
        for begun, end in stretches(begin, config.steps, marks):
            if self.enough():
                self.outputs.watcher.note(self.best.told(config.best, begun))
                break
            with clock.on("train"):
                state = between(self.game, state, self.source, begun, config.held_out, self.program.mesh)
                if begun == begin and config.profile:
                    state, more = self.profiled(state, min(begun + config.profile, end))
                    total = added(total, more)
                if int(jax.device_get(state.step)) < end:
                    state, more = self.advance(state, end)
                    total = added(total, more)
            clock.spent["read"], self.program.reading = clock.spent["read"] + self.program.reading, 0.0
            self.step = end
            if end % config.log_every == 0 or end == config.steps:
                record = {
                    "kind": "train",
                    "step": end,
                    "seconds": clock.spent["train"],
                    "samples": end * samples,
                    **({"flops": end * self.program.flops} if self.program.flops else {}),
                    "speed": meter.read(clock.spent["train"], end, samples, self.program.flops),
                    **jax.device_get(mean(total))._asdict(),
                }
                total = None
                self.outputs.write(record)
                self.outputs.watcher.progress(end, record)
            last = end == config.steps
            if processes.any_of(bool(caught)):
                return self.stop(state, end, caught)
            due = last or end % config.checkpoint_every == 0
            try:
                if last or end % config.eval_every == 0:
                    state = self.evaluate(state, end)
                    due = due or self.best.step == end or self.enough()
                if end % config.eval_every == 0:
                    state = self.renewed(state, end)
            except BaseException:  # what was trained is not lost; but the other processes know nothing of it
                if due and not processes.several():
                    self.checkpoints.save(end, state)
                raise
            if due:  # after the scores, since they change ratings
                with clock.on("checkpoint"):
                    self.save(end, state, last or self.enough())
        self.finished = True
        if self.outputs.log is not None:
            with self.outputs.tried(FILM):
                write_film(self.directory)
        return state

    def save(self, step: int, state: State, last: bool) -> None:
        """A checkpoint; one that cannot be written is said, and training goes on, unless others train with this."""
        if processes.several():
            self.checkpoints.save(step, state)
        else:
            self.checkpoints.attempt(step, state, self.outputs.watcher.note, last)

    def enough(self) -> bool:
        """Whether the scores have stopped improving."""
        return 0 < self.config.patience <= self.best.since

    def profiled(self, state: State, end: int) -> tuple[State, Total]:
        """Trains until step `end` and writes a trace of it."""
        folder = RunFiles(self.directory).profile
        with jax.profiler.trace(str(folder), create_perfetto_trace=True):
            state, total = self.advance(state, end)
            jax.block_until_ready(state.step)
        self.outputs.watcher.note(f"a trace of the steps until {end} is in {folder}; open it with XProf or Perfetto")
        return state, total

    def advance(self, state: State, end: int) -> tuple[State, Total]:
        """Trains until step `end`; a step in which a member failed is taken again without it, and it starts again."""
        absent, healthy = (), None
        while True:
            try:
                state, total = self.program.tally(state, end - int(jax.device_get(state.step)))
            except Interrupted as error:  # what is saved, all processes save; but the others know nothing of it
                if processes.several():
                    raise
                self.give_up(error.state, str(error))
            fault = describe_fault(jax.device_get(state.fault))  # waits for the device
            if not fault:
                return state, added(healthy, total)
            healed = heal(self.game, self.program, state, self.config.max_healings, absent)
            if healed is None:
                heals = any(pace_of(group.optimizer) for group in (*state.generators, *state.discriminators))
                more, hint = (", and no other member can take its place", "") if heals else ("", HEAL)
                self.give_up(state, f"{fault}{more}; no later update was applied", TAME + hint)
            state, absent = healed.state, healed.absent
            self.told(healed.event)
            healthy = healthy if healed.total is None else added(healthy, healed.total)
            if int(jax.device_get(state.step)) == end:
                return state, healthy or total

    def renewed(self, state: State, step: int) -> State:
        """The state after scores at a multiple of `eval_every`: healed members recover, and dead ones are healed."""
        state = recover(self.game, self.program, state)
        if not (window := self.config.heal_collapsed):
            return state
        found = collapse.agreed(collapse.dead(self.history, window))
        for healed in collapse.revive(self.game, self.program, state, found, window, self.config.max_healings):
            state = healed.state
            self.told(healed.event)
        return state

    def told(self, event: dict[str, Any]) -> None:
        """An event in the log, and before the user's eyes."""
        self.outputs.watcher.note(describe(event))
        self.history += collapse.remembered([event], self.config.eval_every, event["step"])
        self.outputs.log_only(event)

    def stop(self, state: State, step: int, caught: list[int]) -> State:
        """Ends after a signal to any process. Schedulers give little time: the state is saved, scores can wait."""
        with self.outputs.clock.on("checkpoint"):
            self.checkpoints.save(step, state)
        self.signal = caught[0] if caught else int(signal.SIGTERM)
        self.keep_time(step)
        return state

    def keep_time(self, step: int) -> None:
        """Writes the clock."""
        if self.outputs.log is not None:
            with self.outputs.tried(CLOCK):
                self.outputs.clock.write(step)

    def evaluate(self, whole: State, step: int) -> State:
        """Held-out scores, distances, pictures and the report, from averaged generators; the state with new ratings.

        On a mesh, every process makes them from a copy of its own, so that none waits long for the first. Ratings
        change at multiples of `eval_every` alone, so that they do not depend on where a run ended and went on.
        """
        self.outputs.watcher.scoring()
        with self.outputs.clock.on("evaluate"):
            state = whole if self.program.mesh is None else mesh.local(self.program.mesh, bare(whole))
            self.scores = selection.select(self.game, state, self.source, num=self.config.held_out, classes=self.law)
            record = score_record(self.scores, step)
            if self.source.modes is not None:
                record["modes"] = mode_record(evaluate_modes(self.game, state, self.source, classes=self.law))
            if names := self.config.distances:
                table = evaluate_distances(
                    self.game,
                    state,
                    self.source,
                    names=names,
                    features=self.features,
                    num=self.config.held_out,
                    seed=self.config.seed,
                    classes=self.law,
                    repeats=0,
                )
                record["distances"] = distance_record(table, names)
            if self.config.heal_collapsed:
                record |= collapse.observed(self.game, state, self.scores, self.source, self.law, self.history)
                self.history += collapse.remembered([record], self.config.eval_every, step)
            self.outputs.write(record)
            if self.config.best:
                self.best = self.best.after(step, value_of(record, self.config.best), self.config.best)
                self.checkpoints.best = self.best.step
        if self.outputs.log is not None:
            with self.outputs.clock.on("report"), self.outputs.tried(PICTURES):
                save_samples(self.directory, self.game, state, self.source)
                keep_frame(self.directory, step)
                self.outputs.show(step, RunFiles(self.directory).picture)
            self.keep_time(step)
            with self.outputs.clock.on("report"), self.outputs.tried(REPORT):
                write_report(self.directory)
        self.outputs.watcher.scored(step, self.scores)
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
        elif not saved and processes.any_of(self.checkpoints.replaces):
            where = f"{self.directory} holds the run of before again"
        else:
            self.checkpoints.save(step, state)
            where = f"the state of step {step} is saved in {self.directory}"
        self.keep_time(step)
        if self.outputs.log is not None:
            with self.outputs.tried(REPORT):
                write_report(self.directory)
        raise processes.Agreed(f"{reason}; {where}{advice}")  # faults are seen by all processes
