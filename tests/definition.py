"""One step from its definition, for any counts, comparisons, coverage and common stages: loops, and whole members."""

import jax
import jax.numpy as jnp
import numpy as np
import toys

from ensgan.game import population
from ensgan.game.step import step
from ensgan.networks.stages import merged, pruned


def members(groups, stacked):
    """Every member's network, parameters and state, with what is common in each."""
    return toys.members(groups, [population.whole(m) for m in stacked])


def comparisons(game, i):
    """The pairs (fake k, real b) of generator i and any discriminator, by their numbers in what it sees."""
    hands = game.N if game.coverage == "split" else 1
    F, R = game.fakes // hands, game.reals // hands
    if game.compare == "all":
        return [(k, b) for k in range(F) for b in range(R)]
    K = game.M * F
    return [(k, (i * F + k + K * q) % R) for k in range(F) for q in range(max(1, -(-R // K)))]


def gradients(game, state, batch, W, P):
    """The gradients of whole members, and for what is common the mean over members."""
    generators, discriminators = members(game.groups_g, state.generators), members(game.groups_d, state.discriminators)
    z, real, label, loss = toys.latents(game, state), batch["x"], batch.get("label"), game.loss
    hands = game.N if game.coverage == "split" else 1
    seen = lambda j, x: x[j % hands :: hands]
    F, R = game.fakes // hands, game.reals // hands

    def tags(i):  # fake k has the class of real n modulo R, among those that its discriminator sees
        if label is None:
            return None
        number = [k % hands + hands * ((i * F + k // hands) % R) for k in range(game.fakes)]
        return label[np.array(number)]

    def logits(j, params, x, label):
        net, _, net_state = discriminators[j]
        return net.apply(params, net_state, x, label=label, train=True)[0]

    def pair(kind, i, j, params_g, params_d):
        net, _, net_state = generators[i]
        fake = seen(j, net.apply(params_g, net_state, z[i], label=tags(i), train=True)[0])
        s = logits(j, params_d, fake, None if label is None else seen(j, tags(i)))
        r = logits(j, params_d, seen(j, real), None if label is None else seen(j, label))
        if kind == "real":
            return loss.real(r).mean()
        k, b = np.array(comparisons(game, i)).T
        return getattr(loss, kind)(s[k], r[b]).mean()

    def loss_g(params, i):
        return sum(W[i, j] * pair("generator", i, j, params, discriminators[j][1]) for j in range(game.N))

    def loss_d(params, j):
        fakes = sum(P[i, j] * pair("fake", i, j, generators[i][1], params) for i in range(game.M))
        return fakes + pair("real", 0, j, generators[0][1], params)

    every = jax.jit(
        lambda: (
            [jax.grad(loss_g)(params, i) for i, (_, params, _) in enumerate(generators)],
            [jax.grad(loss_d)(params, j) for j, (_, params, _) in enumerate(discriminators)],
        )
    )
    grads_g, grads_d = every()
    return averaged(game.groups_g, grads_g), averaged(game.groups_d, grads_d)


def averaged(groups, grads):
    """What the members of a group have in common moves by the mean of their gradients."""
    out = []
    for group in groups:
        mine, grads = grads[: group.count], grads[group.count :]
        if group.parts is not None:
            mean = jax.tree.map(lambda *leaves: jnp.stack(leaves).mean(axis=0), *mine)
            common = pruned(mean, group.parts.common.names)
            mine = [merged(pruned(grad, group.parts.own.names), common) for grad in mine]
        out.extend(mine)
    return out


def check(game, batch, seed=0):
    """A step of size 1 moves every weight by the gradient of the definition, in float64."""
    with jax.enable_x64(True):
        wide = lambda x: jnp.asarray(x, jnp.float64 if jnp.issubdtype(x.dtype, jnp.floating) else x.dtype)
        batch = jax.tree.map(wide, batch)
        state = game.init(jax.random.key(seed))
        new, info = jax.jit(lambda s, b: step(game, s, b))(state, batch)
        want = gradients(game, state, batch, info.weight_g, info.weight_d)
        for groups, old, now, each in (
            (game.groups_g, state.generators, new.generators, want[0]),
            (game.groups_d, state.discriminators, new.discriminators, want[1]),
        ):
            whole = lambda stacked: [population.whole(m) for m in stacked]
            toys.assert_close(toys.taken(whole(old), whole(now), groups), each, 1e-9)
        return info
