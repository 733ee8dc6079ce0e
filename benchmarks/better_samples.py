"""Samples of an ensemble (its best member, its mixtures, refined samples) against one pair with equal compute.

    python benchmarks/better_samples.py [--configs ring8_parts grid25_parts] [--seeds 10] [--refine obrs ...] --out FILE
    python benchmarks/better_samples.py --table rows.jsonl

All seeds of a configuration are replicas in one program. The single pair has the same networks, batch, loss and
optimiser (its horizon is its own number of steps). It trains for as many FLOPs as the ensemble, counted in the compiled
steps. `select` chooses the best member and the mixture, and judges are fitted, on splits that
are not used for scores. Refinement starts from the chosen mixture.

Points are scored as in PacGAN, with 2,500 samples. Images are scored in the features of a classifier trained on the
train split, with as many samples as the report split has images, at most 2,000. There is one JSON row for each sampler,
with the scores of every seed; `--table` prints means and standard errors over seeds.
"""

import argparse
import time
from pathlib import Path

import jax
import numpy as np
from methods import play
from PIL import Image, ImageDraw
from rows import emit, read

from ensgan import Replicas, metrics
from ensgan.data import to_uint8
from ensgan.evaluation import comparison, features
from ensgan.evaluation.classifier import train_classifier
from ensgan.evaluation.selection import select
from ensgan.game.program import Program
from ensgan.reporting import figures, pictures
from ensgan.runs import config
from ensgan.runs import directory as rundir
from ensgan.runs.build import TABLES, build
from ensgan.runs.parsing import parse
from ensgan.runs.plan import plan
from ensgan.sampling import combine
from ensgan.sampling.refinement import METHODS, Refinement, Sampler, refined
from ensgan.sampling.sampler import sample

ROOT = Path(__file__).parent.parent
ONE = ("--generators.0.count", "1", "--discriminators.0.count", "1")
ONE_PAIR = "one pair, equal work"
DISTANCES = ("Fréchet distance", "kernel distance (cubic)", "precision", "recall", "density", "coverage")
POINTS, IMAGES = 2500, 2000  # number of samples to score


def main():
    """Trains, samples, scores and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--configs", nargs="+", default=["ring8_parts", "grid25_parts"])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--refine", nargs="*", default=list(METHODS), help="refinement methods (default: all)")
    parser.add_argument(
        "--set", nargs="*", default=[], help="settings that replace those of the configurations, such as steps=2000"
    )
    parser.add_argument("--out", help="also append the rows to this file")
    parser.add_argument(
        "--pictures", help="folder for one picture of each configuration, with samples of the first seed"
    )
    parser.add_argument("--table", help="print the rows of this file as a table instead of training")
    options = parser.parse_args()
    if options.table:
        print(table(read(options.table)))
        return
    flags = [part for each in options.set for part in (f"--{each.partition('=')[0]}", each.partition("=")[2])]
    for name in options.configs:
        for row in measure(name, flags, options):
            emit(row, options.out)


def measure(name, flags, options):
    """The rows of one configuration."""
    tree = config.read(ROOT / "configs" / f"{name}.toml")
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    settings, _ = parse(tree, TABLES, flags)
    game, source = build(settings)
    score = scorer(source)
    common = {"benchmark": "better_samples", "config": name, "flags": flags, "seeds": list(seeds)}

    def rows(found, game, steps, work, seconds):
        for sampler, each in found.items():
            row = common | {"sampler": sampler, "M": game.M, "N": game.N, "steps": steps, "samples": work / 1e6}
            yield row | {"seconds": seconds, "scores": each} | rundir.versions()

    state, replicas, work, seconds = trained(game, source, seeds, settings.steps)
    found, shown = {"perfect": [score(None, seed) for seed in seeds]}, {}
    for r, seed in enumerate(seeds):
        for sampler, x, cost in samplers(game, replicas.take(state, r), source, score.num, seed, options.refine):
            scores = dict.fromkeys(score.names, float("nan")) if x is None else score(x, seed)
            found.setdefault(sampler, []).append(scores | {"cost": cost})
            if r == 0 and x is not None:
                shown[sampler] = x
    yield from rows(found, game, settings.steps, work, seconds)

    flops = settings.steps * plan(game, source).flops
    falling = [
        plug for plug in ("optimizer", "penalty") if "horizon" in tree.get(plug, ())
    ]  # these fall over all steps of the pair
    one, _ = build(parse(tree, TABLES, [*flags, *ONE])[0])
    steps = round(flops / plan(one, source).flops)
    more = ["--steps", str(steps), *(part for plug in falling for part in (f"--{plug}.horizon", str(steps)))]
    game, source = build(parse(tree, TABLES, [*flags, *ONE, *more])[0])
    state, replicas, work, seconds = trained(game, source, seeds, steps)
    draw = lambda r, seed: sample(game, replicas.take(state, r), jax.random.key(10_000 + seed), score.num)
    drawn = [np.asarray(draw(r, seed)) for r, seed in enumerate(seeds)]
    single = [score(x, seed) | {"cost": [1.0, 0.0]} for x, seed in zip(drawn, seeds, strict=True)]
    yield from rows({ONE_PAIR: single}, game, steps, work, seconds)
    if options.pictures:
        write_picture(Path(options.pictures) / f"{name}.png", shown | {ONE_PAIR: drawn[0]}, source)


def trained(game, source, seeds, steps):
    """All replicas after these steps, the number of samples that discriminators saw, and seconds."""
    replicas = Replicas(game, seeds=seeds)
    begin = time.perf_counter()
    state, samples = play(Program(replicas, source), replicas, replicas.init(), 0, steps)
    return state, replicas, samples, time.perf_counter() - begin


def samplers(game, state, source, num, seed, methods):
    """Name, samples and cost (evaluations of generator and judge per sample) of every sampler."""
    key = jax.random.key(10_000 + seed)
    chosen = select(game, state, source, fit=True)
    mixture = chosen.fitted.weights[chosen.fitted.chosen]
    plain = {"best member": np.eye(game.M)[chosen.best], "uniform mixture": np.ones(game.M), "chosen mixture": mixture}
    for name, weights in plain.items():
        yield name, np.asarray(sample(game, state, key, num, weights=weights)), [1.0, 0.0]
    judge = combine.fit(game, state, source, weights=mixture, seed=seed)
    for method in methods:
        finest = METHODS[method].shape and source.modes is not None
        rate = 0.1 * source.modes.std if finest else None  # a step size in proportion to the finest detail
        try:
            got = refined(Sampler(game, mixture), state, key, num, judge, Refinement(method, rate=rate))
        except ValueError as error:  # no sample was accepted, or some are not finite
            print(f"{method}, seed {seed}: {error}", flush=True)
            yield method, None, [float("nan"), float("nan")]
            continue
        yield method, np.asarray(got.x), [got.generated, got.judged]


def write_picture(path, shown, source):
    """Samples of all samplers, side by side: points over reals in grey, images in tiles."""
    real = source.held_out("report", 1000)["x"]
    panels = []
    for title, x in shown.items():
        if x.ndim == 2:
            panels.append(figures.scatter_panel(x[:1000], real, "#1f77b4", title))
            continue
        scale = -(-64 // x.shape[1])
        enlarged = to_uint8(x[:24]).repeat(scale, axis=1).repeat(scale, axis=2)
        tiles = Image.fromarray(pictures.tile(enlarged, columns=6, gap=4))
        panel = Image.new("RGB", (tiles.width, tiles.height + 24), "white")
        panel.paste(tiles, (0, 24))
        ImageDraw.Draw(panel).text((4, 6), title, fill="black")
        panels.append(panel)
    width, height = max(p.width for p in panels) + 12, max(p.height for p in panels) + 12
    whole = Image.new("RGB", (5 * width, -(-len(panels) // 5) * height), "white")
    for k, panel in enumerate(panels):
        whole.paste(panel, (k % 5 * width, k // 5 * height))
    path.parent.mkdir(parents=True, exist_ok=True)
    whole.save(path)


class scorer:
    """`score(x, seed)` of samples, a dictionary of numbers; those of perfect samples if `x` is None."""

    def __init__(self, source):
        """Modes where they are known, else distances in features of a classifier."""
        self.source = source
        if source.modes is not None:
            self.names, self.num = ("modes", "hq", "kl", "spread"), POINTS
            return
        self.features = features.of_classifier(train_classifier(source, seed=0))
        self.real = source.held_out("report", IMAGES)["x"]
        self.names, self.num = (*DISTANCES, "TV of classes"), len(self.real)

    def __call__(self, x, seed):
        """Numbers by name."""
        if self.source.modes is not None:
            centers, std = np.asarray(self.source.modes.centers), self.source.modes.std
            rng = np.random.default_rng(seed)
            if x is None:
                x = centers[rng.integers(len(centers), size=self.num)] + std * rng.standard_normal((self.num, 2))
            found = metrics.mode_scores(x, centers, std)._asdict()
            return {name: found[name] for name in self.names}
        if x is None:
            reals = self.source.held_out("train", 10 * self.num)["x"]
            x = reals[np.random.default_rng(seed).permutation(len(reals))[: self.num]]
        given = {"features": self.features, "names": self.names}
        found = comparison.compare(self.real, x, repeats=0, seed=seed, strict=False, **given).rows
        return {name: found[name].value if name in found else float("nan") for name in self.names}


def table(rows):
    """Rows as Markdown tables, one for each configuration; means ± standard errors over the seeds of all its runs."""
    lines = []
    for key in dict.fromkeys((row["config"], *row["flags"]) for row in rows):
        mine = [row for row in rows if (row["config"], *row["flags"]) == key]
        names = [name for name in mine[0]["scores"][0] if name != "cost"]
        head = [key[0], "M×N", *names, "G and judge per sample", "steps"]
        lines += ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
        for sampler in dict.fromkeys(row["sampler"] for row in mine):
            row = next(row for row in mine if row["sampler"] == sampler)
            scores = [score for row in mine if row["sampler"] == sampler for score in row["scores"]]
            shape, steps = (f"{row['M']}×{row['N']}", str(row["steps"])) if sampler != "perfect" else ("", "")
            cells = [show([score[name] for score in scores]) for name in names]
            costs = np.array([score.get("cost", [np.nan] * 2) for score in scores])
            cost = " and ".join(f"{value:.3g}" for value in costs.mean(axis=0)) if shape else ""
            lines.append("| " + " | ".join([sampler, shape, *cells, cost, steps]) + " |")
        lines.append("")
    return "\n".join(lines)


def show(values):
    """Mean ± standard error, to the digits that the error leaves; of those seeds that have a number."""
    values, total = np.array([value for value in values if np.isfinite(value)]), len(values)
    if not len(values):
        return "none"
    error = values.std(ddof=1) / len(values) ** 0.5 if len(values) > 1 else float("nan")
    digits = 4 if not error > 0 else int(np.clip(1 - np.floor(np.log10(error)), 0, 5))
    missing = "" if len(values) == total else f" ({len(values)} of {total} seeds)"
    return f"{values.mean():.{digits}f}" + (f" ± {error:.{digits}f}" if error > 0 else "") + missing


if __name__ == "__main__":
    main()
