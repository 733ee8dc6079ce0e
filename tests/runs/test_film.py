"""Samples of the same noise over training: a frame for each score, whatever interrupts the run."""

import numpy as np
from PIL import Image
from small_runs import settings

from ensgan.reporting.files import RunFiles
from ensgan.runs import film
from ensgan.runs import run as run_module

SHORT = {"log_every": 4, "eval_every": 4, "checkpoint_every": 4, "distances": []}


def pixels(run):
    return {path.name: np.asarray(Image.open(path)) for path in film.frames(run)}


def test_a_run_leaves_a_film_and_goes_on_with_it(tmp_path):
    run_module.run(settings(**SHORT, steps=12), tmp_path / "whole")
    run_module.run(settings(**SHORT, steps=8), tmp_path / "parts")
    stale = RunFiles(tmp_path / "parts").progress / "00000099.png"
    stale.write_bytes((stale.parent / "00000008.png").read_bytes())
    run_module.run(settings(**SHORT, steps=12), tmp_path / "parts", resume=True)
    whole, parts = pixels(tmp_path / "whole"), pixels(tmp_path / "parts")
    assert list(whole) == list(parts) == ["00000004.png", "00000008.png", "00000012.png"]
    for name in whole:
        np.testing.assert_array_equal(whole[name], parts[name])
    with Image.open(RunFiles(tmp_path / "whole").film) as moving:
        assert moving.n_frames == 3
        assert max(moving.size) <= film.LONGEST


def test_frames_are_thinned_and_broken_ones_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(film, "FRAMES", 5)
    Image.new("RGB", (8, 8), (1, 2, 3)).save(RunFiles(tmp_path).picture)
    for step in range(1, 10):
        film.keep_frame(tmp_path, step)
    steps = [int(path.stem) for path in film.frames(tmp_path)]
    assert len(steps) <= 5
    assert steps[0] == 1
    assert steps[-1] == 9
    film.frames(tmp_path)[1].write_bytes(b"broken")
    film.write_film(tmp_path)
    with Image.open(RunFiles(tmp_path).film) as moving:
        assert moving.format == "GIF"
    film.write_film(tmp_path / "nowhere")
