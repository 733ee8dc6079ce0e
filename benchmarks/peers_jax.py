"""JAX contestants of `step_time.py`: ensgan, and the code that a user of JAX would write without it."""

import time
from functools import partial

import jax
import jax.numpy as jnp
import optax
from step_cases import B1, B2, EMA, EPS, LATENT, LEARNING_RATE

from ensgan.data import from_arrays
from ensgan.game import scoring
from ensgan.game.program import Program
from ensgan.game.round import play

OPTIMIZER = optax.adam(LEARNING_RATE, b1=B1, b2=B2, eps=EPS)


class Ensgan:
    """The simultaneous step: one forward and one backward pass of the discriminators for both sides."""

    name, mathematics = "ensgan", "simultaneous"

    def __init__(self, problem):
        """Puts the weights into a new state."""
        self.problem, game = problem, problem.game
        state = jax.jit(game.init)(jax.random.key(0))
        put = lambda members, params: (members[0]._replace(params=jax.device_put(params)),)
        self.state = state._replace(
            generators=(state.generators[0]._replace(params=jax.device_put(problem.params_g)),),
            discriminators=put(state.discriminators, problem.params_d),
        )
        self.program = Program(game, from_arrays("reals", problem.reals, fractions=(0.97, 0.01, 0.01, 0.01)))

    def gradients(self):
        """Gradients of generators and discriminators, at the first noise and reals."""

        @jax.jit
        def both(state, x):
            met = play(self.problem.game, state, {"x": x}, None, jax.random.key(3))
            c = scoring.cotangents(met.loss, met.scores.logits, met.weights.here, met.view.size)
            grad_d, dx = scoring.one_backward(met.pulls.d, *c, met.view.collect)
            return met.pulls.g(dx)[0], grad_d[0]

        return both(self.state, self.problem.first()[1])

    def compile(self):
        """Seconds to compile."""
        start = time.perf_counter()
        self.program.compile(self.state)
        return time.perf_counter() - start

    def run(self, steps):
        """Trains, and waits."""
        self.state, _ = self.program(self.state, steps)
        jax.block_until_ready(self.state)


class Plain:
    """The parts of a game written by hand, for both peers below."""

    def __init__(self, problem):
        """Puts the data on the device."""
        self.problem, self.reals = problem, jnp.asarray(problem.reals)
        self.params_g, self.params_d = jax.device_put((problem.params_g, problem.params_d))
        self.state_g = jax.device_put(problem.state_g)
        self.step = 0

    def g(self, params, state, z):
        """Fakes and the new state of one generator."""
        return self.problem.g.apply(params, state, z, train=True, rng=jax.random.key(0))

    def d(self, params, x):
        """Logits of one discriminator."""
        return self.problem.d.apply(params, {}, x, train=True, rng=jax.random.key(0))[0]

    def loss_d(self, params, fakes, x):
        """The loss of one discriminator on fakes `[..., B]` of all its opponents and on reals."""
        s = self.d(params, jnp.concatenate([fakes, x]))
        return jax.nn.softplus(s[: len(fakes)]).mean() + jax.nn.softplus(-s[len(fakes) :]).mean()

    def draw(self, key, reals, count):
        """Noise `[count, B, Z]` and reals `[B, ...]`."""
        key_z, key_x = jax.random.split(key)
        B = self.problem.batch_size
        z = jax.random.normal(key_z, (count, B, LATENT))
        return z, reals[jax.random.randint(key_x, (B,), 0, len(reals))]


class JaxVmap(Plain):
    """jit, vmap and plain autodiff: discriminators first, then generators against the new discriminators."""

    name, mathematics = "jax vmap, autodiff", "alternating"

    def __init__(self, problem):
        """Stacked weights and optimiser states."""
        super().__init__(problem)
        self.opt_g, self.opt_d = jax.vmap(OPTIMIZER.init)(self.params_g), jax.vmap(OPTIMIZER.init)(self.params_d)
        self.average = jax.tree.map(jnp.copy, self.params_g)

        def grad_d(params_g, params_d, state_g, z, x):
            fakes = jax.vmap(self.g)(params_g, state_g, z)[0]
            fakes = fakes.reshape(-1, *fakes.shape[2:])
            return jax.vmap(jax.grad(self.loss_d), (0, None, None))(params_d, fakes, x)

        def grad_g(params_g, params_d, state_g, z):
            def loss(params, state, z):
                fakes, state = self.g(params, state, z)
                return jax.nn.softplus(-jax.vmap(self.d, (0, None))(params_d, fakes)).mean(), state

            return jax.vmap(jax.grad(loss, has_aux=True))(params_g, state_g, z)

        @partial(jax.jit, donate_argnums=0)
        def update(carry, key, reals):
            params_g, params_d, opt_g, opt_d, average, state_g = carry
            key_d, key_g = jax.random.split(key)
            z, x = self.draw(key_d, reals, problem.members)
            updates, opt_d = jax.vmap(OPTIMIZER.update)(grad_d(params_g, params_d, state_g, z, x), opt_d, params_d)
            params_d = optax.apply_updates(params_d, updates)
            z, _ = self.draw(key_g, reals, problem.members)
            grads, state_g = grad_g(params_g, params_d, state_g, z)
            updates, opt_g = jax.vmap(OPTIMIZER.update)(grads, opt_g, params_g)
            params_g = optax.apply_updates(params_g, updates)
            average = jax.tree.map(lambda a, p: EMA * a + (1 - EMA) * p, average, params_g)
            return params_g, params_d, opt_g, opt_d, average, state_g

        self.update, self.grad_d, self.grad_g = update, jax.jit(grad_d), jax.jit(grad_g)

    def gradients(self):
        """Gradients of both sides at the first parameters, for comparison."""
        z, x = self.problem.first()
        grads_g, _ = self.grad_g(self.params_g, self.params_d, self.state_g, z)
        return grads_g, self.grad_d(self.params_g, self.params_d, self.state_g, z, x)

    def compile(self):
        """Seconds to compile."""
        self.carry = (self.params_g, self.params_d, self.opt_g, self.opt_d, self.average, self.state_g)
        start = time.perf_counter()
        self.update = self.update.lower(self.carry, jax.random.key(0), self.reals).compile()
        return time.perf_counter() - start

    def run(self, steps):
        """Trains, and waits."""
        for _ in range(steps):
            self.step += 1
            self.carry = self.update(self.carry, jax.random.key(self.step), self.reals)
        jax.block_until_ready(self.carry)


class JaxPairs(Plain):
    """One jitted alternating update, called for every pair from a Python loop."""

    name, mathematics = "jax, pair by pair", "pair by pair"

    def __init__(self, problem):
        """One tree of weights for every member."""
        super().__init__(problem)
        one = lambda tree, i: jax.tree.map(lambda leaf: jnp.asarray(leaf[i]), tree)
        each = range(problem.members)
        fresh = lambda params: (params, OPTIMIZER.init(params))
        self.gs = [(*fresh(one(self.params_g, i)), one(self.params_g, i), one(self.state_g, i)) for i in each]
        self.ds = [fresh(one(self.params_d, j)) for j in each]

        def loss_g(params, params_d, state, z):
            fakes, state = self.g(params, state, z)
            return jax.nn.softplus(-self.d(params_d, fakes)).mean(), state

        @partial(jax.jit, donate_argnums=(0, 1))
        def update(g, d, key, reals):
            (params_g, opt_g, average, state), (params_d, opt_d) = g, d
            key_d, key_g = jax.random.split(key)
            z, x = self.draw(key_d, reals, 1)
            fakes, _ = self.g(params_g, state, z[0])
            updates, opt_d = OPTIMIZER.update(jax.grad(self.loss_d)(params_d, fakes, x), opt_d, params_d)
            params_d = optax.apply_updates(params_d, updates)
            z, _ = self.draw(key_g, reals, 1)
            grads, state = jax.grad(loss_g, has_aux=True)(params_g, params_d, state, z[0])
            updates, opt_g = OPTIMIZER.update(grads, opt_g, params_g)
            params_g = optax.apply_updates(params_g, updates)
            average = jax.tree.map(lambda a, p: EMA * a + (1 - EMA) * p, average, params_g)
            return (params_g, opt_g, average, state), (params_d, opt_d)

        self.update = update

    def gradients(self):
        """None, since every pair takes its own step."""
        return None, None

    def compile(self):
        """Seconds to compile."""
        start = time.perf_counter()
        self.update = self.update.lower(self.gs[0], self.ds[0], jax.random.key(0), self.reals).compile()
        return time.perf_counter() - start

    def run(self, steps):
        """Trains, and waits."""
        for _ in range(steps):
            for i in range(len(self.gs)):
                for j in range(len(self.ds)):
                    self.step += 1
                    key = jax.random.key(self.step)
                    self.gs[i], self.ds[j] = self.update(self.gs[i], self.ds[j], key, self.reals)
        jax.block_until_ready((self.gs, self.ds))


PEERS = (Ensgan, JaxVmap, JaxPairs)
