"""Many runs from the command line: seeds, sweeps, and comparisons of what they measured."""

import pytest

from ensgan.cli import main as cli

SMALL = """
steps = 4
batch_size = 8
log_every = 2
eval_every = 2
checkpoint_every = 2
held_out = 64
distances = ["mmd"]
data = "ring"
pairing = "softmax"
generators = {count = 2, network = {name = "mlp", latent = 2, widths = [8]}}
discriminators = {count = 2, network = {name = "mlp", widths = [8]}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two seeds of one configuration, and a sweep of two settings."""
    place = tmp_path_factory.mktemp("series")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        (place / "small.toml").write_text(SMALL)
        assert cli.main(["train", "small.toml", "--seeds", "0,2"]) == 0
        sweep = ["sweep", "small.toml", "--set", "pairing.lam=1,2", "--run-dir", "swept"]
        assert cli.main([*sweep, "--print-array"]) == 0
        assert cli.main(["resume", "swept", "--part", "1/2"]) == 0
        assert not (place / "swept" / "lam=2").exists()
        assert cli.main(["resume", "swept"]) == 0
    return place


def test_seeds_go_into_one_folder_with_a_page(folder):
    runs = folder / "runs" / "small-seeds-1"
    assert sorted(path.name for path in runs.iterdir()) == ["compare.html", "seed-0", "seed-2", "series.json"]
    assert (runs / "seed-2" / "report.html").is_file()


def test_a_comparison_names_the_sides_and_writes_what_is_asked_for(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    files = [f"out/c{ending}" for ending in (".html", ".md", ".tex", ".csv")]
    assert cli.main(["compare", "base=runs/small-seeds-1", "swept", "--out", ",".join(files)]) == 0
    printed = capsys.readouterr().out
    for text in ("base (2 seeds)", "lam=1 (1 seed)", "lam=2 (1 seed)", "(one seed)", "nothing here is a claim"):
        assert text in printed
    assert all((folder / file).stat().st_size > 100 for file in files)
    assert cli.main(["compare", "swept/lam=1", "two=swept/lam=2/seed-0", "--over", "steps", "--metrics", "mmd"]) == 0
    assert "at 4 steps" in capsys.readouterr().out


def test_a_complete_series_says_how_many_steps_are_done(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    assert cli.main(["resume", "swept", "--steps", "2"]) == 0
    said = capsys.readouterr()
    assert (
        "seed-0: complete with 4 steps; to go on, give `ensgan resume` more than that by --steps" in said.out + said.err
    )


def test_equal_settings_give_equal_runs(folder, monkeypatch, capsys):
    """The sweep's lam=1 is the pairing's default, so its runs are those of the seeds, to the last digit."""
    monkeypatch.chdir(folder)
    assert cli.main(["compare", "runs/small-seeds-1", "one=swept/lam=1"]) == 0
    assert "one cannot be told from small-seeds-1: +0 (one seed)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["compare"], "RUNS is missing"),
        (["compare", "nowhere"], "nowhere is no run"),
        (["compare", "swept", "--over", "hours"], "unknown axis for --over 'hours'"),
        (["compare", "swept", "--metrics", "fid"], "unknown metric 'fid'; known: hq"),
        (["compare", "swept", "--out", "x.pdf"], "its ending says the form, one of: .html"),
        (["train", "small.toml", "--seeds", "2-1"], "--seeds is '2-1'"),
        (["train", "small.toml", "--seeds", "0", "--run-dir", "swept/lam=1/seed-0"], "holds a single run"),
        (["sweep", "small.toml"], "--set is missing"),
        (["sweep", "small.toml", "--set", "pairing.beta=1,2"], "unknown argument --pairing.beta"),
        (["sweep", "small.toml", "--set", "pairing.own=1,2"], "own is 2.0"),
        (["sweep", "small.toml", "--set", "pairing.lam=a,b"], "--pairing.lam"),
        (["resume", "swept", "--part", "3/2"], "--part is '3/2'"),
        (["resume", "swept/lam=1/seed-0", "--part", "1/2"], "--part is for a series of runs"),
        (["sweep", "small.toml", "--set", "pairing.lam=.5,0.50"], "lam=.5 and lam=0.50 are the same settings, written"),
        (["resume", "swept", "--new-data"], "--new-data is for single runs"),
    ],
)
def test_what_is_wrong_is_one_line(folder, monkeypatch, capsys, argv, text):
    monkeypatch.chdir(folder)
    assert cli.main(argv) == 2
    said = capsys.readouterr().err.strip()
    assert text in said
    assert "\n" not in said
