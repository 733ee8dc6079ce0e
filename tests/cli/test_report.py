"""`ensgan report` writes the same page again."""

from ensgan.cli import main as cli


def test_report_is_written_again(ring, capsys):
    run = ring[0] / "runs" / "small-3-1"
    before = (run / "report.html").read_bytes()
    (run / "report.html").unlink()
    assert cli.main(["report", str(run)]) == 0
    assert (run / "report.html").read_bytes() == before
    assert str(run / "report.html") in capsys.readouterr().out
