"""The dimension key, the contracts of all plugs, and the errors of the package.

Dimension key, used in names inside kernels (`logit_MNB`), members before batch:

    M  generators               R  reals per discriminator and step
    N  discriminators           F  fakes per generator and step
    Z  size of the latent       B  either of these

Rows of every matrix are generators, columns are discriminators. Members sit on axis 0 of every stacked leaf.

A *plug* is a pure function, or a small tuple of pure functions, that a user passes in: networks, losses, penalties,
pairings, schedules, augmentations. A plug declares in its fields what it needs; the kernel reads that, never a name.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

Array = jax.Array
Tree = Any
Shape = tuple[int, ...]


class InputError(ValueError):
    """Something that a user gave is wrong. The message says what was seen, what is expected, and how to fix it."""


def printable(text: str) -> str:
    """The text with escapes in place of what could drive a terminal; ends of lines and bytes of names stay."""
    return "".join(c if c.isprintable() or c in "\n\t\r" or "\udc80" <= c <= "\udcff" else ascii(c)[1:-1] for c in text)


def unknown(kind: str, name: object, known: Iterable[str]) -> InputError:
    """The error for a name that is not in a table; it says which are nearest, and lists the known names."""
    known = sorted(known)
    ends = {each.rpartition("/")[2]: each for each in known}  # a common folder makes no two names alike
    close = difflib.get_close_matches(str(name).rpartition("/")[2], ends, cutoff=0.75)  # as near as ring and rign
    near = " or ".join(ends[each] for each in close)
    return InputError(f"unknown {kind} {name!r}{near and f' (did you mean {near}?)'}; known: {', '.join(known)}")


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the host, or a device in the words of XLA, ran out of memory."""
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "RESOURCE_EXHAUSTED" in str(error))


def check_range(name: str, value: Any, low: float = 0.0, high: float = math.inf) -> None:
    """Raises InputError unless a number, or all of an array, is finite and in [low, high). Traced ones pass."""
    for each in () if isinstance(value, jax.core.Tracer) else np.ravel(np.asarray(value)):
        if not (isinstance(each, np.integer | np.floating | np.bool) and math.isfinite(each) and low <= each < high):
            wanted = f"finite and at least {low:g}" if math.isinf(high) else f"in [{low:g}, {high:g})"
            raise InputError(f"{name} is {value}; it must be {wanted}")


class Stage(NamedTuple):
    """One of the stages that a network consists of; the first takes the input, the last gives the output.

    Attributes:
        names: dotted names of the parameters and state that belong to it, or of subtrees of them, such as `hidden.0`.
        apply: like `Network.apply`, on trees that hold this stage's leaves alone and on what the stage before gave.
    """

    names: tuple[str, ...]
    apply: Callable[..., tuple[Array, Tree]]


class Network(NamedTuple):
    """One member's network: a pair of pure functions and the facts about them that the kernel needs.

    Attributes:
        init: `init(key) -> (params, state)`; both are pytrees of plain dicts of arrays, `state` may be `{}`.
        apply: `apply(params, state, x, *, label, train, rng) -> (y, state)`, where `x` is `[B, *in_shape]`, `y` is
            `[B, *out_shape]`, `label` is `None` or int32 `[B]`, `train` is a Python bool, and `rng` is a key or `None`.
        in_shape: shape of one input. For a generator this is the shape of the latent.
        out_shape: shape of one output. A discriminator has `()`: one logit per sample.
        batch_coupled: whether an output depends on other samples of the batch (batch norm, minibatch statistics).
            A batch-coupled discriminator gets each generator's batch separately, and needs two pullbacks, not one.
        convolutional: whether most of the work is in convolutions; decides how members are executed on a CPU.
        synced: for a batch-coupled network, whether it also takes its statistics over `mesh.data_axis()`, so that the
            samples of a batch may lie on several devices.
        classes: how many classes labels count where the network needs them, `0 ≤ label < classes`; None where it does
            without. A game with such networks takes data with as many classes, and no others.
        stages: the stages whose composition `apply` is, or () where the network does not say. Members of a group can
            have the first or the last stages in common (`Group.shared`), which then run once for all of them.
        pack: number of neighbours in a batch that a discriminator judges together; the batch is a multiple of it.
    """

    init: Callable[[Array], tuple[Tree, Tree]]
    apply: Callable[..., tuple[Array, Tree]]
    in_shape: Shape
    out_shape: Shape
    batch_coupled: bool = False
    convolutional: bool = False
    synced: bool = False
    classes: int | None = None
    stages: tuple[Stage, ...] = ()
    pack: int = 1


class Roles(NamedTuple):
    """The parts of a loss that give members roles: losses per pair, several logits, members that differ by number.

    Attributes:
        of: None if all pairs have one loss; else `of(i, j, hyper)`, the loss of some pairs: `i` are the numbers of
            generators, `[K, N]` or `[M, 1]`, and `j` those of discriminators, `[N]`, for logits `[K, N, B]`; `hyper` is
            `state.hyper`.
        heads: None if a discriminator has one logit; else `heads(M)`, its number C of logits, on a last axis: then `s`
            is `[M, N, B, C]`, `r` is `[1, N, B, C]`, and the three functions of the loss reduce that axis.
        judge: None, or `judge(s, j)`, the one logit that scores are computed from, high for samples that look real:
            `[..., N, B]` from logits `[..., N, B]` or `[..., N, B, C]` of the discriminators `j` `[N]`.
        start: the initial hyper-parameters that `of` reads from `hyper`: arrays `[M]` or `[N]` by name.
        numbered: sides, `g` or `d`, whose members have roles by number, so that a copy under another number would have
            another role.
    """

    of: Callable[[Array, Array, Mapping[str, Array]], Loss] | None = None
    heads: Callable[[int], int] | None = None
    judge: Callable[[Array, Array], Array] | None = None
    start: Mapping[str, np.ndarray] | None = None
    numbered: tuple[Literal["g", "d"], ...] = ()


class Loss(NamedTuple):
    """Pair losses as elementwise functions of logits; the kernel takes the means.

    Here `s` are logits of fakes `[M, N, B]`, and `r` are logits of reals in a shape that broadcasts to it: in a
    relativistic loss the real of every comparison, in others just one, which `fake` and `generator` do not use.

    Attributes:
        real: `real(r)`, the loss of D_j on its reals.
        fake: `fake(s, r)`, the loss of D_j on the fakes of G_i.
        generator: `generator(s, r)`, the loss of G_i against D_j.
        logit: the meaning of a logit at the optimum: the log density ratio, that ratio plus a constant, or nothing
            calibrated.
        relativistic: whether `fake` and `generator` compare a fake with a real, so that weights of reals apply to them.
        roles: more declarations, for losses in which members have roles.
    """

    real: Callable[[Array], Array]
    fake: Callable[[Array, Array], Array]
    generator: Callable[[Array, Array], Array]
    logit: Literal["log_ratio", "log_ratio_plus_constant", "uncalibrated"]
    relativistic: bool = False
    roles: Roles = Roles()


class Penalty(NamedTuple):
    """A regulariser of one discriminator, added to its loss every `interval` steps, times `interval`.

    Attributes:
        value: `value(critic, real, fake, keys) -> [B]` for one discriminator, the term of each sample; the kernel takes
            the mean. `critic` maps `[B, ...]` to logits `[B]`, `real` and `fake` are `[B, ...]`, `keys` is `[B]`, one
            per sample. The fakes are drawn from the generators in proportion to P and pass no gradient to them.
        strength: a number, an array `[N]` with one number per discriminator, or a schedule `step -> number`.
        interval: number of steps between two computations (lazy regularisation).
        fakes: whether `value` uses `fake`; if not, no fakes are drawn.
        quadratic: whether `value` is quadratic in the critic, so that the heads of a trunk can pay it in one pullback.
    """

    value: Callable[[Callable[[Array], Array], Array, Array, Array], Array]
    strength: Any
    interval: int = 1
    fakes: bool = True
    quadratic: bool = False


class Evidence(NamedTuple):
    """The measurements from which a pairing sets the weights. The gradient treats them as constants.

    With `split` coverage, losses and `fool` are running means. Where `mask` is false, use `where`: they mean nothing.

    Attributes:
        loss_g: `[M, N]`, the loss of each generator against each discriminator.
        loss_d: `[M, N]`, the loss of each discriminator on each generator's fakes, plus that on its reals in every row.
        fool: `[M, N]`, in [0, 1]: mean σ(s − r) over this batch, ½ where a discriminator cannot tell fakes from reals.
        mask: `[M, N]` bool: the pairs that are played in this step.
        gram: `[M, N, N]` inner products of the input gradients ∂loss_g_ij/∂x_i over the batch; None if not asked for.
        payoff: `[M, N]` AUC `fool` on the calibrate split, at most `payoff_every` steps old, or None if not asked for.
        step: int32 scalar.
    """

    loss_g: Array
    loss_d: Array
    fool: Array
    mask: Array
    gram: Array | None
    payoff: Array | None
    step: Array


class Pairing(NamedTuple):
    """Who plays whom, and the weight of each pair: W for generators, P for discriminators.

    Attributes:
        init: `init(M, N) -> state`, a pytree of arrays (`()` for no state). It belongs to slots: it stays in place when
            schedules copy members. Raises InputError if M and N do not fit.
        after: `after(state, evidence, key) -> (W, P, state)`. W and P are `[M, N]` and never negative; rows of W and
            columns of P sum to 1, or to 0 for a member that plays nobody.
        before: None if all pairs are played; else `before(state, key, M, N)`, the pairs of this step: a bool mask
            `[M, N]`, or opponents, int32 `[N, k]`: for each discriminator the numbers of k different generators, with
            −1 for nobody. With `neighbours` coverage only these opponents are computed; with `full` they are a mask.
        members: `parts` if only the mixture of generators is driven to the whole of the data; `complete` if each of
            them is, given as many discriminators without common layers; `alone` if each is, since its discriminator
            sees nobody else's fakes. With fewer discriminators than generators, members are always parts.
        asks: what `after` needs besides losses: any of `gram`, `payoff`.
        payoff_every: if it asks for the held-out payoff, the largest age of that payoff in steps.
        positive: whether `after` needs generator losses that are never negative.
        mixture: None, or `mixture(state)`, the weights of generators `[M]` that the pairing learned; they sum to 1.
        even: whether rows of P have equal sums if all pairs are played and M = N.
        blind: whether W and P depend on no more of the evidence than its mask.
    """

    init: Callable[[int, int], Tree]
    after: Callable[[Tree, Evidence, Array], tuple[Array, Array, Tree]]
    before: Callable[[Tree, Array, int, int], Array] | None = None
    members: Literal["alone", "complete", "parts"] = "parts"
    asks: frozenset[str] = frozenset()
    payoff_every: int = 0
    positive: bool = False
    mixture: Callable[[Tree], Array] | None = None
    even: bool = False
    blind: bool = False


class Roster(NamedTuple):
    """Who plays and learns, if that changes during a run. A member that does not play cannot affect the others."""

    plays_g: Any  # bool [M]
    plays_d: Any  # bool [N]
    learns_g: Any  # bool [M]; a member that plays and does not learn keeps its weights
    learns_d: Any  # bool [N]


class Claims(NamedTuple):
    """The parts of a game that a schedule claims for itself.

    Attributes:
        roster: None if everybody always plays and learns; else `roster(M, N)`, who does at the start.
        hyper: names of the hyper-parameters that it changes, besides those of the loss: `learning_rate` and others of
            `optim.per_member`, or `penalty`, a factor `[N]` on the strength of every penalty.
        weight: None, or `weight(state) -> [n]`, computed from `state.schedule`: the weights by which the n samples of
            the train split are drawn. The data must then be in memory.
        mixture: None, or `mixture(state) -> [M]`, the weights of generators that it found, from the whole state.
        members: None if the pairing decides whether members are `complete` or `parts`; else the schedule's decision.
        at_start: whether `between` is also called before the first step.
        staged: whether pair k learns in stretch k only, and the last pair until the end. A run then needs M · every
            steps, and the average of a generator begins with its stretch.
    """

    roster: Callable[[int, int], Roster] | None = None
    hyper: frozenset[str] = frozenset()
    weight: Callable[[Tree], Array] | None = None
    mixture: Callable[[Any], Array] | None = None
    members: Literal["complete", "parts"] | None = None
    at_start: bool = False
    staged: bool = False


class Schedule(NamedTuple):
    """What happens to members between stretches of steps: copies, mutations, newcomers, weights of the data.

    Attributes:
        every: number of steps in a stretch.
        between: `between(game, state, source, num) -> state`, called on the host between two stretches, with
            everything on one device. A pure function: draws come from `state.key` and `state.step`, and `num` is the
            largest number of held-out samples that it may use.
        init: `init(game) -> state`, its own arrays, kept in `state.schedule`; raises InputError if the game does not
            fit.
        claims: which parts of the game it takes over.
    """

    every: int
    between: Callable[[Any, Any, Any, int], Any]
    init: Callable[[Any], Tree] = lambda game: ()
    claims: Claims = Claims()


class Augment(NamedTuple):
    """A change of the samples before the discriminators see them; both players share one draw.

    Attributes:
        apply: `apply(key, x, strength) -> x` for a batch `x` `[S, ...]` and keys `key` `[S]`, one per sample;
            differentiable in `x`. `strength` in [0, 1] is the probability that a sample is changed.
        strength: the probability, or its initial value if it adapts.
        target: None, or the value of the overfitting signal E sign(r − s) to which the strength is steered (ADA).
        ramp: number of samples in which the strength can move from 0 to 1.
        course: the strength as a function of the step, where that is known beforehand.
    """

    apply: Callable[[Array, Array, Array], Array]
    strength: float = 1.0
    target: float | None = None
    ramp: float = 500_000.0
    course: Callable[[Any], Any] | None = None
