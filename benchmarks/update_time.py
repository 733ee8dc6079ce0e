"""Time of the simultaneous step, which shares one backward pass, against the alternating step on the same game.

Both make one update of every member per step. They are different algorithms, so the ratio compares their costs; it is
not a speed-up of the same mathematics. Rounds are interleaved in one process, and the row holds medians.

    python benchmarks/update_time.py [--config digits_4x4] [--rounds 9] [--steps 20]
"""

import argparse
import statistics
import time

import jax
from rows import emit

from ensgan.cli.configurations import file_of
from ensgan.game.program import Program
from ensgan.runs import config
from ensgan.runs import directory as rundir
from ensgan.runs.build import TABLES, build
from ensgan.runs.parsing import parse


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="digits_4x4")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=20)
    options, overrides = parser.parse_known_args()
    tree = config.read(file_of(options.config))

    programs = {}
    for update in ("simultaneous", "alternating"):
        settings, _ = parse(tree, TABLES, [*overrides, "--update", update])
        game, source = build(settings)
        state = jax.jit(game.init)(jax.random.key(settings.seed))
        program = Program(game, source)
        start = time.perf_counter()
        program.compile(state)
        compiled = time.perf_counter() - start
        state, _ = program(state, options.steps)  # warm-up
        programs[update] = {"program": program, "state": jax.block_until_ready(state), "compile": compiled, "times": []}

    for _ in range(options.rounds):
        for each in programs.values():
            start = time.perf_counter()
            each["state"], _ = each["program"](each["state"], options.steps)
            jax.block_until_ready(each["state"])
            each["times"].append((time.perf_counter() - start) / options.steps)

    median = {update: statistics.median(each["times"]) for update, each in programs.items()}
    row = {
        "benchmark": "update_time",
        "config": options.config,
        "M": game.M,
        "N": game.N,
        "B": game.reals,
        "rounds": options.rounds,
        "steps": options.steps,
        "milliseconds": {update: round(1e3 * value, 3) for update, value in median.items()},
        "compile_seconds": {update: round(each["compile"], 2) for update, each in programs.items()},
        "alternating_over_simultaneous": round(median["alternating"] / median["simultaneous"], 3),
        **rundir.versions(),
    }
    emit(row)


if __name__ == "__main__":
    main()
