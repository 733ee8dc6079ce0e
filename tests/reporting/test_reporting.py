import json
import re
import shutil
import subprocess
import sys
import types
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from ensgan.evaluation.text import format_matrix, format_ranking
from ensgan.reporting import (
    MetricsLog,
    TensorBoardSink,
    WandbSink,
    flatten,
    read_metrics,
    sample_picture,
    write_report,
    write_samples,
)
from ensgan.reporting.colors import member_color
from ensgan.reporting.figures import course, curves, heat_map, scatter_panel, thin
from ensgan.reporting.html import _duration
from ensgan.reporting.pictures import thumbnails, tile
from ensgan.types import InputError

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
    assert all(reference.startswith("data:image/") for reference in page.references)
    assert all(image["alt"] for image in page.images)
    return text, page


# ---------------------------------------------------------------------------------------------- metrics log


def test_records_come_back_as_plain_json_with_six_digits(tmp_path):
    import jax.numpy as jnp

    with MetricsLog(tmp_path / "deep" / "metrics.jsonl") as log:
        log.write(
            {
                "kind": "train",
                "step": np.int64(12345678),
                "pi": np.pi,
                "jax": jnp.array([[1.0, 0.5]], jnp.bfloat16),
                "numpy": np.array([1 / 3, np.nan, np.inf], np.float32),
                "flag": np.bool_(True),
                "nested": {"order": np.array([2, 0]), "none": None, "minus": -np.inf},
            }
        )
    assert read_metrics(tmp_path / "deep" / "metrics.jsonl") == [
        {
            "kind": "train",
            "step": 12345678,
            "pi": 3.14159,
            "jax": [[1.0, 0.5]],
            "numpy": [0.333333, None, None],
            "flag": True,
            "nested": {"order": [2, 0], "none": None, "minus": None},
        }
    ]


def test_every_line_is_strict_json_and_on_disk_at_once(tmp_path):
    log = MetricsLog(tmp_path / "m.jsonl")
    log.write({"x": float("nan")})
    assert (tmp_path / "m.jsonl").read_text() == '{"x":null,"crc32":"1f80b88b"}\n'
    log.close()
    log.close()


def test_resuming_drops_later_records_and_appends(tmp_path):
    path = tmp_path / "m.jsonl"
    with MetricsLog(path) as log:
        log.write({"note": "no step"})
        for step in (10, 20, 30):
            log.write({"step": step})
    with MetricsLog(path, resume_step=20) as log:
        log.write({"step": 25})
    assert read_metrics(path) == [{"note": "no step"}, {"step": 10}, {"step": 20}, {"step": 25}]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("resume_step", [None, 2])
def test_a_line_cut_off_by_a_crash_is_dropped(tmp_path, resume_step):
    path = tmp_path / "m.jsonl"
    path.write_bytes(b'{"step":1}\n{"step":2,"x":[1.0,\xe2')
    assert read_metrics(path) == [{"step": 1}]
    with MetricsLog(path, resume_step) as log:
        log.write({"step": 2})
    assert read_metrics(path) == [{"step": 1}, {"step": 2}]


def test_a_whole_last_record_without_its_newline_stays(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_text('{"step":1}')
    with MetricsLog(path) as log:
        log.write({"step": 2})
    assert [line.split(',"crc32"')[0] for line in path.read_text().splitlines()] == ['{"step":1', '{"step":2']
    assert read_metrics(path) == [{"step": 1}, {"step": 2}]


@pytest.mark.parametrize("line", ['{"step":', "[1]", "7"])
def test_a_corrupt_line_in_the_middle_is_an_error_with_its_number(tmp_path, line):
    path = tmp_path / "m.jsonl"
    path.write_text(f'{{"step":1}}\n{line}\n{{"step":3}}\n')
    with pytest.raises(InputError, match=r"m\.jsonl, line 2 "):
        read_metrics(path)
    with pytest.raises(InputError, match="line 2 "):
        MetricsLog(path)


def test_missing_metrics_are_an_error(tmp_path):
    with pytest.raises(InputError, match="no metrics at"):
        read_metrics(tmp_path / "m.jsonl")


# ------------------------------------------------------------------------------------------------- pictures


def test_sample_picture_has_hand_computed_size_and_pixels():
    generators = np.zeros((2, 3, 8, 8, 1), np.uint8)
    generators[1, 2, 0, 0] = 200
    real = np.full((3, 8, 8, 1), 90, np.uint8)
    picture = sample_picture(generators, real)
    # Three cells of 64 with gaps of 4 between the gutter of 112 and the margin of 8.
    assert picture.width == 112 + 3 * 64 + 2 * 4 + 8
    # Margins of 8, three blocks of 64, 16 between the generators, 48 before the reals.
    assert picture.height == 8 + 64 + 16 + 64 + 48 + 64 + 8
    pixels = np.asarray(picture)
    x, y = 112 + 2 * 68, 8 + 64 + 16
    assert (pixels[y : y + 8, x : x + 8] == 200).all()  # one pixel became a square of 8
    assert (pixels[y + 8 : y + 64, x : x + 64] == 0).all()
    assert (pixels[y + 64 + 48 :][:64, 112 : 112 + 64] == 90).all()
    assert tuple(pixels[y + 64 + 24, 200]) == (43, 47, 54)  # the line before the reals
    assert (pixels[y, 112 + 64 : 112 + 68] == (236, 238, 241)).all()


def test_sample_picture_breaks_rows_at_sixteen_and_keeps_colours():
    generators = np.zeros((1, 17, 4, 6, 3), np.uint8)
    generators[0, 16] = (10, 20, 30)
    picture = sample_picture(generators, generators[0, :2], scale=2)
    assert picture.width == 112 + 16 * 12 + 15 * 4 + 8
    assert picture.height == 8 + (2 * 8 + 4) + 48 + 8 + 8
    assert picture.getpixel((112, 8 + 8 + 4)) == (10, 20, 30)


def test_an_opacity_is_not_drawn():
    images = np.random.default_rng(0).integers(0, 256, (1, 5, 8, 8, 4)).astype(np.uint8)
    for channels, drawn in ((2, 1), (4, 3)):
        whole, part = images[..., :channels], images[..., :drawn]
        np.testing.assert_array_equal(sample_picture(whole, whole[0]), sample_picture(part, part[0]))
        np.testing.assert_array_equal(thumbnails(whole[0], 64), thumbnails(part[0], 64))  # shrunk


def test_large_images_are_not_enlarged():
    assert (
        sample_picture(np.zeros((1, 1, 80, 80, 3), np.uint8), np.zeros((1, 80, 80, 3), np.uint8)).width == 112 + 80 + 8
    )


def test_points_are_panels():
    points = np.random.default_rng(0).normal(size=(5, 30, 2))
    assert sample_picture(points, points[0]).size == (4 * 360, 2 * 360)


def test_a_diverged_generator_does_not_shrink_the_reals():
    real = np.array([[-1.0, -1.0], [1.0, 1.0]])
    near = np.asarray(scatter_panel(real, real, "#ff0000"))
    far = np.asarray(scatter_panel(np.array([[1e30, 0.0], [np.nan, 0.0]]), real, "#ff0000"))
    assert near.shape == far.shape == (360, 360, 3)
    assert not (far == (255, 0, 0)).all(axis=-1).any()
    ys, xs = np.nonzero((far == (180, 186, 195)).all(axis=-1))
    assert np.ptp(xs) > 100
    assert np.ptp(ys) > 100


@pytest.mark.parametrize(
    ("generators", "real"),
    [
        (np.zeros((2, 3, 8, 8, 1), np.float32), np.zeros((3, 8, 8, 1), np.float32)),
        (np.zeros((2, 3, 8, 8, 5), np.uint8), np.zeros((3, 8, 8, 5), np.uint8)),
        (np.zeros((2, 3, 5)), np.zeros((3, 5))),
    ],
)
def test_what_cannot_be_drawn_is_an_error(generators, real):
    with pytest.raises(InputError, match="cannot draw"):
        sample_picture(generators, real)


def test_samples_that_do_not_fit_are_an_error():
    with pytest.raises(InputError, match="do not fit"):
        sample_picture(np.zeros((2, 3, 8, 8, 1), np.uint8), np.zeros((3, 4, 4, 1), np.uint8))
    with pytest.raises(InputError, match="no samples"):
        sample_picture(np.zeros((0, 3, 8, 8, 1), np.uint8), np.zeros((3, 8, 8, 1), np.uint8))


def test_write_samples_leaves_one_png(tmp_path):
    run = make_run(tmp_path / "run")
    with Image.open(write_samples(run)) as picture:
        assert picture.size == (112 + 5 * 64 + 4 * 4 + 8, 8 + 3 * 64 + 2 * 16 + 48 + 64 + 8)
    assert not list(run.glob("*.tmp"))


def test_slots_that_take_no_part_are_marked(tmp_path):
    run = make_run(tmp_path / "run")
    before = np.asarray(Image.open(write_samples(run)))
    arrays = dict(np.load(run / "samples.npz"))
    np.savez(run / "samples.npz", **arrays, takes_part=np.array([True, False, True]))
    after = np.asarray(Image.open(write_samples(run)))
    changed = np.flatnonzero((before != after).any(axis=(1, 2)))
    assert changed.min() >= 8 + 64 + 16  # the block of generator 1, and nothing of its samples
    assert changed.max() < 8 + 2 * 64 + 16
    assert (before[:, 112:] == after[:, 112:]).all()
    page = write_report(run).read_text()
    assert page.count("not in use") == 2  # the caption and the name of the picture
    np.savez(run / "samples.npz", **arrays, takes_part=np.array([True]))
    with pytest.raises(InputError, match="has flags for 1 generators but samples of 3"):
        write_samples(run)


def test_missing_and_damaged_samples_are_errors(tmp_path):
    with pytest.raises(InputError, match="no samples at"):
        write_samples(tmp_path)
    (tmp_path / "samples.npz").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(InputError, match=r"samples\.npz cannot be read"):
        write_samples(tmp_path)
    np.savez(tmp_path / "samples.npz", generators=np.zeros((1, 2, 2)))
    with pytest.raises(InputError, match=r"samples\.npz cannot be read"):
        write_samples(tmp_path)


def test_tile_places_images_row_by_row():
    images = np.arange(3, dtype=np.uint8).reshape(3, 1, 1, 1)
    assert tile(images, 2, 1)[..., 0].tolist() == [[0, 236, 1], [236, 236, 236], [2, 236, 236]]


def test_thumbnails_keep_to_their_pixels():
    images = np.zeros((50, 8, 8, 1), np.uint8)
    assert len(thumbnails(images, 10**6)) == 36
    assert len(thumbnails(images, 640)) == 10
    small = thumbnails(np.zeros((50, 100, 100, 3), np.uint8), 10_000)
    assert small.shape == (4, 50, 50, 3)
    assert thumbnails(np.zeros((1, 100, 100, 1), np.uint8), 10_000).shape == (1, 50, 50, 1)


def test_thin_keeps_the_ends():
    assert thin(3, 400).tolist() == [0, 1, 2]
    assert thin(1, 400).tolist() == [0]
    kept = thin(10_000, 400)
    assert (len(kept), kept[0], kept[-1]) == (400, 0, 9_999)


def test_colours_of_members_differ():
    colors = [member_color(index) for index in range(40)]
    assert len(set(colors)) == 40
    assert all(len(color) == 7 for color in colors)


def test_heat_map_shows_every_number_and_gaps():
    svg = heat_map(np.array([[0.123, 0.5], [np.nan, 0.987]])).decode()
    for text in ("0.12", "0.50", "–", "0.99", "G 0", "G 1", "D 0", "D 1"):
        assert f">{text}</text>" in svg


def test_figures_are_the_same_every_time_and_leave_settings_alone():
    import matplotlib

    before = dict(matplotlib.rcParams)
    fool = np.random.default_rng(0).random((30, 3, 2))
    assert course(np.arange(30), fool) == course(np.arange(30), fool)
    assert dict(matplotlib.rcParams) == before


def test_ticks_keep_their_digits():
    svg = curves(np.arange(3), np.array([[0.0], [0.012], [0.025]]), ylabel="loss").decode()
    ticks = [float(tick) for tick in re.findall(r">(0\.\d+)</text>", svg)]
    assert 0.005 in ticks
    assert len(set(ticks)) == len(ticks)


def test_curves_take_gaps_single_points_and_outliers():
    steps = np.arange(50)
    values = np.ones((50, 2))
    values[3] = np.nan
    values[7] = 1e6
    assert b"10^" in curves(steps, values, ylabel="loss") or b"mathdefault" in curves(steps, values, ylabel="loss")
    curves(steps[:1], values[:1], ylabel="loss", errors=values[:1], line=(0.5, "½"))
    curves(steps, np.full((50, 2), np.nan), ylabel="loss")


# --------------------------------------------------------------------------------------------------- report


def test_report_names_every_member_and_shows_every_figure(tmp_path):
    _, page = report(make_run(tmp_path / "run"))
    for name in ("generator 0", "generator 1", "generator 2", "discriminator 0", "discriminator 1", "real"):
        assert name in page.text
    alts = [image["alt"] for image in page.images]
    assert alts[:4] == [
        "samples: generator 0",
        "samples: generator 1",
        "samples: generator 2",
        "samples: real",
    ]
    assert len(alts) == 4 + 2 + 3 + 2 + 4  # samples, matrices, scores, losses, health
    assert "step30 of 100" in page.text
    assert "180 held-out reals" in page.text
    assert "The mixture covers 75% of held-out reals, and training reals cover –" in page.text
    assert '"seed": 3' in page.text
    assert "15 steps per second" in page.text


def test_report_of_points_has_modes_and_says_parts(tmp_path):
    text, page = report(make_run(tmp_path / "run", points=True))
    assert "modes of 8" in page.text
    assert "perfect <sampler>" in page.text
    assert "perfect <sampler>" not in text
    assert "only their mixture" in page.text


def test_report_early_in_a_run(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    _, page = report(tmp_path)
    assert "No scores yet." in page.text
    assert "No samples yet." in page.text
    assert "No training steps yet." in page.text
    assert page.images == []
    (tmp_path / "metrics.jsonl").write_text("")
    report(tmp_path)
    with MetricsLog(tmp_path / "metrics.jsonl") as log:
        log.write(train_record(np.random.default_rng(0), 2, 2, 1))
    _, page = report(tmp_path)
    assert "No scores yet." in page.text
    assert "Loss of every generator" in page.text


def test_report_of_one_score_with_nulls(tmp_path):
    run = make_run(tmp_path / "run", M=1, N=1, scores=0)
    with MetricsLog(run / "metrics.jsonl") as log:
        record = score_record(np.random.default_rng(0), 1, 1, 30, False)
        log.write(record | {"mmd": [np.nan], "score_g": [np.nan], "error_d": None, "mmd_floor": np.nan})
    _, page = report(run)
    assert "– ± 0.010" in page.text


def test_pairs_that_are_not_played_do_not_spoil_a_loss(tmp_path, monkeypatch):
    drawn = []
    keep = lambda steps, values, *, ylabel, **rest: (
        drawn.append((ylabel, values)) or curves(steps, values, ylabel=ylabel, **rest)
    )
    monkeypatch.setattr("ensgan.reporting.scores.curves", keep)
    run = make_run(tmp_path / "run", scores=0)
    with MetricsLog(run / "metrics.jsonl") as log:
        record = train_record(np.random.default_rng(0), 3, 2, 31)
        record["loss_g"][0, 0], record["weight_g"][0, 0] = np.nan, 0.0
        log.write(record)
    report(run)
    losses = [values for ylabel, values in drawn if ylabel == "loss"]
    assert [values.shape[1] for values in losses] == [3, 2]
    assert np.isfinite(losses[0]).all()
    assert losses[0][-1, 0] == pytest.approx(record["weight_g"][0, 1] * record["loss_g"][0, 1], rel=1e-5)


def test_report_escapes_what_users_write(tmp_path):
    text, page = report(make_run(tmp_path / "run", name="<script>alert('&')</script>"))
    assert "<script" not in text
    assert "<script>alert('&')</script>" in page.text
    assert "a <small> CPU" in page.text


def test_report_is_a_function_of_the_files(tmp_path):
    run = make_run(tmp_path / "run")
    first = write_report(run).read_bytes()
    assert write_report(run).read_bytes() == first
    assert not list(run.glob("*.tmp"))


def test_report_of_a_long_run_with_many_members_stays_small(tmp_path):
    run = make_run(tmp_path / "run", M=6, N=6)
    rng = np.random.default_rng(0)
    with MetricsLog(run / "metrics.jsonl", resume_step=0) as log:
        for step in range(1, 1201):
            log.write(train_record(rng, 6, 6, step))
            log.write(score_record(rng, 6, 6, step, False))
    images = np.random.default_rng(0).integers(0, 256, (7, 64, 128, 128, 3)).astype(np.uint8)  # noise does not compress
    np.savez(run / "samples.npz", generators=images[:6], real=images[6], step=1200)
    assert write_report(run).stat().st_size < 3_000_000


def test_report_errors_name_the_file(tmp_path):
    with pytest.raises(InputError, match=r"no run at .*: expected config\.json"):
        write_report(tmp_path / "nowhere")
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InputError, match=r"config\.json is damaged"):
        write_report(tmp_path)
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(InputError, match=r"config\.json is damaged: it holds a list"):
        write_report(tmp_path)


def test_durations_read_well():
    assert [_duration(s) for s in (0.1234, 59.0, 61.0, 3725.0)] == [
        "0.123 s",
        "59 s",
        "1 min 1 s",
        "1 h 2 min",
    ]


def test_a_browser_decodes_every_picture(tmp_path):
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("no chromium or chrome on this machine")
    path = write_report(make_run(tmp_path / "run"))
    # The page has no script; this copy gets one that counts what was decoded.
    count = """<script>addEventListener("load", () => {
      const all = [...document.images];
      const decoded = all.filter(image => image.complete && image.naturalWidth > 0);
      document.title = `decoded ${decoded.length} of ${all.length}`;
    });</script>"""
    copy = path.with_name("checked.html")
    copy.write_text(path.read_text(encoding="utf-8").replace("</body>", count + "</body>"), encoding="utf-8")
    quiet = ["quic", "background-networking", "component-update", "sync", "gpu"]
    flags = ["--headless", "--no-sandbox", "--no-first-run", *(f"--disable-{name}" for name in quiet)]
    flags += ["--virtual-time-budget=2000", "--dump-dom", f"--user-data-dir={tmp_path / 'profile'}"]
    command = [browser, *flags, copy.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "<title>decoded 15 of 15</title>" in done.stdout


# ------------------------------------------------------------------------------------------ sinks and tables


def test_flatten_names_members_and_pairs():
    record = {
        "kind": "score",
        "step": 5,
        "fool": [[0.1, None], [0.3, 0.4]],
        "score_g": np.array([1.0, 2.0]),
        "mmd_floor": 0.5,
        "members": "parts",
        "modes": {"names": ["a", "b"], "hq": [0.5, 0.6], "total": 8},
        "nothing": None,
    }
    assert flatten(record) == {
        "fool/0_0": 0.1,
        "fool/1_0": 0.3,
        "fool/1_1": 0.4,
        "score_g/0": 1.0,
        "score_g/1": 2.0,
        "mmd_floor": 0.5,
        "modes/hq/0": 0.5,
        "modes/hq/1": 0.6,
        "modes/total": 8.0,
    }
    assert flatten({"kind": "train", "step": 1, "fool": [[0.2]]}) == {"fool_batch/0_0": 0.2}


def test_tensorboard_gets_scalars_and_pictures(tmp_path):
    pytest.importorskip("tensorboardX")
    sink = TensorBoardSink(tmp_path)
    sink.scalars(3, {"score_g/0": 0.5})
    sink.images(3, "samples", np.zeros((4, 6, 3), np.uint8))
    sink.close()
    (events,) = tmp_path.glob("events.out.tfevents*")
    content = events.read_bytes()
    assert b"score_g/0" in content
    assert b"samples" in content


def test_wandb_gets_scalars_and_pictures(monkeypatch):
    calls = []
    run = types.SimpleNamespace(
        log=lambda values, step: calls.append((step, values)), finish=lambda: calls.append("finished")
    )
    fake = types.SimpleNamespace(init=lambda **s: calls.append(s) or run, Image=lambda array: ("image", array.shape))
    monkeypatch.setitem(sys.modules, "wandb", fake)
    sink = WandbSink("rings", name="first", mode="offline")
    sink.scalars(3, {"a": 1.0, "b": 2.0})
    sink.images(3, "samples", np.zeros((4, 6, 3), np.uint8))
    sink.close()
    assert calls == [
        {"project": "rings", "name": "first", "mode": "offline"},
        (3, {"a": 1.0, "b": 2.0}),
        (3, {"samples": ("image", (4, 6, 3))}),
        "finished",
    ]


@pytest.mark.parametrize(("module", "sink"), [("tensorboardX", TensorBoardSink), ("wandb", WandbSink)])
def test_a_missing_sink_names_the_command_that_installs_it(monkeypatch, module, sink):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match="pip install"):
        sink("somewhere")


def test_text_tables_are_aligned():
    assert format_matrix([[0.5, None], [1.0, -0.25]], ["G 0", "G 10"], ["D 0", "D 1"]).split("\n") == [
        "        D 0     D 1",
        "G 0   0.500       -",
        "G 10  1.000  -0.250",
    ]
    assert format_ranking([1, 0], [0.4, 0.5], [0.01, None], "discriminator").split("\n") == [
        "1. discriminator 1  0.500 ± -",
        "2. discriminator 0  0.400 ± 0.010",
    ]
