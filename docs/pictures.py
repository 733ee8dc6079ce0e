"""The pictures of docs/ideas.md, each from games that are played here: `python docs/pictures.py [NAME ...]`."""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import ensgan
from ensgan import combine, data, losses, networks, optim, pairing, penalties
from ensgan.game.coverage import as_mask, deal
from ensgan.game.program import Program
from ensgan.reporting.colors import member_color
from ensgan.sampling.refinement import Refinement, Sampler, refined

FOLDER = Path(__file__).parent / "pictures"
LIMITS = (-1.6, 1.6)


def game_of(plug, width=64):
    """Four generators against four discriminators, small MLPs for points in the plane."""
    return ensgan.Game(
        generators=[ensgan.Group(networks.mlp(2, (width, width), 2), 4)],
        discriminators=[ensgan.Group(networks.mlp(2, (width, width), 1), 4)],
        loss=losses.relativistic,
        penalty=penalties.r1_r2(0.05),
        pairing=plug,
        optimizer=optim.adam(1e-3),
        ema=0.98,
    )


def played(game, source, steps):
    """The state of a game after so many steps, and the report of the last one."""
    return ensgan.train(game, game.init(jax.random.key(0)), source, steps=steps, every=steps - 1)


def plane(axis, title):
    """Makes an axis a square piece of the plane."""
    axis.set(xlim=LIMITS, ylim=LIMITS, aspect="equal", xticks=[], yticks=[], title=title)


def weights():
    """W and P of six pairings, after 300 steps of the same game each."""
    plugs = {
        "mean": pairing.mean(),
        "own_and_mean": pairing.own_and_mean(0.5),
        "diagonal": pairing.diagonal(),
        "ring": pairing.ring(),
        "softmax": pairing.softmax(20.0),
        "max": pairing.max(),
    }
    figure, axes = plt.subplots(4, 3, figsize=(7.2, 8.4), layout="constrained")
    pairs = [(axes[2 * row, column], axes[2 * row + 1, column]) for row in range(2) for column in range(3)]
    for (upper, lower), (name, plug) in zip(pairs, plugs.items(), strict=True):
        _, info = played(game_of(plug), data.gaussian_ring(std=0.1), 300)
        upper.set_title(name)
        for axis, matrix, letter in ((upper, info.weight_g, "W"), (lower, info.weight_d, "P")):
            shown = axis.imshow(matrix, vmin=0.0, vmax=1.0, cmap="viridis")
            for (i, j), value in np.ndenumerate(np.asarray(matrix)):
                axis.text(j, i, f"{value:.2f}".lstrip("0"), ha="center", va="center", color="w" if value < 0.7 else "k")
            axis.set(xticks=[], yticks=[], xlabel="discriminators", ylabel=f"{letter}: generators")
    figure.colorbar(shown, ax=axes, shrink=0.4)


def parts():
    """Samples of the four generators of a game, with the mean and with weight on the own opponent."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 4.6), layout="constrained")
    source = data.gaussian_ring(std=0.05)
    for axis, own in zip(axes, (0.0, 0.5), strict=True):
        game = game_of(pairing.own_and_mean(own))
        state, _ = played(game, source, 4000)
        for i in range(4):
            x = ensgan.sample(game, state, jax.random.key(1), 400, weights=np.eye(4)[i])
            axis.scatter(*np.asarray(x).T, s=3, color=member_color(i), label=f"generator {i}")
        plane(axis, f"own = {own:g}: members are {game.members}")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, markerscale=4)


def coverage():
    """The fakes that each of four discriminators sees: rows are fakes, by generator."""
    M, N, F = 4, 4, 8
    numbers = jnp.arange(M * F).reshape(M, F)
    opponents = pairing.ring().before((), jax.random.key(0), M, N)
    met = {
        "full": np.ones((M * F, N), bool),
        "split": np.stack([np.isin(numbers.ravel(), hand) for hand in deal(numbers, N, axis=1)], axis=1),
        "neighbours (ring)": np.repeat(np.asarray(as_mask(opponents, M, N)), F, axis=0),
    }
    _, axes = plt.subplots(1, 3, figsize=(9, 5), layout="constrained")
    for axis, (name, seen) in zip(axes, met.items(), strict=True):
        generator = np.repeat(np.arange(M), F)[:, None]
        colors = np.array([plt.matplotlib.colors.to_rgb(member_color(i)) for i in range(M)])
        axis.imshow(np.where(seen[..., None], colors[generator], 0.93), aspect="auto")
        axis.set(title=f"{name}: {seen.sum()} logits", xlabel="discriminator", xticks=range(N), yticks=[])
        axis.set_xticks(np.arange(N - 1) + 0.5, minor=True)
        axis.set_yticks(np.arange(M * F - 1) + 0.5, minor=True)
        axis.grid(which="minor", color="w")
        axis.tick_params(which="minor", length=0)
    axes[0].set_ylabel("fakes of a step, by the colour of their generator")


def flops(count, shared):
    """FLOPs of a step of `count` generators against as many discriminators, images of 28×28."""
    game = ensgan.Game(
        generators=[ensgan.Group(networks.mlp(64, (256, 256), 784), count)],
        discriminators=[ensgan.Group(networks.mlp(784, (256, 256), 1), count, shared=("trunk",) if shared else ())],
        loss=losses.relativistic,
        fakes=0 if shared else 64,
    )
    program = Program(game, data.from_arrays("zeros", np.zeros((256, 784), np.float32)))
    program.compile(game.init(jax.random.key(0)))
    return program.flops


def heads():
    """FLOPs of a step of N×N games, whole discriminators and heads on one trunk, in units of one pair."""
    counts = [1, 2, 4, 8]
    _, axis = plt.subplots(figsize=(6, 3.8), layout="constrained")
    names = {False: "whole networks, 64 fakes of each generator", True: "heads on one trunk, 64/M fakes"}
    for shared, name in names.items():
        cost = np.array([flops(count, shared) for count in counts])
        axis.plot(counts, cost / cost[0], "o-", label=name, color=member_color(shared))
    axis.set(xscale="log", yscale="log", xlabel="M = N", ylabel="FLOPs of a step / those of one pair")
    axis.set_xticks(counts, counts, minor=False)
    axis.minorticks_off()
    axis.set_yticks([1, 4, 16, 64], ["1", "4", "16", "64"])
    axis.legend()
    axis.grid(alpha=0.3)


def refinement():
    """The judge of a game that was stopped early, plain samples of its mixture, and what two methods make of them."""
    source = data.gaussian_ring(std=0.1)
    game = game_of(pairing.mean(), width=48)
    state, _ = played(game, source, 800)
    judge = combine.fit(game, state, source)
    better = lambda *how: refined(Sampler(game), state, jax.random.key(3), 1500, judge, Refinement(*how)).x
    shown = {
        "samples as they come": ensgan.sample(game, state, jax.random.key(3), 1500),
        "obrs, half are kept": better("obrs", 0.5),
        "mh, 30 steps": better("mh", 30),
    }
    side = np.linspace(*LIMITS, 120)
    grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2).astype(np.float32)
    ratio = np.asarray(judge.log_ratio(grid)).reshape(len(side), -1)
    figure, axes = plt.subplots(2, 2, figsize=(7.2, 7.2), layout="constrained")
    axes = axes.ravel()
    limit = float(np.quantile(np.abs(ratio), 0.9))
    field = axes[0].contourf(side, side, ratio, levels=np.linspace(-limit, limit, 13), cmap="RdBu", extend="both")
    axes[0].scatter(*np.asarray(source.held_out("report", 300)["x"]).T, s=2, color="k")
    plane(axes[0], "log ratio of the judge, and reals")
    figure.colorbar(field, ax=axes[0], shrink=0.7)
    for axis, (name, x) in zip(axes[1:], shown.items(), strict=True):
        axis.scatter(*np.asarray(x).T, s=2, color=member_color(0))
        plane(axis, name)


PICTURES = {picture.__name__: picture for picture in (weights, parts, coverage, heads, refinement)}

if __name__ == "__main__":
    for name in sys.argv[1:] or PICTURES:
        if name not in PICTURES:
            sys.exit(f"there is no picture {name!r}; known: {', '.join(PICTURES)}")
        PICTURES[name]()
        plt.savefig(FOLDER / f"{name}.png", dpi=110)
        plt.close()
