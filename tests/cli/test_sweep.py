"""`ensgan sweep`: runs of settings are those of single runs."""

from ensgan.cli import main as cli


def test_equal_settings_give_equal_runs(folder, monkeypatch, capsys):
    """The sweep's lam=1 is the pairing's default, so its runs are those of the seeds, to the last digit."""
    monkeypatch.chdir(folder)
    assert cli.main(["compare", "runs/small-seeds-1", "one=swept/lam=1"]) == 0
    assert "one cannot be told from small-seeds-1: +0 (one seed)" in capsys.readouterr().out
