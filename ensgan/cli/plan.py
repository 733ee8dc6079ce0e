"""`ensgan plan`: what a training step costs on devices you may not have."""

from __future__ import annotations

import functools
import inspect
import json as text_json
import math
from collections.abc import Callable, Sequence
from typing import Any

from ensgan import data
from ensgan.cli import choices
from ensgan.data import Source
from ensgan.devices import mesh as meshes
from ensgan.devices import simulated
from ensgan.runs import build
from ensgan.runs import plan as plans
from ensgan.runs.config import Config
from ensgan.runs.plan import Plan
from ensgan.types import InputError


def plan(
    settings: Config,
    *,
    mesh: str = "",
    topology: str | None = None,
    bandwidth: float = 100.0,
    peak: float = 100.0,
    sample_shape: str | None = None,
    samples: int | None = None,
    json: bool = False,
) -> None:
    """Compile one training step for devices that you may not have, and print what it costs. Nothing is run or read.

    Args:
        settings: the configuration, with the flags that change it.
        mesh: sizes of the mesh, such as member=4,data=2; auto takes all devices of a topology that fit (default: one
            device, or auto with a topology).
        topology: TPUs to compile for, such as v5e:4x4 (needs libtpu); without one, simulated CPU devices.
        bandwidth: GB/s that a device sends.
        peak: TFLOP/s that a device computes.
        sample_shape: shape of a sample, such as 64,64,3, where only the files know it.
        samples: how many samples there are, where only the files know it (default: 60,000).
        json: print one JSON object instead of a table.
    """
    for flag, value in (("bandwidth", bandwidth), ("peak", peak)):
        if not 0 < value < math.inf:
            raise InputError(f"--{flag} is {value}; give a number above 0")
    sizes = meshes.parse(mesh or ("auto" if topology is not None else "member=1,data=1"))
    if sizes is None and topology is None:
        raise InputError("--mesh auto needs a --topology; without one give sizes, such as member=4,data=2")
    simulated.devices(1 if sizes is None or topology is not None else sizes.devices)
    given = {"shape": choices.shape(sample_shape), "num": samples}
    outline = functools.partial(data.outline, settings.data.name, seed=settings.seed, **given, **settings.data.options)
    source = outline()
    game = build.build_game(settings, source.shape, source.num["train"])
    if source.classes is None:
        source = outline(classes=game.classes)
    source = build.viewed(settings, source)
    found = plans.plan(game, source, sizes, topology=topology)
    rates = {"bandwidth": 1e9 * bandwidth, "peak": 1e12 * peak}
    if json:
        share = found.communication_share(**rates)
        print(text_json.dumps({"config": settings.name, **found.as_dict(), **rates, "communication_share": share}))
    else:
        print(describe(found, name=settings.name, source=source, **rates))


def _unread(source: Callable[..., Any]) -> Callable[..., Any]:
    """The same options, for the parser: files need not be named."""
    options = functools.wraps(source)(lambda **options: source(**options))
    given = inspect.signature(source, eval_str=True).parameters.values()
    free = lambda p: p.replace(kind=p.KEYWORD_ONLY, default=None, annotation=p.annotation | None)
    options.__signature__ = inspect.Signature([free(p) if p.name == "path" else p for p in given])  # type: ignore[attr-defined]
    return options


TABLES = {**build.TABLES, "data": {name: _unread(source) for name, source in data.SOURCES.items()}}


def describe(plan: Plan, *, name: str, source: Source, bandwidth: float, peak: float) -> str:
    """A plan as a table for reading.

    Args:
        plan: what was found.
        name: name of the configuration.
        source: what the plan was made for.
        bandwidth: bytes that a device sends per second.
        peak: FLOPs that it computes per second.
    """
    M, N = (sum(e.count for e in plan.members if e.name[0] == side and "common" not in e.name) for side in "gd")
    critic = f" ({plan.n_critic} of discriminators)" if plan.n_critic > 1 else ""
    communicating, computing = plan.seconds(bandwidth, peak)
    rows: list[tuple[str, ...]] = [
        ("game", f"{M} generators × {N} discriminators, {plan.coverage} coverage"),
        ("", f"{plan.reals} reals and {M} × {plan.fakes} fakes a step"),
        ("", f"{plan.update} updates{critic}"),
        ("data", _data(source)),
        ("compiled for", f"{plan.mesh.devices} × {plan.platform}, mesh {plan.mesh}, jax {plan.jax}"),
    ]
    lines = [f"plan of one training step of {name}: compiled, not run", "", *_aligned(rows)]
    rows = [(each.name, f"{each.count} ×", f"{each.parameters:,}") for each in plan.members]
    lines += ["", "parameters", *_aligned([*rows, ("in all", "", f"{plan.parameters:,}")], "<>>")]
    streamed = source.draw is None
    padded = plan.argument_bytes > 1.01 * (plan.state_bytes + plan.data_bytes)
    stored = [("both as stored", _size(plan.argument_bytes), "padded to the tiles of the device")] if padded else []
    rows = [
        ("state", _size(plan.state_bytes), f"of {_size(plan.whole_state_bytes)} in all: weights, optimisers, averages"),
        ("data", _size(plan.data_bytes), "the batches of a step" if streamed else "all to train with, on every device"),
        *stored,
        ("temporary", _size(plan.temporary_bytes), "samples, activations, gradients"),
        ("peak", _size(plan.peak_bytes), ""),
    ]
    lines += ["", "memory of each device", *_aligned(rows, "<><")]
    rows = [
        ("each device", f"{plan.flops / 1e9:,.3f} GFLOP"),
        ("in all", f"{plan.mesh.devices * plan.flops / 1e9:,.3f} GFLOP"),
    ]
    lines += ["", "work of a step", *_aligned(rows, "<>")]
    if plan.collectives:
        rows = [("", "axis", "arrays", "size", "sent by each device")]
        rows += [(c.kind, c.axis, str(c.number), _size(c.bytes), _size(c.travel)) for c in plan.collectives]
        rows += [("in all", "", "", "", _size(plan.travel))]
        lines += ["", "communication of a step", *_aligned(rows, "<<>>>")]
    rows = [
        (
            "communicating",
            f"{1e3 * communicating:,.4f} ms",
            f"if a device sends {bandwidth / 1e9:g} GB/s (--bandwidth)",
        ),
        ("computing", f"{1e3 * computing:,.4f} ms", f"if it computes {peak / 1e12:g} TFLOP/s (--peak)"),
        ("share", f"{plan.communication_share(bandwidth, peak):.1%}", "of the step is communication, if none overlaps"),
    ]
    lines += ["", "time of a step, under two assumptions", *_aligned(rows, "<><")]
    return "\n".join(lines)


def _data(source: Source) -> str:
    shape, num = "×".join(map(str, source.shape)), source.num["train"]
    how = "" if num is None else f", {num:,} to train with" + (", streamed" if source.draw is None else "")
    return f"{source.name}, samples of {shape}{how}"


def _aligned(rows: Sequence[tuple[str, ...]], sides: str = "<<") -> list[str]:
    widths = [max(len(row[k]) for row in rows) for k in range(len(sides))]
    cells = lambda row: (f"{cell:{side}{width}}" for cell, side, width in zip(row, sides, widths, strict=True))
    return ["  " + "  ".join(cells(row)).rstrip() for row in rows]


def _size(num: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if num < 1000 or unit == "GiB":
            break
        num /= 1024
    return f"{num:,.0f} B" if unit == "B" else f"{num:,.2f} {unit}"
