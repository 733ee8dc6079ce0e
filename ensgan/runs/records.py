"""Records of a run as JSON: held-out scores and distances, what `ensgan select` chose, what a judge is worth."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from shlex import quote
from typing import Any, NamedTuple

import numpy as np

from ensgan.evaluation import selection
from ensgan.evaluation.tables import DistanceTable, distances
from ensgan.game.state import State
from ensgan.reporting import plain
from ensgan.reporting.files import RunFiles, read_json, write_json
from ensgan.runs.identity import checksum
from ensgan.sampling.judge import Judge
from ensgan.types import InputError


class Choice(NamedTuple):
    """The content of `selection.json`."""

    step: int
    method: str
    weights: np.ndarray  # [M]
    members: int | None  # their checksum; None in files of earlier versions
    law: np.ndarray | None = None  # of labels, [K], with which it was fitted


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


def distance_record(table: DistanceTable, names: Sequence[str]) -> dict[str, Any]:
    """The JSON form of distances by their short names; what was not measured is null."""
    value = lambda found, name: found.rows[name].value if name in found.rows else None
    everybody = [*table.generators.values(), table.mixture]

    def one(title: str) -> dict[str, Any]:
        floors = [found.rows[title].floor for found in everybody if title in found.rows]
        return {
            "title": title,
            "generators": [value(found, title) for found in table.generators.values()],
            "mixture": value(table.mixture, title),
            "floor": floors[0] if floors else None,
        }

    return {
        "num": table.mixture.fakes,
        "features": table.mixture.features,
        **{name: one(title) for name, title in zip(names, distances(names), strict=True)},
    }


def mode_record(table: Any) -> dict[str, Any]:
    """The JSON form of a table of modes."""
    columns = {key: [getattr(score, key) for score in table.scores] for key in ("modes", "hq", "kl", "spread")}
    return {"names": table.names, **columns, "total": table.total, "num": table.num}


def save_selection(
    directory: Path,
    scores: selection.Selection,
    meta: selection.MetaGame,
    state: State,
    method: str | None,
    law: np.ndarray | None = None,
) -> str:
    """Writes `selection.json`: scores, ranks, ratings and mixtures, and which of them `sample --from mixture` takes.

    Args:
        directory: that of the run.
        scores: with fitted mixtures.
        meta: the meta-game of their matrix.
        state: the state that was scored.
        method: the mixture to take, or None for the one that the select split chose.
        law: the law of labels of the samples, `[K]`, if there are classes.

    Returns:
        The name of the mixture.
    """
    assert scores.fitted is not None
    taken = method or scores.fitted.chosen
    estimates = lambda found: {name: estimate._asdict() for name, estimate in found.items()}
    record = {
        **score_record(scores, int(state.step)),
        "kind": "selection",
        "members_crc32": checksum(state),
        "meta_game": meta._asdict(),
        "class_law": law,
        "method": taken,
        "chosen": scores.fitted.chosen,
        "weights": scores.fitted.weights,
        "mmd_select": estimates(scores.fitted.select),
        "mmd_report": estimates(scores.fitted.report),
    }
    write_json(RunFiles(directory).selection, plain(record))
    return taken


def save_judge(directory: Path, judge: Judge, sampler: str, step: int) -> None:
    """Writes `judge.json`: how far a judge can be trusted, before and after calibration.

    Args:
        directory: that of the run.
        judge: a fitted one.
        sampler: what it was calibrated against.
        step: step of its state.
    """
    assert judge.before is not None
    assert judge.after is not None
    record = {"kind": "judge", "step": step, "rule": judge.rule, "calibrate": judge.calibrate, "sampler": sampler}
    record |= {"class_law": judge.classes, "before": judge.before._asdict(), "after": judge.after._asdict()}
    write_json(RunFiles(directory).judge, plain(record))


def load_selection(directory: Path, members: int) -> Choice | None:
    """The mixture that `ensgan select` chose; None where nothing is stored.

    Raises:
        InputError: the file is damaged, or of a run with another number of generators.
    """
    file = RunFiles(directory).selection
    if not os.path.lexists(file):  # what is there, and no file that can be read, is damaged
        return None
    try:
        record = read_json(file)
        method = record["method"]
        weights = np.array(record["weights"][method], np.float64)
        law = record.get("class_law")
        law = None if law is None else np.array(law, np.float64)
        found = Choice(int(record["step"]), method, weights, record.get("members_crc32"), law)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{file} cannot be read; write it again with `ensgan select {quote(str(directory))}`"
        ) from error
    if found.weights.shape != (members,):
        raise InputError(
            f"{file} has weights of shape {found.weights.shape}, but the run has {members} generators; write it again "
            f"with `ensgan select {quote(str(directory))}`"
        )
    return found
