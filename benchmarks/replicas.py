"""Seeds side by side in one program (`ensgan.Replicas`) against the same seeds one after another.

    python benchmarks/replicas.py [--configs ring8 digits_heads] [--seeds 4] [--rounds 9] [--steps 20] [--out FILE]

Both make the same steps. Rounds are interleaved in one process; the row has medians, per seed and step, and the time of
compiling.
"""

import argparse
import statistics
import time

import jax
from rows import emit

from ensgan import Replicas
from ensgan.cli.configurations import file_of
from ensgan.game.program import Program
from ensgan.runs import config
from ensgan.runs import directory as rundir
from ensgan.runs.build import TABLES, build
from ensgan.runs.parsing import parse


def main():
    """Compiles, takes turns and prints one row for each configuration."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--configs", nargs="+", default=["ring8", "digits_heads"])
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--out", help="append the rows to this file")
    options = parser.parse_args()
    for name in options.configs:
        emit(measure(name, options), options.out)


def measure(name, options):
    """The row of one configuration."""
    game, source = build(parse(config.read(file_of(name)), TABLES)[0])
    side = Replicas(game, seeds=range(options.seeds))
    playing = {}
    for kind, players, state, count in (
        ("in turn", game, game.init(jax.random.key(0)), 1),
        ("side by side", side, side.init(), options.seeds),
    ):
        program, begin = Program(players, source), time.perf_counter()
        program.compile(state)
        compiled = time.perf_counter() - begin
        playing[kind] = [program, program(state, options.steps)[0], [], compiled, count]
    for _ in range(options.rounds):
        for each in playing.values():
            program, state, times, _, count = each
            begin = time.perf_counter()
            each[1], _ = program(state, options.steps)
            jax.block_until_ready(each[1].step)
            times.append(1e3 * (time.perf_counter() - begin) / options.steps / count)
    median = {kind: statistics.median(times) for kind, (_, _, times, _, _) in playing.items()}
    row = {
        "benchmark": "replicas",
        "config": name,
        "seeds": options.seeds,
        "rounds": options.rounds,
        "steps": options.steps,
        "ms of a step and seed": {kind: round(value, 3) for kind, value in median.items()},
        "ratio": round(median["side by side"] / median["in turn"], 3),
        "compile s": {kind: round(each[3], 1) for kind, each in playing.items()},
    }
    return row | rundir.versions()


if __name__ == "__main__":
    main()
