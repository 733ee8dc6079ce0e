"""Ensembles against one pair of equal work, counted in FLOPs.

    python benchmarks/equal_work.py --config mnist_heads --data-dir DIR --games 1x1 4x4,own=.5 --seeds 0 1 2 --out FILE
    python benchmarks/equal_work.py --config mnist_heads --data-dir DIR --games 1x1 4x4 8x8 --time 20 --out FILE
    python benchmarks/equal_work.py --table FILE [FILE ...]
    python benchmarks/equal_work.py --table FILE --differences 4x4,rate=2e-3 1x1,rate=2e-3 --sampler obrs
    python benchmarks/equal_work.py --table FILE --picture curves.svg --config mnist_heads

A game is M x N with changes after commas: `own` (the share of each discriminator's weight on its own generator),
`common` (number of the generators' last stages in common), `whole=1` (whole discriminators instead of heads on one
trunk), `dealt=1` (whole discriminators, each sample dealt to one), `rate` (the learning rate), `penalty` (its
strength), `falls` (the share of it that the penalty ends with), `compare` (one or all), `fakes`, `reals`, `wide` (the
generator's widths times this), `told=K` (the latent names one of K numbers, drawn at random), `apart=1` (M pairs that
do not meet, each of 1/M of the work), `augment` (the probability with which images are moved for discriminators).

Work is the FLOPs of the steps of one pair from the configuration with `--steps`; each game takes as many steps as this
work allows, and its schedules end with it. FLOPs are those of the compiled step. Scores compare samples of the uniform
mixture of averaged generators with held-out reals (report split), in the features of a classifier trained on the train
split. `--choose` also scores the best member and the mixture that `select` chooses on other held-out reals, and
`--refine` its samples refined by the ensemble's judge; `--curve K` scores the mixture at K steps on the way too, of
which `--picture` draws the Fréchet distances over the work, and the step that is best on other held-out reals (select
split) has a line of its own. The data are split as in the configuration, the same way for every seed. A row that the
file already has is not made again.
"""

import argparse
import dataclasses
import statistics
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from better_samples import samplers
from rows import emit, read, spread

from ensgan import augment, metrics, pairing
from ensgan.evaluation import comparison, features
from ensgan.evaluation.classifier import train_classifier
from ensgan.game.latents import Latent
from ensgan.game.program import Program
from ensgan.metrics.seeds import band, difference
from ensgan.reporting import figures
from ensgan.reporting.colors import member_color
from ensgan.runs import config
from ensgan.runs import directory as rundir
from ensgan.runs.build import TABLES, build, build_game
from ensgan.runs.parsing import parse
from ensgan.runs.plan import plan
from ensgan.sampling.sampler import sample
from ensgan.training import train

ROOT = Path(__file__).parent.parent
NAMES = ("Fréchet distance", "precision", "recall", "coverage", "TV of classes")
MODES = ("modes", "hq", "kl", "spread")
CHANGES = {
    "own": None, "common": 0, "whole": 0, "dealt": 0, "rate": None, "penalty": None, "falls": None,
    "compare": "auto", "fakes": 0, "reals": 0, "wide": 1, "told": 0, "apart": 0, "augment": 0,
}  # fmt: skip


def main():
    """Trains, scores and prints; or prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="mnist_heads")
    parser.add_argument("--data-dir")
    parser.add_argument("--games", nargs="+", default=["1x1", "4x4"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--steps", type=int, default=6000, help="steps of one pair, which set the work")
    parser.add_argument("--samples", type=int, default=2000, help="number of samples to score")
    parser.add_argument("--choose", action="store_true", help="also score the best member and the chosen mixture")
    parser.add_argument("--refine", nargs="*", default=[], help="methods that refine samples of the chosen mixture")
    parser.add_argument("--curve", type=int, default=0, help="number of steps on the way at which to score too")
    parser.add_argument("--picture", help="draw the curves of --config into this SVG file instead of a table")
    parser.add_argument("--time", type=int, default=0, help="rounds in which steps are timed, in place of scores")
    parser.add_argument("--out", help="append the rows to this file")
    parser.add_argument("--table", nargs="+", help="print the rows of these files as a table instead of training")
    parser.add_argument("--differences", nargs=2, help="two games: print their differences, paired by seed, instead")
    parser.add_argument("--sampler", default="mixture", help="whose scores --differences compares: mixture, obrs, ...")
    options = parser.parse_args()
    if options.table:
        rows = [row for path in options.table for row in read(path)]
        if options.picture:
            Path(options.picture).write_bytes(picture(rows, options.config))
            return
        print(differences(rows, *options.differences, options.sampler) if options.differences else table(rows))
        return
    if options.time:
        emit(timed(options), options.out)
        return
    known = read(options.out) if options.out and Path(options.out).exists() else []
    done = {(row["config"], row["game"], row["seed"], row["steps_of_pair"]) for row in known}
    left = {
        name: [seed for seed in options.seeds if (options.config, name, seed, options.steps) not in done]
        for name in options.games
    }
    source = data(options)
    work = options.steps * plan(made("1x1", source, options.config, 10)[0], source).flops
    score = scorer(source, options.samples)
    for name, seeds in left.items():
        if seeds:
            measure(name, seeds, source, work, score, options)


def measure(name, seeds, source, work, score, options):
    """Trains and scores one game with every seed."""
    flops = plan(made(name, source, options.config, 10)[0], source).flops
    steps = max(1, round(work / flops))
    game, changes = made(name, source, options.config, steps)
    counts = {"M": game.M, "N": game.N, "reals": game.reals, "fakes": game.fakes}
    common = {"benchmark": "equal_work", "config": options.config, "game": name, **changes, **counts}
    for seed in seeds:
        curve = []

        def point(state, _, curve=curve, seed=seed):
            if options.curve:
                at = int(state.step)
                found = {split: score(game, state, np.ones(game.M), seed, split) for split in ("report", "select")}
                curve.append(
                    {"steps": at, "gflop": flops * at / 1e9, "scores": found["report"], "select": found["select"]}
                )

        begin = time.perf_counter()
        every = -(-steps // options.curve) if options.curve else None
        state, _ = train(game, game.init(jax.random.key(seed)), source, steps=steps, every=every, callback=point)
        jax.block_until_ready(state.step)
        seconds = time.perf_counter() - begin
        found = {"mixture": score(game, state, np.ones(game.M), seed)}
        if curve and NAMES[0] in curve[0]["select"]:
            found["best step"] = min(curve, key=lambda at: at["select"][NAMES[0]])["scores"]
        if options.choose or options.refine:
            for sampler, x, _ in samplers(game, state, source, score.num, seed, options.refine):
                found[sampler] = score.of(x, seed)
            found.pop("uniform mixture")  # as above
        row = common | {"seed": seed, "steps_of_pair": options.steps, "steps": steps, "gflop": flops * steps / 1e9}
        row |= {"curve": curve} if curve else {}
        emit(row | {"seconds": round(seconds, 1), "scores": found} | rundir.versions(), options.out)


def timed(options):
    """Milliseconds of a step, and its FLOPs, of each game: medians of rounds in which games take turns."""
    source, steps, playing = data(options), 20, {}
    for name in options.games:
        game, _ = made(name, source, options.config, options.steps)
        state, program = game.init(jax.random.key(0)), Program(game, source)
        program.compile(state)
        playing[name] = [program, program(state, 2)[0], []]
    for _ in range(options.time):
        for each in playing.values():
            program, state, times = each
            begin = time.perf_counter()
            each[1], _ = program(state, steps)
            jax.block_until_ready(each[1].step)
            times.append(1e3 * (time.perf_counter() - begin) / steps)
    first, *_ = playing.values()
    found = {
        name: {
            "ms": statistics.median(times),
            "ratio": statistics.median(mine / other for mine, other in zip(times, first[2], strict=True)),
            "flops_ratio": program.flops / first[0].flops,
        }
        for name, (program, _, times) in playing.items()
    }
    row = {"benchmark": "equal_work", "config": options.config, "rounds": options.time, "times": found}
    return row | rundir.versions()


def data(options):
    """The data of the configuration."""
    tree = config.read(ROOT / "configs" / f"{options.config}.toml")
    return build(parse(tree, TABLES, ["--data.path", options.data_dir] if options.data_dir else [])[0])[1]


def made(name, source, configuration, steps):
    """The game of a name, and its changes."""
    size, *rest = name.split(",")
    given = dict(part.split("=") for part in rest)
    if unknown := set(given) - set(CHANGES):
        raise SystemExit(f"unknown changes {sorted(unknown)} in {name}; known: {', '.join(CHANGES)}")
    changes = CHANGES | {key: value if key == "compare" else float(value) for key, value in given.items()}
    M, N = map(int, size.split("x"))
    tree = config.read(ROOT / "configs" / f"{configuration}.toml") | {"steps": steps, "data": "digits"}
    for side in ("generators", "discriminators"):
        tree[side][0] |= {"count": 1, "shared": []}
    (settings,) = tree["generators"]
    if changes["wide"] != 1:
        settings["network"]["widths"] = [round(changes["wide"] * width) for width in settings["network"]["widths"]]
    for key, number, change in (("optimizer", "learning_rate", "rate"), ("penalty", "strength", "penalty")):
        old, new = tree[key][number], changes[change] or tree[key][number]
        changes[change] = new
        final = {"final": tree[key]["final"] * new / old, "horizon": steps} if "final" in tree[key] else {}
        tree[key] |= {number: new, **final}
    if changes["falls"] is not None:
        tree["penalty"] |= {"final": tree["penalty"]["strength"] * changes["falls"], "horizon": steps}
    base = build_game(parse(tree, TABLES)[0], source.shape, source.num["train"])
    (g,), (d,) = base.groups_g, base.groups_d
    last, apart = int(changes["common"]), changes["apart"]
    heads = N > 1 and not (changes["whole"] or changes["dealt"] or apart)
    names = lambda stages: tuple(name for stage in stages for name in stage.names)
    shared_g = names(g.network.stages[-last:]) if last and M > 1 else ()
    latent = told(int(changes["told"])) if changes["told"] else g.latent
    R = int(changes["reals"]) or base.reals
    own, moved = changes["own"], changes["augment"]
    game = dataclasses.replace(
        base,
        generators=[dataclasses.replace(g, count=M, shared=shared_g, latent=latent)],
        discriminators=[dataclasses.replace(d, count=N, shared=names(d.network.stages[:-1]) if heads else ())],
        batch_size=0,
        reals=R,
        fakes=int(changes["fakes"]) or (R if apart else max(1, R // M)),
        compare=changes["compare"],
        augment=augment.diff_augment(("translation",), strength=moved) if moved else base.augment,
        coverage="split" if changes["dealt"] else "full",
        pairing=pairing.diagonal() if apart else base.pairing if own is None else pairing.own_and_mean(own),
    )
    return game, changes | {"compare": game.compare}


def told(K):
    """Latents whose first K numbers are one of K one-hot vectors, drawn at random."""

    def draw(key, shape):
        which, rest = jax.random.split(key)
        one = jax.nn.one_hot(jax.random.randint(which, (), 0, K), K)
        return jnp.concatenate([one, jax.random.normal(rest, (shape[0] - K,))])

    return Latent(draw)


class scorer:
    """`score(game, state, weights, seed, split)`: distances to held-out reals in a classifier's features, or modes."""

    def __init__(self, source, num):
        """Learns the features, where the data are images."""
        self.modes = source.modes
        if self.modes is not None:
            self.num = 2500
            return
        self.reals = {split: source.held_out(split, num)["x"] for split in ("report", "select")}
        self.num = len(self.reals["report"])
        self.features = features.of_classifier(train_classifier(source, seed=0))

    def __call__(self, game, state, weights, seed, split="report"):
        """Scores of samples with these weights."""
        x = sample(game, state, jax.random.key(10_000 + seed), self.num, weights=weights)
        return self.of(np.asarray(x), seed, split)

    def of(self, x, seed, split="report"):
        """Scores of samples by name; NaN where there are none."""
        if self.modes is not None:
            found = metrics.mode_scores(x, *self.modes)._asdict() if x is not None else {}
            return {name: found.get(name, float("nan")) for name in MODES}
        given = {"features": self.features, "names": NAMES, "strict": False}
        rows = comparison.compare(self.reals[split], x, repeats=0, seed=seed, **given).rows if x is not None else {}
        return {name: rows[name].value if name in rows else float("nan") for name in NAMES}


def table(rows):
    """Rows as Markdown tables, one for each kind of scores: mean and standard error over seeds."""
    rows, lines = [row for row in rows if "scores" in row], []
    names_of = lambda row: tuple(row["scores"]["mixture"])
    key = lambda row: (row["config"], row["steps_of_pair"], row["game"])
    for names in dict.fromkeys(map(names_of, rows)):
        lines += ["| data | work, steps of a pair | game | seeds | " + " | ".join(names) + " |"]
        lines += ["|---" * (4 + len(names)) + "|"]
        for config_, steps, game in dict.fromkeys(key(row) for row in rows if names_of(row) == names):
            mine = [row for row in rows if key(row) == (config_, steps, game)]
            for sampler in dict.fromkeys(name for row in mine for name in row["scores"]):
                if sampler in ("best member", "chosen mixture") and mine[0]["M"] == 1:
                    continue  # they are the same
                found = [row["scores"][sampler] for row in mine if sampler in row["scores"]]
                cells = [spread([scores[name] for scores in found]) for name in names]
                title = game if sampler == "mixture" else f"{game}, {sampler}"
                lines.append(f"| {config_} | {steps:,} | {title} | {len(found)} | {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def picture(rows, config_):
    """SVG of the Fréchet distances of mixtures over the work: each seed, their mean, and its interval."""
    rows = [row for row in rows if row["config"] == config_ and row.get("curve")]
    groups = []
    for k, game in enumerate(dict.fromkeys(row["game"] for row in rows)):
        curves = [row["curve"] for row in rows if row["game"] == game]
        values = np.array([[at["scores"][NAMES[0]] for at in curve] for curve in curves])
        work = np.array([at["gflop"] / 1e3 for at in curves[0]])
        groups.append(figures.Band(member_color(k), work, values, *band(values)))
        print(f"{game}: {len(curves)} seeds, {member_color(k)}")
    return figures.bands(groups, xlabel="TFLOP of training", ylabel=NAMES[0])


def differences(rows, ours, theirs, sampler):
    """Differences of two games, paired by seed, with 95 % bootstrap intervals, for all data that have both."""
    found = {}
    for row in rows:
        if row.get("game") in (ours, theirs) and sampler in row["scores"]:
            place = found.setdefault((row["config"], row["steps_of_pair"]), {ours: {}, theirs: {}})[row["game"]]
            place.setdefault(row["seed"], []).append(row["scores"][sampler])
    names = dict.fromkeys(name for both in found.values() for [first, *_] in both[ours].values() for name in first)
    lines = [f"| {ours} − {theirs} | seeds | " + " | ".join(names) + " |", "|---" * (2 + len(names)) + "|"]
    for (config_, steps), both in found.items():
        if not all(both.values()):
            continue
        mean = lambda game, name, both=both: {
            seed: statistics.mean(row[name] for row in runs if name in row) for seed, runs in both[game].items()
        }
        each = [difference(mean(ours, name), mean(theirs, name)).interval for name in names]
        lines.append(f"| {config_}, {steps:,} | {each[0].num} | {' | '.join(map(str, each))} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
