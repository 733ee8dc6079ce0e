"""Held-out scores of all pairs, and rankings and mixtures with how they were made."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ensgan import metrics
from ensgan.data import Source
from ensgan.data.law import changed_law
from ensgan.data.source import LEAST, check_split
from ensgan.evaluation import mixtures
from ensgan.evaluation.families import PAIRS
from ensgan.evaluation.mixtures import FITS, Evidence, Fitted
from ensgan.game.game import Game, check_source, meaning
from ensgan.game.state import State
from ensgan.metrics import Estimate, metagame, ratings
from ensgan.metrics.ranks import auc, auc_with_placements, pairwise_probability
from ensgan.metrics.ratings import Ratings
from ensgan.sampling.draws import labels, probabilities
from ensgan.sampling.inference import NOISE_SEED, every_member, held_out_logits
from ensgan.types import Array, InputError

MIXTURES = ("trained", *FITS)  # to choose from: what training found, and all that are fitted


class Selection(NamedTuple):
    """The held-out scores of every member. Host arrays."""

    fool: np.ndarray  # [M, N] AUC: P(D_j scores a fake of G_i above a real); ½ is ideal, 1 − fool is `detect`
    probability: np.ndarray  # [M, N] mean σ(s − r) over all pairs of fakes and reals
    log_odds: np.ndarray | None  # [M, N] mean σ(s), only where a logit is a log density ratio
    accuracy: np.ndarray | None  # [M, N] balanced accuracy of D_j at s = 0, likewise
    score_g: Estimate  # S(G_i) = mean_j fool_ij over opponents that take part, [M]
    score_d: Estimate  # S(D_j) = mean_i detect_ij, likewise, [N]
    mmd: Estimate  # [M] squared MMD to held-out reals
    mmd_floor: float  # the same of training reals against held-out reals: what a perfect generator gets
    rank_g: np.ndarray  # numbers of the generators that take part (`Game.taking_part`), best first; else of all
    rank_d: np.ndarray  # the same of discriminators
    coverage: np.ndarray  # [M + 1] share of held-out reals that each member covers, and the mixture last
    coverage_floor: float  # the same of training reals
    mixture: np.ndarray  # [M] weights for `sample`: those of `Game.mixture`, or that were given
    members: str  # `complete` or `parts`
    num: int  # held-out reals, and fakes of each generator
    left_out: Estimate | None  # [M] growth of the mixture's squared MMD without a member; only where members are parts
    ratings: Ratings  # [M + N] Elo and Glicko-2, generators first: those of the state, after this matrix
    fitted: Fitted | None  # mixtures from the calibrate, select and report splits, if asked for

    @property
    def detect(self) -> np.ndarray:
        """[M, N] AUC of D_j telling reals from the fakes of G_i."""
        return 1.0 - self.fool

    @property
    def best(self) -> int:
        """The generator that ranks first."""
        return int(self.rank_g[0])


def select(
    game: Game,
    state: State,
    source: Source,
    *,
    num: int = 1000,
    split: str = "select",
    fit: bool = False,
    weights: Any = None,
    classes: Any = None,
) -> Selection:
    """Scores every pair on held-out reals with common noise, ranks both sides, and fits mixtures if asked to.

    S(G_i) = mean_j fool_ij has its ideal at ½: higher means contracted modes, lower means that discriminators see
    through the generator. Generators are therefore ranked by two things together, |S(G_i) − ½| and the MMD to held-out
    reals: the sum of both ranks, ties by MMD. Where members are parts of a mixture, that says nothing of how much they
    are needed: they are ranked by leave-one-out, the growth of the squared MMD of the mixture without them.
    Discriminators are ranked by S(D_j) = mean_i detect_ij. Members that neither play nor belong to the mixture
    (`Game.taking_part`), such as slots that wait for their first copy, are not ranked, and no opponents. Standard
    errors are DeLong's, of the average over opponents. Where the source cannot give held-out samples of the train split
    (an iterator), the floors are NaN.

    Args:
        game: what was played.
        state: where it stands.
        source: the data it was trained on.
        num: largest number of held-out reals, and of fakes per generator; the MMD, coverage and `probability` compare
            all pairs, and take at most 2,000 of both.
        split: which of the four splits.
        fit: whether to fit mixtures as well, by `fit_mixtures`.
        weights: the weights of the mixture, as in `sample`; None for that of `Game.mixture`.
        classes: the law of the labels of conditional generators, `[K]`; None for the labels of the reals, which have
            that of the data.

    Returns:
        The matrices, scores and rankings.

    Raises:
        InputError: the split, or `num`, is below 8 samples; ranks would be noise. Or the source does not fit the game,
            or the weights are not valid.
    """
    reals = _scored_reals(game, source, split, num)
    n = len(reals["x"])
    law, (there_g, there_d) = changed_law(source, classes), game.taking_part(state)
    fake, real, fakes = held_out_logits(game, state, reals, law=law)
    fool, by_real, by_fake = (np.asarray(a) for a in auc_with_placements(fake, real))
    score_g = _mean_score(fool[:, there_d], by_real[:, there_d], by_fake[:, there_d], axis=1)
    score_d = _mean_score(1.0 - fool[there_g], by_real[there_g], by_fake[there_g], axis=0)
    few = min(n, PAIRS)
    x, flat = _flat(reals["x"][:few]), [_flat(f) for f in np.asarray(fakes[:, :few])]
    trained = _flat(source.held_out("train", few)["x"]) if source.resumable else None
    mixture = probabilities(game, state, weights)
    mmd, floor, left_out = _distances(game.members, x, flat, trained, mixture)
    cover, cover_floor = _coverage(x, flat, trained, mixture)
    calibrated = meaning(game, state) == "log_ratio"
    among = np.flatnonzero(there_g)
    if left_out is None:
        order = rank_generators(score_g.value[among], mmd.value[among])
    else:
        order = rank_parts(left_out.value[among], mmd.value[among], mixture[among])
    return Selection(
        fool=fool,
        probability=np.asarray(pairwise_probability(fake[..., :few], real[:, :few])),
        log_odds=np.asarray(jax.nn.sigmoid(fake).mean(-1)) if calibrated else None,
        accuracy=np.asarray(0.5 * ((fake < 0).mean(-1) + (real > 0).mean(-1)[None])) if calibrated else None,
        score_g=score_g,
        score_d=score_d,
        mmd=mmd,
        mmd_floor=floor,
        rank_g=among[order],
        rank_d=np.flatnonzero(there_d)[np.argsort(-score_d.value[there_d], kind="stable")],
        coverage=cover,
        coverage_floor=cover_floor,
        mixture=mixture,
        members=game.members,
        num=n,
        left_out=left_out,
        ratings=_rated(state, fool, there_g, there_d),
        fitted=fit_mixtures(game, state, source, num=num, classes=law) if fit else None,
    )


def _scored_reals(game: Game, source: Source, split: str, num: int) -> dict[str, Any]:
    check_source(game, source)
    check_split(source, split)
    if num < LEAST:
        raise InputError(f"num is {num}; scores need at least {LEAST} samples")
    return source.held_out(split, num)


def _distances(
    members: str, x: Array, fakes: list[Array], trained: Array | None, mixture: np.ndarray
) -> tuple[Estimate, float, Estimate | None]:
    """The squared MMD of each generator `[M]`, that of training reals, and what leaving a generator out costs `[M]`."""
    scale = metrics.bandwidth(x)
    if members == "parts":
        means = mixtures.kernel_means(x, fakes, scale)
        distances = [mixtures.squared_mmd(means, one) for one in np.eye(len(fakes))]
        left_out = mixtures.leave_one_out(means, mixture)
    else:
        distances, left_out = [metrics.mmd(x, f, scale) for f in fakes], None
    mmd = Estimate(*(np.array([float(getattr(d, key)) for d in distances]) for key in Estimate._fields))
    floor = float("nan") if trained is None or len(trained) < len(x) else metrics.mmd(trained, x, scale).value
    return mmd, float(floor), left_out


def _coverage(x: Array, fakes: list[Array], trained: Array | None, mixture: np.ndarray) -> tuple[np.ndarray, float]:
    """The share of reals that each generator covers, and the mixture last, `[M + 1]`; and that of training reals."""
    reals, samples = np.asarray(x), [np.asarray(f) for f in fakes]
    edges = np.rint(len(x) * np.cumsum(mixture)).astype(int)  # as many samples as each member, of other labels
    mixed = np.concatenate([f[a:b] for f, a, b in zip(samples, [0, *edges], edges, strict=False)])
    covered = np.array([metrics.coverage(reals, f) for f in (*samples, mixed)])
    return covered, float("nan") if trained is None else metrics.coverage(reals, np.asarray(trained))


def _rated(state: State, fool: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> Ratings:
    """Ratings after one more period with this matrix, unless the state has had one at this step; float32."""
    before = Ratings(*(np.asarray(leaf) for leaf in state.ratings))
    if int(state.rated) == int(state.step):
        return before
    return Ratings(*(leaf.astype(np.float32) for leaf in ratings.rate(fool, before, rows, columns)))


def fit_mixtures(game: Game, state: State, source: Source, *, num: int = 1000, classes: Any = None) -> Fitted:
    """Weights of generators by all methods of `MIXTURES`, for samples of averaged generators.

    They are fitted on the calibrate split, what a method leaves open and the method itself are chosen on the select
    split, and the report split measures them. Each split has noise of its own, the same for all generators, so that
    nothing was fitted to the samples that it is measured with. Members outside of `Game.taking_part` get no weight.

    Args:
        game: what was played.
        state: where it stands.
        source: the data it was trained on.
        num: largest number of held-out reals of each split, and of fakes per generator; of both, at most 2,000.
        classes: as in `select`.

    Raises:
        InputError: one of the splits has fewer than 8 samples.
    """
    for split in ("calibrate", "select", "report"):
        check_split(source, split)
    law, (there_g, there_d) = changed_law(source, classes), game.taking_part(state)
    here, num = np.flatnonzero(there_g), min(num, PAIRS)
    key = jax.random.key(NOISE_SEED)
    scale = metrics.bandwidth(_flat(source.held_out("select", num)["x"]))

    def means(number: int, split: str) -> mixtures.KernelMeans:
        reals = source.held_out(split, num)
        mine = jax.random.fold_in(key, number)
        label = reals.get("label") if law is None else labels(game, mine, len(reals["x"]), None, law)
        fakes = every_member(game, state, mine, len(reals["x"]), label)
        return mixtures.kernel_means(_flat(reals["x"]), [_flat(fakes[i]) for i in here], scale)

    reals = source.held_out("calibrate", num)
    fake, real, _ = held_out_logits(game, state, reals, key=jax.random.fold_in(key, 0), law=law)
    fool = np.asarray(auc(fake, real))[np.ix_(there_g, there_d)]
    calibrate, trained = means(0, "calibrate"), game.mixture(state)[here]  # who has weight takes part
    distance = np.array([mixtures.squared_mmd(calibrate, one).value for one in np.eye(len(here))])
    if game.members == "parts":
        order = rank_parts(mixtures.leave_one_out(calibrate, trained).value, distance, trained)
    else:
        order = rank_generators(fool.mean(axis=1), distance)
    evidence = Evidence(mixtures.gram(calibrate), fool, order)
    fitted = mixtures.fit(evidence, means(1, "select"), means(2, "report"), {"trained": trained})
    widen = lambda weights: np.eye(game.M)[here].T @ weights
    return fitted._replace(weights={name: widen(weights) for name, weights in fitted.weights.items()})


class MetaGame(NamedTuple):
    """The matrix `fool` as a game of two sides, among the members that play. Host arrays."""

    win_g: np.ndarray  # [M] share of discriminators that each generator fools more often than not
    win_d: np.ndarray  # [N] share of generators that each discriminator tells more often than not
    nash_g: np.ndarray  # [M] exact equilibrium
    nash_d: np.ndarray  # [N]
    alpha_g: np.ndarray  # [M] share of time in α-rank, over all opponents
    alpha_d: np.ndarray  # [N]
    gmam: np.ndarray | None  # [M, M] GMAM of the games (G_i, D_i), from `fool`; where M = N


def meta_game(game: Game, state: State, fool: np.ndarray) -> MetaGame:
    """Win rates, equilibrium, α-rank and GMAM of a matrix; members outside of `Game.taking_part` get 0, and NaN wins.

    Args:
        game: what was played.
        state: where it stands.
        fool: `[M, N]`, held-out AUC.
    """
    rows, columns = game.taking_part(state)
    win_g, win_d = np.full(game.M, np.nan), np.full(game.N, np.nan)
    win_g[rows], win_d[columns] = ratings.win_rates(fool[np.ix_(rows, columns)])
    time = metagame.alpha_rank(fool, rows, columns)
    # Who fools nobody at all would have the logarithm of 0.
    crossed = ratings.gmam(fool.clip(1e-6)) if game.M == game.N else None
    return MetaGame(
        win_g, win_d, *metagame.linear_program(fool, rows, columns), time.sum(axis=1), time.sum(axis=0), crossed
    )


def _flat(x: Any) -> Array:
    return jnp.asarray(x, jnp.float32).reshape(len(x), -1)


def rank_generators(score: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Generators, best first: the sum of the ranks by |S − ½| and by distance, ties by distance."""
    rank = lambda values: np.argsort(np.argsort(values, kind="stable"), kind="stable")
    return np.lexsort((distance, rank(np.abs(score - 0.5)) + rank(distance)))


def rank_parts(left_out: np.ndarray, distance: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Generators, best first: by what leaving them out costs, ties by distance, those without weight last."""
    return np.lexsort((distance, -left_out, weights == 0))


def _mean_score(matrix: np.ndarray, by_real: np.ndarray, by_fake: np.ndarray, axis: int) -> Estimate:
    """The mean of AUCs over opponents; placements are averaged first, since all share reals and noise."""
    variance = lambda placed: placed.mean(axis=axis).var(axis=-1, ddof=1) / placed.shape[-1]
    return Estimate(matrix.mean(axis=axis), np.sqrt(variance(by_real) + variance(by_fake)))
