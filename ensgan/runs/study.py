"""The study of a search, kept by Optuna in the search's folder: which values come next, and what they were worth."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ensgan.data.libraries import reason
from ensgan.runs.space import Range, Space
from ensgan.types import InputError

NAME = "ensgan"  # of the study in its file


class Trial(NamedTuple):
    """One trial.

    Attributes:
        number: counted from 0.
        values: of the settings that are searched.
        state: `begun`, `done` or `failed`.
        worth: the value of its goal; NaN unless it is done.
    """

    number: int
    values: dict[str, str | int | float]
    state: str
    worth: float


class Study:
    """A study in a file. The values of a trial follow from the seed, its number, and the trials before it."""

    def __init__(self, file: Path, space: Space, higher: bool, seed: int) -> None:
        """Opens the study, or begins it.

        Args:
            file: Optuna's journal.
            space: what is searched.
            higher: whether a higher value is better.
            seed: of the sampler.

        Raises:
            InputError: Optuna is not installed, or the file is damaged.
        """
        check_installed()
        import optuna
        from optuna.storages import journal

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._file, self._seed = file, seed
        self._direction = optuna.study.StudyDirection.MAXIMIZE if higher else optuna.study.StudyDirection.MINIMIZE
        self._space: dict[str, optuna.distributions.BaseDistribution] = {
            key: optuna.distributions.CategoricalDistribution(each)
            if not isinstance(each, Range)
            else optuna.distributions.IntDistribution(int(each.low), int(each.high), log=each.log)
            if each.whole
            else optuna.distributions.FloatDistribution(each.low, each.high, log=each.log)
            for key, each in space.items()
        }
        with self._read():
            _end_line(file)
            storage = optuna.storages.JournalStorage(journal.JournalFileBackend(str(file)))
            if file.stat().st_size:
                self._study = optuna.load_study(study_name=NAME, storage=storage)
            else:
                self._study = optuna.create_study(study_name=NAME, storage=storage, direction=self._direction)
            if self._study.direction != self._direction:
                raise ValueError("its goal has another direction")
        self.trials()

    def trials(self) -> list[Trial]:
        """All trials, in their order."""
        from optuna.trial import TrialState

        words = {TrialState.COMPLETE: "done", TrialState.FAIL: "failed"}
        with self._read():
            found = [(each, words.get(each.state, "begun")) for each in self._study.get_trials(deepcopy=False)]
            if any(set(each.params) != set(self._space) for each, _ in found):
                raise ValueError("its trials have other settings")
            return [
                Trial(each.number, dict(each.params), state, float(each.value) if each.value is not None else math.nan)
                for each, state in found
            ]

    def ask(self, most: int) -> Trial | None:
        """The trial that has begun, or else the next one; None when `most` trials have ended."""
        import optuna

        known = self.trials()
        if (begun := next((each for each in known if each.state == "begun"), None)) or len(known) >= most:
            return begun
        # The next values are drawn from a copy in memory and written in one piece, so a kill leaves no half of a trial,
        # and by a sampler of their own, so that a search that goes on draws what one that was not stopped would draw.
        seed = int(np.random.SeedSequence([self._seed, len(known)]).generate_state(1)[0])
        copy = optuna.create_study(direction=self._direction, sampler=optuna.samplers.TPESampler(seed=seed))
        copy.add_trials(self._study.get_trials(deepcopy=False))
        drawn = copy.ask(self._space)
        state = optuna.trial.TrialState.RUNNING
        self._study.add_trial(optuna.trial.create_trial(state=state, params=drawn.params, distributions=self._space))
        return Trial(len(known), dict(drawn.params), "begun", math.nan)

    def tell(self, number: int, worth: float) -> None:
        """Ends a trial; NaN is a failure."""
        from optuna.trial import TrialState

        failed = not math.isfinite(worth)
        self._study.tell(number, None if failed else worth, TrialState.FAIL if failed else TrialState.COMPLETE)

    @contextlib.contextmanager
    def _read(self) -> Iterator[None]:
        """What goes wrong in a file that is not as Optuna wrote it, as one line."""
        try:
            yield
        except OSError:
            raise
        except Exception as error:  # of many kinds
            raise InputError(
                f"{self._file} is not the study of this search ({reason(error)}); put the right file there, or begin "
                "again with --overwrite"
            ) from error


def check_installed() -> None:
    """Raises InputError where Optuna is missing."""
    try:
        import optuna  # noqa: F401
    except ImportError as error:
        raise InputError("a search needs optuna, which is not installed: pip install 'ensgan[optuna]'") from error


def _end_line(file: Path) -> None:
    """Takes away a last line that a crash left half written, since what is added would continue it."""
    if not file.is_file():
        return
    content = file.read_bytes()
    if not content.endswith(b"\n"):
        os.truncate(file, content.rfind(b"\n") + 1)
