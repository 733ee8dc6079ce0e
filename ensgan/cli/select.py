"""`ensgan select`: ranks both sides and chooses a mixture."""

from __future__ import annotations

from pathlib import Path
from shlex import quote

from ensgan.cli import choices
from ensgan.cli.checks import enough
from ensgan.evaluation import selection
from ensgan.evaluation.text import describe_mixtures, describe_players, describe_scores
from ensgan.runs import records
from ensgan.runs.restore import opened
from ensgan.types import unknown


def select(
    run: Path,
    *,
    num: int | None = None,
    method: str | None = None,
    classes: str | None = None,
    data_dir: str | None = None,
    from_step: str | None = None,
) -> None:
    """Rank both sides on the select split, fit mixtures of generators, and store one for `sample --from mixture`.

    Args:
        run: the run's folder.
        num: largest number of held-out samples (default: the run's own).
        method: the mixture to store: trained, uniform, single, top_k, softmax, greedy, quadratic, nash,
            exponentiated_gradient or evolution (default: the best one on the select split).
        classes: law of the labels: training (the frequencies of the data), uniform, or one weight per class, such as
            0.2,0.8 (default: the run's own).
        data_dir: where the data are now (default: where they were).
        from_step: the step of the checkpoint to take, or best (default: the newest).

    Raises:
        InputError: an unknown method, or too few samples.
    """
    if method not in (None, *selection.MIXTURES):
        raise unknown("method", method, selection.MIXTURES)
    num = enough(num)
    found = opened(run, data_dir, from_step)
    game, state = found.game, found.state
    law = choices.law(classes, found)
    scores = selection.select(game, state, found.source, num=num or found.config.held_out, fit=True, classes=law)
    print(describe_scores(scores, "select"))
    assert scores.fitted is not None
    meta = selection.meta_game(game, state, scores.fool)
    taken = records.save_selection(run, scores, meta, state, method, law)
    print("\n" + describe_players(scores, meta))
    print("\n" + describe_mixtures(scores.fitted))
    print(f"\n`ensgan sample {quote(str(run))} --from mixture` now takes {taken}; all of this is in selection.json")
