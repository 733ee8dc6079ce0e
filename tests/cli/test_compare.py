"""`ensgan compare`: the sides, and the files that are asked for."""

from ensgan.cli import main as cli


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
