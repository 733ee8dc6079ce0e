"""Where the time of a run goes, and how much of its device it uses: the section of the report, and its words."""

from __future__ import annotations

from typing import Any

import numpy as np

from ensgan.reporting.page import Section, table

Record = dict[str, Any]

# What the clock counts, in the words and colours of the page.
PHASES = {
    "compile": ("compile", "#7a5cc2"),
    "train": ("train", "#3b6fb6"),
    "read": ("read batches", "#5aa9d6"),
    "evaluate": ("scores", "#2f9967"),
    "report": ("pictures and report", "#c2569b"),
    "checkpoint": ("checkpoints", "#c9a227"),
    "other": ("other", "#8d96a3"),
}


def time_sections(clock: Record, train: list[Record]) -> list[Section]:
    """The time of every part of a run, in all and for one step; empty where no clock ran.

    Args:
        clock: seconds by what they were spent on; `read` is a part of `train`.
        train: the training records, whose `speed` is told.
    """
    clock = {key: value for key, value in clock.items() if isinstance(value, int | float) and 0 <= value < 1e12}
    seconds = {phase: float(clock.get(phase) or 0.0) for phase in PHASES}
    total = float(clock.get("total") or 0.0)
    if total <= 0.0:
        return []
    seconds["train"] = max(0.0, seconds["train"] - seconds["read"])
    seconds["other"] = max(0.0, total - sum(seconds.values()))
    whole, steps = sum(seconds.values()), int(clock.get("steps") or 0)
    shown = {phase: value for phase, value in seconds.items() if value > 0 or phase not in ("read", "report")}
    share = {phase: 100 * value / whole for phase, value in shown.items()}
    each = lambda value: (duration(value / steps),) if steps else ()
    rows = [(PHASES[phase][0], duration(v), f"{share[phase]:.1f} %", *each(v)) for phase, v in shown.items()]
    rows.append(("total", duration(total), "", *each(total)))
    notes = []
    if steps and clock.get("train"):
        notes.append(f"{steps / float(clock['train']):,.3g} steps per second while training.")
    if clock.get("interruptions"):
        notes.append(_interrupted(clock))
    notes += speed_sentences(train)
    colors = [PHASES[phase][1] for phase in shown]
    header = ("", "time", "share", *(("a step",) if steps else ()))
    bar = [(color, f"{each:.2f}%") for color, each in zip(colors, share.values(), strict=True)]
    times = table(header, rows, [*colors, None])
    return [Section("Time", [" ".join(notes)] if notes else [], bar=bar, tables=[times], layout="stack")]


def _interrupted(clock: Record) -> str:
    """What interruptions cost: steps done again, and the share of the time since the start that was not in vain."""
    text = f"Interruptions: {clock['interruptions']}."
    if clock.get("lost_steps"):
        text += (
            f" {clock['lost_steps']:,} steps, {duration(float(clock.get('lost') or 0))} of training, were done again."
        )
    useful = float(clock.get("train") or 0) - float(clock.get("lost") or 0)
    if clock.get("elapsed") and useful > 0:
        since = duration(float(clock["elapsed"]))
        text += (
            f" Of the {since} since the first start, {useful / float(clock['elapsed']):.0%} went into steps that count."
        )
    return text


def speed_sentences(train: list[Record]) -> list[str]:
    """What the training records say about speed and memory: medians over them, since single ones are noisy."""
    speeds = [record["speed"] for record in train if isinstance(record.get("speed"), dict)]
    values = {
        key: [float(speed[key]) for speed in speeds if isinstance(speed.get(key), int | float)]
        for key in ("samples_per_second", "flops_per_second", "share_of_product", "peak_bytes")
    }
    found = []
    if values["samples_per_second"]:
        found.append(f"{np.median(values['samples_per_second']):,.0f} samples per second")
    if values["flops_per_second"]:
        found.append(f"{np.median(values['flops_per_second']) / 1e9:,.3g} GFLOP/s")
    text = f"Median over all records: {' and '.join(found)}" if found else ""
    if text and values["share_of_product"]:
        share = f"{np.median(values['share_of_product']):.0%}"
        text += f", {share} of what a product of large matrices reached on this device when the run began"
    sentences = [f"{text}."] if text else []
    if values["peak_bytes"]:
        sentences.append(f"At most {in_bytes(max(values['peak_bytes']))} of memory was in use.")
    return sentences


def duration(seconds: float) -> str:
    """A time in words, such as `3 min 20 s`."""
    if not np.isfinite(seconds):  # a damaged record
        return "unknown"
    if 0 < seconds < 0.1:
        return f"{1e3 * seconds:.3g} ms"
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def in_bytes(count: float) -> str:
    """Bytes in MB or GB."""
    return f"{count / 1e9:.3g} GB" if count >= 1e9 else f"{count / 1e6:.3g} MB"
