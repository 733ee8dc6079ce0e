"""Cost of a step as a function of the number of discriminators, with full, split and neighbours coverage.

    python benchmarks/coverage.py [--members 8] [--batch-size 256] [--out rows.jsonl] [--plot curve.png]

M generators play the discriminators of `mnist_mlp`. There is one JSON row for each N: FLOPs and median time of a
forward and backward pass of all discriminators, and of the whole step. Full coverage costs ∝ M·N·B, split ∝ M·B;
neighbours, with k = 4 opponents for every generator, costs ∝ M·k·B for fakes and N·B for reals. With any coverage, the
members' own updates grow with N. Rounds are interleaved over N and coverages.
"""

import argparse
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np
from rows import emit

from ensgan import Game, Group, losses, networks, optim, pairing
from ensgan.game import scoring
from ensgan.game.coverage import deal
from ensgan.game.forward import score
from ensgan.game.population import member_keys
from ensgan.game.step import step
from ensgan.runs import directory as rundir

OPPONENTS = 4  # number of opponents of a generator, with neighbours coverage


def main():
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--members", type=int, default=8, help="number of generators, M")
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--discriminators", nargs="+", type=int, default=[4, 8, 16, 32, 64])
    parser.add_argument(
        "--full-up-to", type=int, default=16, help="largest number of discriminators with full coverage"
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", help="also append the rows to this file")
    parser.add_argument("--plot", help="also draw the curves to this picture")
    options = parser.parse_args()

    cases = [
        Curve(options.members, N, options.batch_size, coverage)
        for N in options.discriminators
        for coverage in ("split", "neighbours", "full")
        if coverage != "full" or options.full_up_to >= N
    ]
    for _ in range(options.rounds):
        for case in cases:
            case.round()
    rows = [case.row(options.rounds) for case in cases]
    for row in rows:
        emit(row, options.out)
    if options.plot:
        draw(rows, options.plot)


class Curve:
    """One point: the compiled programs and their times."""

    def __init__(self, M, N, B, coverage):
        """Compiles the pass of the discriminators, and the whole step."""
        self.M, self.N, self.B, self.coverage = M, N, B, coverage
        g = networks.mlp(100, (128, 256, 512, 1024), 784, output="tanh")
        d = networks.mlp(784, (512, 256, 128), 1)
        k = max(1, M * OPPONENTS // N)  # per discriminator; half of all places stay empty if N = 2·M·OPPONENTS
        table = (np.arange(N)[:, None] * k + np.arange(k)) % M
        table = np.where(np.arange(N)[:, None] * k < M * OPPONENTS, table, -1)
        here = pairing.mean()._replace(before=lambda state, key, M, N: jnp.asarray(table, jnp.int32))
        plug = here if coverage == "neighbours" else pairing.mean()
        settings = {"loss": losses.non_saturating, "pairing": plug, "optimizer": optim.adam(2e-4)}
        game = Game(Group(g, M), Group(d, N), batch_size=B, coverage=coverage, **settings)
        self.state = jax.jit(game.init)(jax.random.key(0))
        self.batch = {"x": jax.random.uniform(jax.random.key(1), (B, 784))}
        fake = jax.random.uniform(jax.random.key(2), (M, B, 784))
        real, b, K, own = self.batch["x"], B, M, coverage != "full"
        if coverage == "split":
            fake, real, b = deal(fake, N, 1), deal(real, N), B // N
        elif coverage == "neighbours":
            fake, K = fake[np.maximum(table, 0)], k
        keys = member_keys(jax.random.key(3), jnp.arange(N))

        def both(members, fake, real, c, c_r):
            view, reals = scoring.View(fake, own, b, *[None] * 6), scoring.Reals(real, None, None)
            logits, _, (pull,) = score(game.groups_d, members, view, reals, keys)
            return logits, pull.both(c, c, c_r)

        copy = jax.tree.map(jnp.copy, self.state.discriminators)  # the step donates its state
        arguments = (copy, fake, real, jnp.ones((K, N, b)), jnp.ones((N, b)))
        self.both = jax.jit(both).lower(*arguments).compile()
        self.arguments = arguments
        self.step = jax.jit(lambda s, x: step(game, s, x), donate_argnums=0).lower(self.state, self.batch).compile()
        self.times = {"discriminators": [], "step": []}
        self.round()
        self.times = {"discriminators": [], "step": []}

    def round(self):
        """One timed call of both programs."""
        start = time.perf_counter()
        jax.block_until_ready(self.both(*self.arguments))
        middle = time.perf_counter()
        self.state, _ = jax.block_until_ready(self.step(self.state, self.batch))
        self.times["discriminators"].append(middle - start)
        self.times["step"].append(time.perf_counter() - middle)

    def row(self, rounds):
        """The JSON row."""
        flops = lambda program: round(program.cost_analysis()["flops"] / 1e9, 3)
        return {
            "benchmark": "coverage",
            "coverage": self.coverage,
            "M": self.M,
            "N": self.N,
            "B": self.B,
            "rounds": rounds,
            "gflops": {"discriminators": flops(self.both), "step": flops(self.step)},
            "milliseconds": {name: round(1e3 * statistics.median(each), 2) for name, each in self.times.items()},
            **rundir.versions(),
        }


def draw(rows, path):
    """FLOPs and time of the discriminators, relative to the smallest N with split coverage."""
    import matplotlib.pyplot as plt

    base = next(row for row in rows if row["coverage"] == "split")
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for axis, key, title in zip(axes, ("gflops", "milliseconds"), ("FLOPs", "time"), strict=True):
        for coverage, color in (("full", "#d62728"), ("neighbours", "#2ca02c"), ("split", "#1f77b4")):
            mine = [row for row in rows if row["coverage"] == coverage]
            values = [row[key]["discriminators"] / base[key]["discriminators"] for row in mine]
            axis.plot([row["N"] for row in mine], values, "o-", color=color, label=coverage)
        axis.set_yscale("log", base=2)
        axis.yaxis.set_major_formatter("{x:g}×")
        axis.set(xscale="log", xlabel="discriminators N", title=f"{title} of discriminators, relative")
        axis.set_xticks([row["N"] for row in rows if row["coverage"] == "split"])
        axis.xaxis.set_major_formatter("{x:.0f}")
        axis.minorticks_off()
        axis.grid(alpha=0.3)
        axis.legend()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
