"""Folders of runs with plausible numbers, and their report as an HTML parser reads it."""

import json
from html.parser import HTMLParser

import numpy as np

from ensgan.reporting import (
    MetricsLog,
    write_report,
)

VOID = {"meta", "img", "br", "hr", "link", "input"}


def make_run(run, M=3, N=2, scores=3, points=False, name="digits"):
    """A run directory with every file, of plausible numbers."""
    rng = np.random.default_rng(0)
    run.mkdir(exist_ok=True)
    put = lambda file, content: (run / file).write_text(json.dumps(content), encoding="utf-8")
    put("config.json", {"name": name, "seed": 3, "steps": 100, "data": {"name": "digits"}})
    put(
        "clock.json",
        {"compile": 2.0, "train": 6.0, "evaluate": 1.0, "checkpoint": 0.5, "total": 10.0, "steps": 90},
    )
    put("versions.json", {"ensgan": "0.1.0", "device": "a <small> CPU"})
    with MetricsLog(run / "metrics.jsonl") as log:
        for step in range(1, 31):
            log.write(train_record(rng, M, N, step))
            if step % 10 == 0 and step <= 10 * scores:
                log.write(score_record(rng, M, N, step, points))
    shape = (20, 2) if points else (5, 8, 8, 1)
    draw = rng.normal if points else lambda size: rng.integers(0, 256, size).astype(np.uint8)
    generators, real = draw(size=(M, *shape)), draw(size=shape)
    if points:
        generators, real = generators.astype(np.float32), real.astype(np.float32)
    np.savez(run / "samples.npz", generators=generators, real=real, step=30)
    return run


def train_record(rng, M, N, step):
    pairs = {key: rng.random((M, N)) for key in ("loss_g", "loss_d", "weight_g", "weight_d", "fool")}
    norms = {"grad_norm_g": rng.random(M), "grad_norm_d": rng.random(N), "penalty": rng.random(N)}
    return {"kind": "train", "step": step, "seconds": 0.1 * step, "augment": 0.2, **pairs, **norms}


def score_record(rng, M, N, step, points):
    fool = rng.random((M, N))
    members = {
        "score_g": fool.mean(1),
        "error_g": np.full(M, 0.01),
        "score_d": fool.mean(0),
        "error_d": np.full(N, 0.01),
    }
    mmd = {
        "mmd": rng.random(M),
        "mmd_error": np.full(M, 0.02),
        "mmd_floor": 0.05,
        "coverage": [0.25] * M + [0.75],
    }
    ranks = {"rank_g": np.argsort(-fool.mean(1)), "rank_d": np.argsort(-fool.mean(0))}
    record = {
        "kind": "score",
        "step": step,
        "fool": fool,
        "probability": fool,
        **members,
        **mmd,
        **ranks,
        "num": 180,
    }
    if points:
        names = [*(f"generator {i}" for i in range(M)), "mixture", "perfect <sampler>"]
        columns = {key: rng.random(M + 2) for key in ("hq", "kl", "spread")}
        record["modes"] = {"names": names, "modes": [3] * (M + 2), "total": 8, **columns}
    return record | {"members": "parts" if points else "complete"}


class Page(HTMLParser):
    """Notes tags that are not balanced, repeated ids, and what the page refers to."""

    def __init__(self, text):
        super().__init__()
        self.open, self.wrong, self.images, self.references, self.text = [], [], [], [], ""
        self.feed(text)
        self.wrong += self.open

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "img":
            self.images.append(attrs)
        self.references += [attrs[key] for key in ("src", "href", "srcset", "action") if key in attrs]

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data):
        self.text += data


def report(run):
    text = write_report(run).read_text(encoding="utf-8")
    page = Page(text)
    assert page.wrong == []
    assert "http://" not in text
    assert "https://" not in text
    assert all(reference.startswith(("data:image/", "data:,", "#")) for reference in page.references)
    assert all(image["alt"] for image in page.images)
    return text, page
