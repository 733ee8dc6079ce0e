"""How long one waits: commands from the shell's return key to their end, with and without the cache of programs.

    python benchmarks/first_step.py --rounds 3 --out rows.jsonl

Each command is a process of its own, and all take turns in every round: `ensgan train --steps 1` (the default game,
with checkpoint, scores, pictures and report) without the cache, with an empty one and with a full one; `select`,
`sample` and `resume` of that run with a full one. Beside them, both up to the end of the first step: the same game with
ensgan as a library, and written by hand in plain JAX and optax (imports, data, weights, step; no scores and no guard).
Medians; the cache is a folder of its own.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rows import emit

from ensgan.runs import directory as rundir

TRAIN = ["train", "--steps", "1", "--overwrite", "--run-dir", "run"]
COMMANDS = {
    "train, no cache": [*TRAIN, "--no-compile-cache"],
    "train, empty cache": TRAIN,
    "train, full cache": TRAIN,
    "select, full cache": ["select", "run"],
    "sample, full cache": ["sample", "run", "--out", "x.png"],
    "resume, full cache": ["resume", "again", "--steps", "2"],
}


def main():
    """Measures, and prints one row; or is one of the programs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", help="append the row to this file")
    parser.add_argument("--child", choices=["library", "by_hand"], help="be this program")
    options = parser.parse_args()
    if options.child:
        {"library": library, "by_hand": by_hand}[options.child]()
        return
    times = {name: [] for name in (*COMMANDS, "library, first step", "by hand, first step")}
    with tempfile.TemporaryDirectory() as folder:
        for r in range(options.rounds):
            place = Path(folder) / str(r)
            place.mkdir()
            for name, command in COMMANDS.items():
                if name == "resume, full cache":
                    ran(["cp", "-r", "run", "again"], place)
                    ran([sys.executable, "-m", "ensgan.cli", *command], place)  # its programs are compiled
                    ran(["rm", "-r", "again"], place)
                    ran(["cp", "-r", "run", "again"], place)
                elif "select" in name or "sample" in name:
                    ran([sys.executable, "-m", "ensgan.cli", *command], place)
                times[name].append(ran([sys.executable, "-m", "ensgan.cli", *command], place))
            for name in ("library", "by_hand"):
                child = [sys.executable, __file__, "--child", name]
                times[f"{name.replace('_', ' ')}, first step"].append(ran(child, place))
    seconds = {name: round(statistics.median(each), 2) for name, each in times.items()}
    row = {"benchmark": "first_step", "rounds": options.rounds, "seconds": seconds, "all": times}
    emit(row | rundir.versions(), options.out)


def ran(command, place):
    """Seconds that a process takes."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("JAX_COMPILATION")}
    begin = time.perf_counter()
    subprocess.run(
        command, cwd=place, env=environment | {"XDG_CACHE_HOME": str(place / "cache")}, check=True, capture_output=True
    )
    return time.perf_counter() - begin


def library():
    """The default game of `ensgan train` up to its first step."""
    import jax

    from ensgan.game.placement import start
    from ensgan.game.program import Program
    from ensgan.runs import config
    from ensgan.runs.build import TABLES, build
    from ensgan.runs.parsing import parse

    tree = config.read(Path(__file__).parent.parent / "configs" / "digits_heads.toml")
    game, source = build(parse(tree, TABLES)[0])
    state, _ = Program(game, source)(start(game), 1)
    jax.block_until_ready(state)


def by_hand(M=4, N=4, R=64, F=16, latent=16, own=0.5, strength=1.0):
    """Four generators against four heads on one trunk, as a user of JAX writes them for the digits."""
    import jax
    import jax.numpy as jnp
    import optax
    from sklearn.datasets import load_digits

    reals = jnp.asarray(load_digits().data[:1260], jnp.float32)
    adam = optax.adam(optax.cosine_decay_schedule(1e-3, 6000, 0.1), b1=0.0, b2=0.99)

    def layers(key, sizes):
        keys = jax.random.split(key, len(sizes) - 1)
        draw = lambda k, a, b: {"w": jax.random.normal(k, (a, b)) * (2 / a) ** 0.5, "b": jnp.zeros(b)}
        return [draw(k, a, b) for k, a, b in zip(keys, sizes[:-1], sizes[1:], strict=True)]

    def hidden(params, x):
        for layer in params:
            x = jax.nn.leaky_relu(x @ layer["w"] + layer["b"], 0.2)
        return x

    def generate(g, z):
        return jnp.tanh(hidden(g[:-1], z) @ g[-1]["w"] + g[-1]["b"])

    def logits(d, x):  # [B, 64] -> [N, B]
        return jnp.einsum("bk,nk->nb", hidden(d["trunk"], x), d["heads"]["w"]) + d["heads"]["b"][:, None]

    weight_MN = (1 - own) / N + own * jnp.eye(M, N)

    def loss(pair, key, x, side):
        g, d = pair if side == "g" else (jax.lax.stop_gradient(pair[0]), pair[1])
        fake = jax.vmap(generate)(g, jax.random.normal(key, (M, F, latent)))
        s = logits(d, fake.reshape(M * F, -1)).reshape(N, M, F)
        r = logits(d, x)
        margin = s[:, :, :, None] - r[:, None, None, :]
        each = jax.nn.softplus(-margin if side == "g" else margin).mean((2, 3)).T
        total = (weight_MN * each).sum()
        if side == "d":
            slope = jax.vmap(jax.grad(lambda x, j: logits(d, x[None])[j, 0]), (0, None))
            sample = jnp.concatenate([x, fake.reshape(M * F, -1)])
            total += strength / 2 * sum((slope(sample, j) ** 2).sum(1).mean() * 2 for j in range(N))
        return total

    def step(state, key):
        g, d, og, od, mean = state
        key_x, key_u, key_z = jax.random.split(key, 3)
        pixels = reals[jax.random.randint(key_x, (R,), 0, len(reals))]
        x = (pixels + jax.random.uniform(key_u, pixels.shape)) * (2 / 17) - 1
        grad_g = jax.grad(loss)((g, d), key_z, x, "g")[0]
        grad_d = jax.grad(loss)((g, d), key_z, x, "d")[1]
        up_g, og = jax.vmap(adam.update)(grad_g, og)
        up_d, od = adam.update(grad_d, od)
        g, d = optax.apply_updates(g, up_g), optax.apply_updates(d, up_d)
        return g, d, og, od, jax.tree.map(lambda a, p: 0.995 * a + 0.005 * p, mean, g)

    @jax.jit
    def start(key):
        key_g, key_d, key_h = jax.random.split(key, 3)
        g = jax.vmap(lambda k: layers(k, (latent, 256, 256, 64)))(jax.random.split(key_g, M))
        heads = {"w": jax.random.normal(key_h, (N, 256)) * 256**-0.5, "b": jnp.zeros(N)}
        d = {"trunk": layers(key_d, (64, 256, 256)), "heads": heads}
        return g, d, jax.vmap(adam.init)(g), adam.init(d), g

    run = jax.jit(lambda state, key: jax.lax.fori_loop(0, 1, lambda k, s: step(s, jax.random.fold_in(key, k)), state))
    jax.block_until_ready(run(start(jax.random.key(0)), jax.random.key(1)))


if __name__ == "__main__":
    main()
