"""The model card of an export, in the form of Hugging Face: what the run knows of it, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ensgan.runs import directory as rundir
from ensgan.runs.origin import remembered_of
from ensgan.runs.restore import Opened
from ensgan.types import printable

SHOWN = 20  # classes that are listed
SPECIAL = "\\`*_[]<>|&~$"  # what Markdown could take for more than a letter
DRAWS = {  # how NumPy draws what a prior is called
    "independent standard normals": "rng.standard_normal(shape)",
    "independent uniforms on [-1, 1]": "rng.uniform(-1, 1, shape)",
}
FILES = {
    "weights.safetensors": "the weights by name",
    "generate.jaxexport": "the compiled sampler, for JAX",
    "score.jaxexport": "the compiled discriminator, for JAX",
    "generate.onnx": "the sampler with its weights, as ONNX",
    "score.onnx": "the discriminator with its weights, as ONNX",
}


def model_card(record: Mapping[str, Any], name: str, run: Opened) -> str:
    """The text of `README.md` beside the files of an export.

    Args:
        record: the content of its `config.json`.
        name: what the export is called.
        run: where it is from. Data, scores and versions are those that its folder has.
    """
    data = remembered_of(run.directory)
    law, own = record.get("class_law"), (data.get("class_law") or {}).get("weights")
    same = law is None or own is None or (len(law) == len(own) and np.allclose(law, own))
    scores = (rundir.scores_at(run.directory, record["step"]) if same else None) or {}
    sections = [
        _front(record, name, run, scores),
        f"# {escaped(name)}\n\n{_what(record, run)}",
        "## Files\n\n" + _table(["file", "content"], _files(record)),
        f"## How to load it\n\n```python\n{_program(record)}```",
        "## Data\n\n" + _bullets(_data(data)),
        f"## What was measured\n\n{_measured(record, run, scores)}",
        "## Training\n\n" + _bullets(_training(record, run)),
    ]
    return "\n\n".join(sections) + "\n"


def escaped(text: object) -> str:
    """A name as plain text of Markdown, on one line."""
    line = " ".join(printable(str(text)).split())
    return "".join(f"\\{letter}" if letter in SPECIAL else letter for letter in line)


def _front(record: Mapping[str, Any], name: str, run: Opened, scores: Mapping[str, Any]) -> str:
    """The facts for machines. What JSON writes is YAML too, so names cannot leave their quotes."""
    quoted = lambda value: json.dumps(value, ensure_ascii=True)
    lines = ["library_name: ensgan", 'tags: ["gan", "ensemble", "jax"]']
    if record["export"] == "generate" and len(record["sample_shape"]) == 3 and record["classes"] is None:
        lines.append("pipeline_tag: unconditional-image-generation")
    if found := _values(record, scores):
        metrics = [{"type": key, "name": title, "value": value} for key, title, value, _ in found]
        result = {
            "task": {"type": "unconditional-image-generation" if len(record["sample_shape"]) == 3 else "other"},
            "dataset": {"type": "other", "name": printable(run.source.name)},
            "metrics": metrics,
        }
        lines.append(f"model-index: {quoted([{'name': printable(name), 'results': [result]}])}")
    return "\n".join(["---", *lines, "---"])


def _what(record: Mapping[str, Any], run: Opened) -> str:
    game = run.game
    kind = "A discriminator" if record["export"] == "score" else "Generators"
    said = {"log_ratio": " Its logit is, at the optimum, the log density ratio of data to fakes."}
    return (
        f"{kind} of an ensemble of {game.M} generators and {game.N} discriminators: {escaped(record['what'])}, at step "
        f"{record['step']:,}." + said.get(record.get("logit", ""), "")
    )


def _files(record: Mapping[str, Any]) -> list[list[str]]:
    names = [each for each in (record["function"]["inputs"].get("weights"), record["function"]["file"]) if each]
    rows = [[f"`{each}`", FILES[each]] for each in names]
    checked = record["function"].get("checked")
    if checked is not None:
        rows[-1][1] += (
            f"; {checked['runtime']} gives the same as JAX for {checked['samples']} samples, up to "
            f"{checked['max_difference']:.2g}"
        )
    return [*rows, ["`config.json`", "members and shares, shapes of inputs, the run's configuration, versions"]]


def _program(record: Mapping[str, Any]) -> str:
    """A program that runs in the folder of the export and makes 64 samples `x`, or 64 logits of zeros."""
    onnx, mixed = record["format"] == "onnx", "which" in record["function"]["inputs"]
    labelled, file = "label" in record["function"]["inputs"], record["function"]["file"]
    generates, noise = record["export"] == "generate", record["function"].get("noise", {}).get("z", "")
    shape = lambda sizes: f"({', '.join(map(str, (64, *sizes)))})" if sizes else "(64,)"
    libraries = ["import numpy as np", "import onnxruntime"]
    if not onnx:
        libraries = [
            "import jax",
            "import numpy as np",
            "from jax import export",
            "from safetensors.numpy import load_file",
        ]
    lines = [
        "import json",
        "from pathlib import Path",
        "",
        *libraries,
        "",
        'about = json.loads(Path("config.json").read_text(encoding="utf-8"))',
    ]
    if onnx or labelled:
        lines.append("rng = np.random.default_rng(0)")
    inputs = []
    if generates and onnx:
        lines += [
            f"shape = {shape(record['generators'][0]['latent']['shape'])}",
            f"z = {DRAWS.get(noise, 'rng.standard_normal(shape)')}.astype(np.float32)  # {noise}",
        ]
        inputs.append("z")
    elif generates:
        lines += ["key = jax.random.key_data(jax.random.key(0))", "number = np.arange(64, dtype=np.int32)"]
        inputs += ["key", "number"]
    else:
        lines.append(f"x = np.zeros({shape(record['sample_shape'])}, np.float32)")
        inputs.append("x")
    if mixed:
        lines += [
            'members, shares = zip(*((each["number"], each["weight"]) for each in about["generators"]))',
            "which = rng.choice(members, 64, p=shares).astype(np.int32)",
        ]
        inputs.append("which")
    if labelled:
        law = ', p=about["class_law"]' if "class_law" in record else ""
        lines.append(f'label = rng.choice(about["classes"], 64{law}).astype(np.int32)')
        inputs.append("label")
    result = "x" if generates else "logit"
    if onnx:
        fed = ", ".join(f'"{each}": {each}' for each in inputs)
        lines += [f'session = onnxruntime.InferenceSession("{file}")', f"({result},) = session.run(None, {{{fed}}})"]
    else:
        lines += [
            'weights = load_file("weights.safetensors")',
            f'function = jax.jit(export.deserialize(Path("{file}").read_bytes()).call)',
            f"{result} = function({', '.join(['weights', *inputs])})",
        ]
    return "\n".join([*lines, ""])


def _data(data: Mapping[str, Any]) -> list[str]:
    if not data:
        return ["the run's folder has no record of its data"]
    size = "×".join(map(str, data.get("shape", ()))) or "?"
    num = data.get("num")
    lines = [f"{escaped(data.get('name'))}: {'streamed' if num is None else format(num, ',')} samples of {size}"]
    if "low" in data:
        lines[0] += f", {escaped(data.get('dtype'))} with values from {data['low']:g} to {data['high']:g}"
    if splits := data.get("splits"):
        shown = lambda num: "endless" if num is None else escaped(f"{num:,}" if isinstance(num, int) else num)
        lines.append("splits: " + ", ".join(f"{escaped(key)} {shown(num)}" for key, num in splits.items()))
    if skipped := data.get("skipped"):
        lines.append("skipped: " + escaped(json.dumps(skipped)))
    if classes := data.get("classes"):
        shown = [f"{escaped(each['name'])} ({each['count']:,})" for each in classes[:SHOWN]]
        more = [f"and {len(classes) - SHOWN} more"] if len(classes) > SHOWN else []
        lines.append(f"{len(classes)} classes: " + ", ".join([*shown, *more]))
    if law := data.get("class_law"):
        lines.append(escaped(law.get("text", "")))
    return [*lines, "licence of the data: not stated"]


def _values(record: Mapping[str, Any], scores: Mapping[str, Any]) -> list[tuple[str, str, float, float | None]]:
    """Distances of what is exported, as the run logged them: short name, title, value, and what reals get."""
    which = _place(record, scores)
    if which is None:
        return []
    each = ((key, row) for key, row in (scores.get("distances") or {}).items() if isinstance(row, dict))
    pick = lambda row: row["mixture"] if which == "mixture" else row["generators"][int(which)]
    return [(key, row["title"], pick(row), row["floor"]) for key, row in each if pick(row) is not None]


def _place(record: Mapping[str, Any], scores: Mapping[str, Any]) -> str | None:
    """Where the log has the numbers of what is exported: a generator's number, `mixture`, or nowhere."""
    members = record.get("generators", ())
    if len(members) == 1:
        return str(members[0]["number"])
    logged = scores.get("mixture")
    if not members or logged is None:
        return None
    mine = np.zeros(len(logged))
    for each in members:
        mine[each["number"]] = each["weight"]
    return "mixture" if np.allclose(mine, logged, atol=1e-5) else None


def _measured(record: Mapping[str, Any], run: Opened, scores: Mapping[str, Any]) -> str:
    if not scores:
        law = " with this law of labels" if "class_law" in record else ""
        return f"The log has no held-out scores of step {record['step']:,}{law}."
    parts, place = [], _place(record, scores)
    if record["export"] == "score":
        j = record["discriminator"]
        mean, error = scores["score_d"][j], scores["error_d"][j]
        told = f"Mean AUC against the {run.game.M} generators on {scores['num']:,} held-out reals (select split)"
        return f"{told}: {mean:.3g} ± {error:.2g}. A discriminator that cannot tell has 0.5."
    digits = lambda value: "–" if value is None else f"{value:.4g}"
    if rows := [[title, digits(value), digits(floor)] for _, title, value, floor in _values(record, scores)]:
        found = scores["distances"]
        parts.append(
            f"Distances to held-out reals (report split), n = {found['num']:,}, features: {escaped(found['features'])}."
            " The floor is what other reals get.\n\n" + _table(["distance", "this export", "floor"], rows)
        )
    modes = scores.get("modes") or {}
    title = "mixture" if place == "mixture" else f"generator {place}"
    if title in modes.get("names", ()):
        at = [modes["names"].index(title), len(modes["names"]) - 1]
        rows = [[escaped(modes["names"][k]), *(f"{modes[key][k]:.4g}" for key in ("modes", "hq", "kl"))] for k in at]
        head = ["", f"modes of {modes['total']}", "high-quality share", "KL"]
        parts.append(f"Modes, n = {modes['num']:,}.\n\n" + _table(head, rows))
    if place is not None and place != "mixture":
        i = int(place)
        parts.append(
            f"Share of pairs (fake, held-out real) in which the discriminators prefer the fake, n = {scores['num']:,} "
            f"(select split): {scores['score_g'][i]:.3g} ± {scores['error_g'][i]:.2g}; 0.5 is ideal."
        )
    return "\n\n".join(parts) or "The log has scores of members and of another mixture, but not of this one."


def _training(record: Mapping[str, Any], run: Opened) -> list[str]:
    config, versions = run.config, rundir.versions_of(run.directory)
    names = ("ensgan", "jax", "jaxlib", "flax", "optax", "numpy", "python", "device")
    kept = [f"{name} {escaped(versions[name])}" for name in names if name in versions]
    return [
        f"configuration {escaped(config.name)}, seed {config.seed}, step {record['step']:,} of {config.steps:,}",
        "all settings are in `config.json`, under `run`",
        f"trained with {', '.join(kept) or 'versions that were not kept'}",
        f"exported with ensgan {escaped(record['versions'].get('ensgan', '?'))}",
        "licence of the weights: not stated",
    ]


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)
