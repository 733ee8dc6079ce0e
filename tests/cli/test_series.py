"""Many runs from the command line: seeds, sweeps, and comparisons of what they measured."""

import pytest

from ensgan.cli import main as cli


def test_seeds_go_into_one_folder_with_a_page(folder):
    runs = folder / "runs" / "small-seeds-1"
    assert sorted(path.name for path in runs.iterdir()) == ["compare.html", "seed-0", "seed-2", "series.json"]
    assert (runs / "seed-2" / "report.html").is_file()


def test_a_complete_series_says_how_many_steps_are_done(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    assert cli.main(["resume", "swept", "--steps", "2"]) == 0
    said = capsys.readouterr()
    assert (
        "seed-0: complete with 4 steps; to go on, give `ensgan resume` more than that by --steps" in said.out + said.err
    )


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
