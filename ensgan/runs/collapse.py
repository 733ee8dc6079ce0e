"""Members that are finite and dead: what shows it at a score, and who has been dead for several scores in a row."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from typing import Any, NamedTuple

import jax
import numpy as np

from ensgan.data import Source
from ensgan.devices import processes
from ensgan.evaluation.selection import Selection
from ensgan.game.faults import KINDS
from ensgan.game.game import Game
from ensgan.game.program import Program
from ensgan.game.state import State
from ensgan.reporting import plain
from ensgan.runs.healing import Healed, applied, event_of, place_of, remedies
from ensgan.sampling.draws import labels
from ensgan.sampling.inference import NOISE_SEED, every_member

Record = dict[str, Any]
SIDES = ("generators", "discriminators")
NUM = 64  # samples of a generator that are compared
FLAT = 1e-6  # variance of a generator's samples, as a share of that of reals
ALIKE, STILL = "its outputs are all alike", "its weights do not change"
BLIND, SHARP = "it finds all samples alike", "it tells all fakes of all generators from reals, and others do not"


class Dead(NamedTuple):
    """A member that has shown no life."""

    side: int
    member: int
    cause: str


def observed(
    game: Game, state: State, scores: Selection, source: Source, law: Any, history: Iterable[Record]
) -> dict[str, Any]:
    """What shows that members are dead, for the record of a score: no text where there is life, and weights by a hash.

    A generator: the variance of its samples is less than 10⁻⁶ of that of reals. A discriminator: its AUC is exactly ½
    against all generators, as its logits are all equal; or exactly 1, so that generators cannot learn from it, while
    another discriminator's is not. Both: not a bit of its weights has changed since the score before, though another
    member's of its group have.

    Args:
        game: what is played.
        state: where it stands.
        scores: of this state.
        source: the data.
        law: that of labels.
        history: the records before this one, as `remembered` keeps them.
    """
    key, reals = jax.random.key(NOISE_SEED + 2), source.held_out("select", NUM)["x"]
    fakes = np.asarray(every_member(game, state, key, NUM, labels(game, key, NUM, law=law)), np.float64)
    spread = np.asarray(reals, np.float64).var(axis=0).sum()
    flat = fakes.var(axis=1).reshape(game.M, -1).sum(axis=1) < FLAT * spread
    there_g, there_d = game.taking_part(state)
    fool = np.asarray(scores.fool)[there_g]
    blind, sharp = (fool == 0.5).all(axis=0), (fool == 0.0).all(axis=0)
    sharp &= not sharp[there_d].all()
    step = int(state.step)  # scores of one step may be made twice
    earlier = [each["weights"] for each in history if "weights" in each and each["step"] < step]
    before = earlier[-1] if earlier else None
    weights = {side: [code for group in getattr(state, side) for code in _codes(group)] for side in SIDES}
    still = {side: _still(groups, weights[side], before[side] if before else None) for side, groups in _groups(game)}
    of_g = [ALIKE if a else STILL if s else "" for a, s in zip(flat, still["generators"], strict=True)]
    kinds = zip(blind, sharp, still["discriminators"], strict=True)
    of_d = [BLIND if b else SHARP if a else STILL if s else "" for b, a, s in kinds]
    alive = lambda texts, there: [text if here else "" for text, here in zip(texts, there, strict=True)]
    return {"signs": {"generators": alive(of_g, there_g), "discriminators": alive(of_d, there_d)}, "weights": weights}


def remembered(records: Iterable[Record], every: int, until: int) -> list[Record]:
    """What later decisions need of a log: scores with signs at multiples of `every`, and healings, up to a step."""
    keys = ("kind", "step", "signs", "weights", "side", "member")
    wanted = lambda each: each.get("kind") == "healing" or ("signs" in each and each["step"] % every == 0)
    found = [each for each in records if wanted(each) and each["step"] <= until]
    return [plain({key: each[key] for key in keys if key in each}) for each in found]


def dead(history: Iterable[Record], window: int) -> list[Dead]:
    """Who has shown one and the same sign at each of the last `window` scores, and was not healed since the first."""
    scores = list({each["step"]: each for each in history if "signs" in each}.values())[-window:]
    if len(scores) < window:
        return []
    healed = {(each["side"], each["member"]): each["step"] for each in history if each["kind"] == "healing"}
    found = []
    for side, name in enumerate(SIDES):
        for member, cause in enumerate(scores[-1]["signs"][name]):
            same = cause and all(each["signs"][name][member] == cause for each in scores)
            if same and healed.get((KINDS[side], member), -1) < scores[0]["step"]:
                found.append(Dead(side, member, cause))
    return found


def agreed(found: list[Dead]) -> list[Dead]:
    """What the first process found, in all processes: it alone has the log."""
    return [Dead(*each) for each in json.loads(processes.from_first(json.dumps(found)))]


def revive(game: Game, program: Program, state: State, found: list[Dead], window: int, most: int) -> Iterable[Healed]:
    """Gives dead members a new life as members get that made a step fail, one after the other.

    Each becomes a copy of the best living member of its group; where there is none, it stays as it is.
    """
    step = int(jax.device_get(state.step))
    away = {(each.side, *place_of(game, each.side, each.member)) for each in found}
    for side, member, cause in found:
        group, _ = place_of(game, side, member)
        living = [r for r in remedies(game, program, state, side, member, most) if (side, group, r.donor) not in away]
        for remedy in living[:1]:
            state = applied(game, program, state, remedy)
            times = "at one score" if window == 1 else f"at {window} scores in a row"
            yield Healed(state, event_of(game, remedy, step, f"{cause}, {times}"))


def _groups(game: Game) -> list[tuple[str, list[int]]]:
    """The sides, and the group of each of their members."""
    of = lambda groups: [k for k, group in enumerate(groups) for _ in range(group.count)]
    return [("generators", of(game.groups_g)), ("discriminators", of(game.groups_d))]


def _codes(members: Any) -> list[str]:
    """A hash of each member's own weights."""
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(members.params)]
    count = len(leaves[0]) if leaves else 0
    codes = []
    for k in range(count):
        code = 0
        for leaf in leaves:
            code = zlib.crc32(np.ascontiguousarray(leaf[k]).tobytes(), code)
        codes.append(f"{code:08x}")
    return codes


def _still(groups: list[int], now: list[str], before: list[str] | None) -> list[bool]:
    """Whose weights are those of the score before, while another member's of the same group are not."""
    if before is None or len(before) != len(now):
        return [False] * len(now)
    same = [a == b for a, b in zip(now, before, strict=True)]
    moves = {group for group, still in zip(groups, same, strict=True) if not still}
    return [still and group in moves for group, still in zip(groups, same, strict=True)]
