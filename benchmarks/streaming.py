"""Memory, compile time and time of a step: all discriminators together, in a loop with a second forward pass, streamed.

    python benchmarks/streaming.py [--network dcgan] [--size 32] [--members 4] [--rounds 5] [--out rows.jsonl]

`together` has the activations of all discriminators at once, and on a CPU the program has a copy of them for each.
`again` runs them in a loop and computes each once more for the backward pass, as `remat` does for pairings that follow
losses. `streamed` finishes one discriminator before the next begins and computes nothing twice, as `remat` does for
other pairings, and `auto` on a CPU (with convolutions, or eight discriminators or more). The three games are the same,
and their states are compared.
"""

import argparse
import dataclasses
import statistics
import time

import jax
import numpy as np
import optax
from rows import emit

from ensgan import losses, networks, pairing, penalties
from ensgan.data import from_arrays
from ensgan.game.game import Game
from ensgan.game.placement import start
from ensgan.game.population import Group
from ensgan.game.program import Program
from ensgan.runs import directory as rundir


def main():
    """Measures and prints one JSON row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", choices=["dcgan", "mlp"], default="dcgan")
    parser.add_argument("--size", type=int, default=32, help="height and width of the images")
    parser.add_argument("--width", type=int, default=32, help="channels of the first layer, or units of two layers")
    parser.add_argument("--members", type=int, default=4, help="number of members, M = N")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--penalty", type=float, default=0.0, help="strength of R1 and R2 at every step")
    parser.add_argument(
        "--rounds", type=int, default=5, help="number of timed rounds; 0 compiles and reports memory only"
    )
    parser.add_argument("--out", help="also append the row to this file")
    options = parser.parse_args()
    shape = (options.size, options.size, 3)
    source = from_arrays("noise", np.random.default_rng(0).integers(0, 256, (1000, *shape), np.uint8))
    programs, states, seconds = {}, {}, {}
    for name, game in games(options, shape).items():
        states[name], programs[name] = start(game), Program(game, source)
        jax.block_until_ready(states[name].step)
        begin = time.perf_counter()
        programs[name].compile(states[name])
        seconds[name] = time.perf_counter() - begin
    memory = {name: program._run.memory_analysis().temp_size_in_bytes for name, program in programs.items()}

    times = {name: [] for name in programs}
    for turn in range(options.rounds + bool(options.rounds)):
        for name, program in programs.items():
            begin = time.perf_counter()
            states[name], _ = program(states[name], 1)
            jax.block_until_ready(states[name].step)
            times[name] += [time.perf_counter() - begin] if turn else []  # the first call is a warm-up
        if turn == 0:
            flat = lambda state: np.concatenate(
                [leaf.ravel() for leaf in jax.tree.leaves(state.discriminators[0].params)]
            )
            first, *others = map(flat, states.values())
            error = max(float(np.abs(first - other).max() / np.abs(first).max()) for other in others)
            assert error < 1e-3, f"weights differ by {error:.1e}"
    ratios = {
        name: statistics.median(mine / other for mine, other in zip(each, times["together"], strict=True))
        for name, each in times.items()
        if each
    }
    rounded = lambda numbers, digits: {name: round(value, digits) for name, value in numbers.items()}
    row = {"benchmark": "streaming", "network": options.network, "size": options.size, "width": options.width}
    row |= {
        "M": options.members,
        "N": options.members,
        "B": options.batch_size,
        "penalty": options.penalty,
        "rounds": options.rounds,
    }
    row |= {"MiB": rounded({name: size / 2**20 for name, size in memory.items()}, 1)}
    row |= {"compile_seconds": rounded(seconds, 1), "times_together": rounded(ratios, 2)}
    emit(row | rundir.versions(), options.out)


def games(options, shape):
    """The same game with discriminators that run in three ways."""
    if options.network == "mlp":
        widths = (options.width, options.width)
        nets = networks.mlp_generator(shape, latent=64, widths=widths), networks.mlp_discriminator(shape, widths=widths)
    else:
        nets = (
            networks.dcgan_generator(shape, width=options.width),
            networks.dcgan_discriminator(shape, width=options.width),
        )
    game = Game(
        [Group(nets[0], options.members)],
        [Group(nets[1], options.members, execute="matmul" if jax.default_backend() == "cpu" else "vmap")],
        loss=losses.relativistic,
        pairing=pairing.mean(),
        penalty=penalties.r1_r2(options.penalty) if options.penalty else None,
        optimizer=optax.sgd(0.1),
        batch_size=options.batch_size,
    )
    looped = dataclasses.replace(game, discriminators=[dataclasses.replace(game.groups_d[0], remat=True)])
    again = dataclasses.replace(looped, pairing=game.pairing._replace(blind=False))
    return {"together": game, "again": again, "streamed": looped}


if __name__ == "__main__":
    main()
