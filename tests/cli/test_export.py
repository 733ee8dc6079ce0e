"""`ensgan export`: what it says of its files, and what it leaves alone."""

import pytest
from untrained import untrained

from ensgan.cli import main as cli


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return untrained(tmp_path_factory.mktemp("export") / "run")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--to", "new", "--from", "luck"], r"give best, mixture, or member:I with I from 0 to 1, or discriminator:J"),
        (["--to", "new", "--from", "member:2"], "asks for member 2; the run has generators 0 to 1"),
        (["--to", "new", "--from", "discriminator:2"], "asks for discriminator 2; the run has discriminators 0 to 1"),
        (["--to", "new", "--from", "discriminator:"], "give discriminator:I with I from 0 to 1"),
        (["--to", "new", "--format", "torch"], "'torch'; known: jax, onnx; jax writes the weights as safetensors"),
        (["--to", "old"], "old holds files that are not an export, so it is left alone"),
        (["--to", "old", "--overwrite"], "old holds files that are not an export, so it is left alone"),
        (["--to", "old/notes.txt"], "is a file; give a folder"),
        ([], "--to is missing; give a folder"),
    ],
)
def test_what_is_wrong_is_one_line(arguments, message, run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "notes.txt").write_text("mine")
    assert cli.main(["export", str(run[0]), *arguments]) == 2
    err = capsys.readouterr().err
    assert err.splitlines()[-1].startswith("ensgan: ")  # behind the law of labels, if that was printed
    assert message in err
    assert [path.name for path in tmp_path.rglob("*")] == ["old", "notes.txt"]


def test_a_run_is_not_taken_for_an_export(run, capsys):
    before = (run[0] / "config.json").read_bytes()
    assert cli.main(["export", str(run[0]), "--to", str(run[0]), "--overwrite"]) == 2
    assert "holds files that are not an export" in capsys.readouterr().err
    assert (run[0] / "config.json").read_bytes() == before
    assert cli.main(["export", "no/run", "--to", "no/where"]) == 2
    assert "no run at no/run" in capsys.readouterr().err
