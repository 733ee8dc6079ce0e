"""`ensgan sample RUN --interpolate N`: the ways between samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import numpy as np

from ensgan.cli import choices
from ensgan.cli.checks import check_out, counted, opened_for
from ensgan.data import to_uint8
from ensgan.data.checks import check_seed
from ensgan.reporting.files import written
from ensgan.runs.gallery import save_picture
from ensgan.sampling.walks import walk as walked
from ensgan.types import InputError

MOST = 4096  # samples


def walk(
    run: Path,
    *,
    interpolate: int = 8,
    num: int = 8,
    out: str = "walk.png",
    from_: str | None = None,
    seed: int = 0,
    label: str | None = None,
    data_dir: str | None = None,
    from_step: str | None = None,
) -> None:
    """Draw ways between samples: each row goes from one latent of a generator to another.

    Args:
        run: the run's folder.
        interpolate: number of samples on each way, with both ends.
        num: number of ways.
        out: the file to write, .png or .npz with x [ways, samples, ...].
        from_: best, mixture or member:I (default: mixture if members are parts, else best).
        seed: seed of the latents.
        label: classes in turn, such as 3 or cat,dog, of a conditional run (default: classes by their law).
        data_dir: where the data are now (default: where they were).
        from_step: the step of the checkpoint to take, or best (default: the newest).
    """
    if num < 1 or interpolate < 2 or num * interpolate > MOST:
        raise InputError(
            f"--num is {num} and --interpolate {interpolate}; give at least 1 and 2, and {MOST:,} samples at most"
        )
    check_seed(seed, "--seed")
    check_out(Path(out), ".png", ".npz")
    found = opened_for(Path(out), run, data_dir, from_step)
    if Path(out).suffix == ".png" and len(found.game.sample_shape) != 3:
        raise InputError(f"--out is {out}, and ways between points have no picture; give a name that ends in .npz")
    key = jax.random.key(seed)
    weights, text, tags = choices.drawn(found, key, num, from_, label)
    x, member = walked(found.game, found.state, key, num, interpolate, weights=weights, label=tags)
    if Path(out).suffix == ".npz":
        table = found.source.columns
        x = x if table is None else table.undone(x).astype(np.float32)
        arrays: dict[str, Any] = {"x": x, "member": member, **({"images": to_uint8(x)} if x.ndim == 5 else {})}
        with written(Path(out)) as file:
            np.savez(file, **arrays if tags is None else {**arrays, "label": np.asarray(tags)})
    else:
        save_picture(Path(out), x.reshape(-1, *x.shape[2:]), None, columns=interpolate)
    print(f"{counted(num, 'way')} of {interpolate} samples, from {text}: {out}")
