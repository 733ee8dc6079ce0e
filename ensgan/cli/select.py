"""`ensgan select`: ranks both sides and chooses a mixture."""

from __future__ import annotations

from pathlib import Path

from ensgan.cli.arguments import enough
from ensgan.evaluation import selection
from ensgan.evaluation.text import describe_mixtures, describe_players, describe_scores
from ensgan.runs import records
from ensgan.runs.restore import load_run, restore
from ensgan.types import unknown


def select(run: Path, *, num: int | None = None, method: str | None = None) -> None:
    """Ranks both sides on the select split, fits mixtures, and stores the one that `sample --from mixture` takes.

    Args:
        run: the run's folder.
        num: largest number of held-out samples; the run's own if not given.
        method: the mixture to take; the one that is best on the select split if not given.

    Raises:
        InputError: an unknown method, or too few samples.
    """
    if method not in (None, *selection.MIXTURES):
        raise unknown("method", method, selection.MIXTURES)
    settings = load_run(run)
    game, source, state = restore(run, settings)
    num, step = enough(num) or settings.held_out, int(state.step)
    scores = selection.select(game, state, source, num=num, fit=True)
    print(describe_scores(scores, "select"))
    assert scores.fitted is not None
    meta = selection.meta_game(game, state, scores.fool)
    taken = records.save_selection(run, scores, meta, step, method)
    print("\n" + describe_players(scores, meta))
    print("\n" + describe_mixtures(scores.fitted))
    print(f"\n`ensgan sample {run} --from mixture` now takes {taken}; all of this is in selection.json")
