"""The dimension key and the contracts that every plug fulfils.

Dimension key, used in names inside kernels (`logit_MNB`), members before batch:

    M  generators               B  samples per generator and step
    N  discriminators           K  steps per dispatch
    Z  size of the latent       S  samples that a discriminator sees at once (M·B fakes)

Rows of every matrix are generators, columns are discriminators. Members sit on axis 0 of every stacked leaf.

A *plug* is a pure function, or a small tuple of pure functions, that is passed in: networks, losses, penalties,
pairings, augmentations. What a plug needs from the kernel, it declares in a field; the kernel reads the
declaration and never a name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

Array = jax.Array
Tree = Any
Shape = tuple[int, ...]


class InputError(ValueError):
    """Something a user gave is wrong. The message says what was seen, what is expected, and the fix."""


def unknown(kind: str, name: object, known: Iterable[str]) -> InputError:
    """The error for a name that is not in a table; it lists the names that are."""
    return InputError(f"unknown {kind} {name!r}; known: {', '.join(sorted(known))}")


def out_of_memory(error: BaseException) -> bool:
    """Whether the host, or as XLA says it a device, had too little memory."""
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "RESOURCE_EXHAUSTED" in str(error))


def check_range(name: str, value: Any, low: float = 0.0, high: float = math.inf) -> None:
    """Raises InputError unless a number, or every number of an array or a tuple, is finite and in [low, high).

    What is only known while a program runs (a traced array) passes.
    """
    if isinstance(value, jax.core.Tracer):
        return
    for number in np.ravel(np.asarray(value)):
        if not (isinstance(number, np.number | np.bool) and math.isfinite(number) and low <= number < high):
            wanted = f"finite and at least {low:g}" if math.isinf(high) else f"in [{low:g}, {high:g})"
            raise InputError(f"{name} is {value}; it must be {wanted}")


class Network(NamedTuple):
    """One member's network: a pair of pure functions and what the kernel must know about them.

    Attributes:
        init: `init(key) -> (params, state)`; both are pytrees of plain dicts of arrays, `state` may be `{}`.
        apply: `apply(params, state, x, *, label, train, rng) -> (y, state)`, where `x` is `[B, *in_shape]`, `y` is
            `[B, *out_shape]`, `label` is `None` or int32 `[B]`, `train` is a Python bool, and `rng` is a key or `None`.
        in_shape: shape of one input. For a generator this is the shape of the latent.
        out_shape: shape of one output. A discriminator has `()`: one logit per sample.
        batch_coupled: whether an output depends on other samples of the batch (batch norm, minibatch statistics).
            A batch-coupled discriminator takes each generator's batch apart, and two pullbacks instead of one.
        convolutional: whether the work is in convolutions, which decides how members are executed on a CPU.
        synced: for a batch-coupled network, whether its statistics are taken over `mesh.data_axis()` as well, so that
            the samples of a batch may lie on several devices.
        classes: how many classes labels count where the network needs them, `0 ≤ label < classes`; None where it does
            without. A game with such networks takes data with as many classes, and no others.
    """

    init: Callable[[Array], tuple[Tree, Tree]]
    apply: Callable[..., tuple[Array, Tree]]
    in_shape: Shape
    out_shape: Shape
    batch_coupled: bool = False
    convolutional: bool = False
    synced: bool = False
    classes: int | None = None


class Roles(NamedTuple):
    """The differences between members, for losses under which they do not all play alike.

    Attributes:
        of: None where all members have one loss; else `of(i, j, hyper)`, the loss of the given pairs: `i` are the
            numbers of generators, `[K, N]` or `[M, 1]`, and `j` those of discriminators, `[N]`, for logits
            `[K, N, B]`; `hyper` is that of the state.
        heads: None where a discriminator has one logit; else `heads(M)`, the number C of logits on a last axis. Then
            `s` is `[M, N, B, C]` and `r` `[1, N, B, C]`, and the three functions of the loss take that axis away.
        judge: None, or `judge(s, j)`, the one logit that scores are made of, high for what looks real: `[..., N, B]`
            from logits `[..., N, B]` or `[..., N, B, C]` of the discriminators `j` `[N]`.
        start: for a loss that `of` reads from `hyper`, the initial values: arrays `[M]` or `[N]` by name.
        numbered: the sides, `g` or `d`, whose members have roles by their numbers, so that a copy in another place
            would play another role.
    """

    of: Callable[[Array, Array, Mapping[str, Array]], Loss] | None = None
    heads: Callable[[int], int] | None = None
    judge: Callable[[Array, Array], Array] | None = None
    start: Mapping[str, np.ndarray] | None = None
    numbered: tuple[Literal["g", "d"], ...] = ()


class Loss(NamedTuple):
    """Pair losses as elementwise functions of logits; the kernel takes the means.

    With `s` the logits of fakes `[M, N, B]` and `r` the logits of reals `[1, N, B]`:

    Attributes:
        real: `real(r)`, what D_j pays for its reals.
        fake: `fake(s, r)`, what D_j pays for the fakes of G_i.
        generator: `generator(s, r)`, what G_i pays against D_j.
        logit: what a logit means at the optimum: the log density ratio, that plus a constant, or nothing calibrated.
        relativistic: whether `fake` and `generator` compare a fake with a real, so that weights of reals apply to them.
        roles: what differs between members; by default all play alike, with one logit.
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
        value: `value(critic, real, fake, keys) -> [B]` for one discriminator, what each sample adds; the kernel takes
            the mean. `critic` maps `[B, ...]` to logits `[B]`, `real` and `fake` are `[B, ...]`, `keys` is `[B]`, one
            per sample. The fakes come from the generators in proportion to P and carry no gradient to them.
        strength: a number, an array `[N]` of one number per discriminator, or a schedule `step -> number`.
        interval: how often it is computed, in steps (lazy regularisation).
        fakes: whether `value` looks at `fake`; if not, none are drawn.
    """

    value: Callable[[Callable[[Array], Array], Array, Array, Array], Array]
    strength: Any
    interval: int = 1
    fakes: bool = True


class Evidence(NamedTuple):
    """The evidence from which a pairing sets the weights. Constants for the gradient.

    With `split` coverage, losses and `fool` are running means over steps. Where `mask` is false, the other matrices
    hold numbers without meaning: pick with `where`, never by a product.

    Attributes:
        loss_g: `[M, N]`, what each generator pays against each discriminator.
        loss_d: `[M, N]`, what each discriminator pays for the fakes of each generator, and for its reals in every row.
        fool: `[M, N]`, in [0, 1]: mean σ(s − r) over this batch, ½ where a discriminator cannot tell.
        mask: `[M, N]` bool: the pairs that are played this step.
        gram: `[M, N, N]` inner products of the input gradients ∂loss_g_ij/∂x_i over the batch, if asked for, else None.
        payoff: `[M, N]` AUC `fool` on the calibrate split, at most `payoff_every` steps old, if asked for, else None.
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
    """A pairing: who plays whom and how much each game counts, with weights W for generators and P for discriminators.

    Attributes:
        init: `init(M, N) -> state`, a pytree of arrays (`()` if there is none), which belongs to places: it stays
            where it is when schedules copy members. Raises InputError where M and N do not fit.
        after: `after(state, evidence, key) -> (W, P, state)`. W and P are `[M, N]` and nowhere negative; rows of W and
            columns of P sum to 1, or to 0 where a member plays nobody.
        before: None where all pairs are played; else `before(state, key, M, N)`, the pairs of this step: a bool mask
            `[M, N]`, or opponents, int32 `[N, k]`: for each discriminator the numbers of k different generators, or −1
            for nobody. Opponents are what `neighbours` coverage computes; under `full` they are a mask.
        members: `complete` where each generator is driven to the whole of the data, `parts` where only their mixture
            is. A game with fewer discriminators than generators has parts in any case.
        asks: what `after` wants besides losses: any of `gram`, `payoff`.
        payoff_every: how old the held-out payoff may get, in steps, where it is asked for.
        positive: whether `after` needs losses of generators that are never negative.
        mixture: None, or `mixture(state)`, the weights of generators `[M]` that the pairing learned; they sum to 1.
    """

    init: Callable[[int, int], Tree]
    after: Callable[[Tree, Evidence, Array], tuple[Array, Array, Tree]]
    before: Callable[[Tree, Array, int, int], Array] | None = None
    members: Literal["complete", "parts"] = "parts"
    asks: frozenset[str] = frozenset()
    payoff_every: int = 0
    positive: bool = False
    mixture: Callable[[Tree], Array] | None = None


class Roster(NamedTuple):
    """The members that play and learn, where that changes. A member that does not play has no influence."""

    plays_g: Any  # bool [M]
    plays_d: Any  # bool [N]
    learns_g: Any  # bool [M]; a member that plays and does not learn keeps its weights
    learns_d: Any  # bool [N]


class Claims(NamedTuple):
    """The changes that a schedule makes, and its claims about the members.

    Attributes:
        roster: None where every member always plays and learns; else `roster(M, N)`, who does so at the start.
        hyper: the names of hyper-parameters that it changes, beyond those of the loss: `learning_rate` and others of
            `optim.per_member`, or `penalty`, a factor `[N]` on the strength of every penalty.
        weight: None, or `weight(state) -> [n]`, the weights by which the n samples of the train split are drawn, from
            `state.schedule`; the data must then be held in memory.
        mixture: None, or `mixture(state) -> [M]`, the weights of generators that it found, from the whole state.
        members: None, or whether members become `complete` or `parts`, where the schedule decides and not the pairing.
        at_start: whether it also acts before the first step.
        staged: whether pair k learns only in stretch k, and the last pair until the end. A run then needs M · every
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
    """An action between stretches of steps: copies, mutations, newcomers, weights of the data.

    Attributes:
        every: the number of steps in a stretch.
        between: `between(game, state, source, num) -> state`, called on the host between two stretches, with
            everything on one device. A pure function: draws come from `state.key` and `state.step`, and `num` is the
            largest number of held-out samples that it may use.
        init: `init(game) -> state`, its own arrays, kept in `state.schedule`; raises InputError where a game does not
            fit.
        claims: what it changes; by default nothing but the state.
    """

    every: int
    between: Callable[[Any, Any, Any, int], Any]
    init: Callable[[Any], Tree] = lambda game: ()
    claims: Claims = Claims()


class Augment(NamedTuple):
    """A random change of samples on their way into the discriminators; both players see the same draw.

    Attributes:
        apply: `apply(key, x, strength) -> x` for a batch `x` `[S, ...]` and keys `key` `[S]`, one per sample;
            differentiable in `x`. `strength` in [0, 1] is the probability that a sample is changed.
        strength: the fixed probability, or its start where it adapts.
        target: None, or the overfitting signal E sign(r − s) that the strength steers towards (ADA).
        ramp: how many samples it takes the strength to move from 0 to 1.
    """

    apply: Callable[[Array, Array, Array], Array]
    strength: float = 1.0
    target: float | None = None
    ramp: float = 500_000.0
