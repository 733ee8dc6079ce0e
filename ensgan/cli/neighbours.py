"""`ensgan sample RUN --nearest K`: samples beside the training samples that are nearest to them."""

from __future__ import annotations

from pathlib import Path

import jax
import numpy as np

from ensgan.cli import choices
from ensgan.cli.checks import check_out, counted, opened_for
from ensgan.data.checks import check_seed
from ensgan.evaluation.nearest import nearest as nearest_of
from ensgan.reporting.files import written
from ensgan.runs.gallery import save_picture
from ensgan.sampling.sampler import sample
from ensgan.types import InputError

MOST = 1000  # samples


def neighbours(
    run: Path,
    *,
    nearest: int = 5,
    num: int = 8,
    out: str = "nearest.png",
    from_: str | None = None,
    seed: int = 0,
    label: str | None = None,
    data_dir: str | None = None,
    from_step: str | None = None,
) -> None:
    """Draw samples, each beside the training samples nearest to it, and say whether they are nearer than reals are.

    Args:
        run: the run's folder.
        nearest: how many training samples stand beside each.
        num: how many samples.
        out: the file to write, .png, or .npz with x, nearest and distance.
        from_: best, mixture or member:I (default: mixture if members are parts, else best).
        seed: seed of the samples.
        label: classes in turn, such as 3 or cat,dog, of a conditional run (default: classes by their law).
        data_dir: where the data are now (default: where they were).
        from_step: the step of the checkpoint to take, or best (default: the newest).
    """
    if not (1 <= num <= MOST and 1 <= nearest <= MOST):
        raise InputError(f"--num is {num} and --nearest {nearest}; give 1 to {MOST:,} of each")
    check_seed(seed, "--seed")
    check_out(Path(out), ".png", ".npz")
    found = opened_for(Path(out), run, data_dir, from_step)
    if Path(out).suffix == ".png" and len(found.game.sample_shape) != 3:
        raise InputError(f"--out is {out}, and points beside points have no picture; give a name that ends in .npz")
    key = jax.random.key(seed)
    weights, text, tags = choices.drawn(found, key, num, from_, label)
    x = np.asarray(sample(found.game, found.state, key, num, weights=weights, label=tags))
    there = nearest_of(found.data(), x, nearest)
    if Path(out).suffix == ".npz":
        table = found.source.columns
        own = (lambda points: points) if table is None else (lambda points: table.undone(points).astype(np.float32))
        with written(Path(out)) as file:
            np.savez(file, x=own(x), nearest=own(there.x), distance=there.distance)
    else:
        rows = np.concatenate([x[:, None], there.x], axis=1)
        save_picture(Path(out), rows.reshape(-1, *x.shape[1:]), None, columns=nearest + 1)
    print(f"{counted(num, 'sample')} from {text}, each with its {counted(nearest, 'nearest training sample')}: {out}")
    ours, usual = np.median(there.distance[:, 0]), np.median(there.usual)
    print(
        f"median distance to the nearest training sample: {ours:.4g}, that of {len(there.usual)} held-out reals "
        f"{usual:.4g} (root mean square, in the numbers that networks see)"
    )
    copies = int((there.distance[:, 0] < 0.5 * there.usual.min()).sum())
    if copies:
        print(f"note: {copies} of {num} are less than half as far from a training sample as any held-out real: copies?")
