"""`ensgan resume` goes further in a run."""

import json
import shutil

from ensgan.cli import main as cli


def test_resume_goes_further(ring, capsys, tmp_path):
    run = tmp_path / "run"  # others share the first one
    shutil.copytree(ring[0] / "runs" / "small-3-1", run)
    assert cli.main(["resume", str(run), "--steps", "9"]) == 0
    assert json.loads((run / "config.json").read_text())["steps"] == 9
    assert "score matrix" in capsys.readouterr().out
