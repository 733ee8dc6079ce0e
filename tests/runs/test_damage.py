"""Every file of a run, damaged: it is named, or what comes of the run is the same as before, to the last bit."""

import json
import random
import shutil

import numpy as np
import pytest
from small_runs import settings

from ensgan.cli import main as cli
from ensgan.reporting.files import RunFiles, read_json, write_json
from ensgan.runs import run as run_module

# Orbax leaves coroutines behind when it cannot read a file; the commands say nothing of them.
pytestmark = pytest.mark.filterwarnings("ignore:.*was never awaited", "ignore::pytest.PytestUnraisableExceptionWarning")
SHORT = {"steps": 6, "log_every": 2, "eval_every": 3, "checkpoint_every": 3, "distances": [], "data": "digits"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run with all of its files, and what comes of it."""
    folder = tmp_path_factory.mktemp("damage")
    run = folder / "run"
    run_module.run(settings(**SHORT), run)
    assert cli.main(["judge", str(run)]) == 0
    assert cli.main(["select", str(run)]) == 0
    shutil.copytree(run, folder / "copy")
    right = outcome(folder / "copy", folder / "out")
    assert right is not None
    return run, right


def outcome(run, out):
    """Samples of the stored mixture, the numbers in the report, and what the run is after two more steps."""
    out.mkdir()
    codes = [
        cli.main(["sample", str(run), "--num", "8", "--from", "mixture", "--out", str(out / "s.npz")]),
        cli.main(["report", str(run)]),
        cli.main(["resume", str(run), "--steps", "8"]),
        cli.main(["sample", str(run), "--num", "8", "--from", "member:0", "--out", str(out / "t.npz")]),
    ]
    if any(codes):
        return None
    return [np.load(out / name)["x"] for name in ("s.npz", "t.npz")]


def files_of(run):
    return sorted(path for path in run.rglob("*") if path.is_file() and path.stat().st_size)


def damage(path, how, rng):
    content = bytearray(path.read_bytes())
    if how == "gone":
        path.unlink()
        return
    place = rng.randrange(len(content))
    if how == "cut":
        del content[place:]
    else:
        content[place] ^= 1 << rng.randrange(8)
    path.write_bytes(bytes(content))


MOST = 40  # characters of a line that are shown where a case fails


def check(whole, tmp_path, number, capsys):
    run, right = whole
    rng = random.Random(number)
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    path = rng.choice(files_of(copy))
    how = rng.choice(["flip", "flip", "flip", "cut", "gone"])
    damage(path, how, rng)
    case = f"{how} {path.relative_to(copy)}"
    capsys.readouterr()
    found = outcome(copy, tmp_path / "out")
    told, said = capsys.readouterr()
    assert "Traceback" not in said, case
    if found is None:
        wrong = [line for line in said.splitlines() if line.startswith("ensgan: ")]
        assert wrong, case
        return
    if how == "gone" and path.name == "selection.json":  # as if nothing had been chosen, and so it is told
        assert "from the uniform mixture of" in told, case
        found, right = found[1:], right[1:]
    for a, b in zip(found, right, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=f"{case}: {said[:MOST]}")


@pytest.mark.parametrize("number", range(6))
def test_a_damaged_file_is_named_or_does_no_harm(whole, tmp_path, number, capsys):
    check(whole, tmp_path, number, capsys)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(6, 500))
def test_many_damaged_files(whole, tmp_path, number, capsys):
    check(whole, tmp_path, number, capsys)


def test_a_flipped_bit_in_every_json_file_is_told(whole, tmp_path):
    run, _ = whole
    for path in (p for p in run.glob("*.json*") if p.suffix == ".json"):
        content = path.read_bytes()
        right, wrong = read_json(path), 0
        for place in range(0, len(content), 7):
            flipped = bytearray(content)
            flipped[place] ^= 1
            (tmp_path / "x.json").write_bytes(bytes(flipped))
            try:
                wrong += read_json(tmp_path / "x.json") != right
            except ValueError:
                continue
        # Only the name of the checksum itself can be lost unseen, and then it stands among the other keys.
        assert wrong <= 1, path.name


def test_a_file_that_was_changed_by_hand_says_what_to_do(whole, tmp_path, capsys):
    run, _ = whole
    shutil.copytree(run, tmp_path / "run")
    file = RunFiles(tmp_path / "run").config
    changed = json.loads(file.read_text()) | {"log_every": 5}
    file.write_text(json.dumps(changed))
    assert cli.main(["resume", str(tmp_path / "run"), "--steps", "8"]) == 2
    assert "if you changed it yourself, remove 'crc32' from it" in capsys.readouterr().err
    write_json(file, {key: value for key, value in changed.items() if key != "crc32"})
    assert cli.main(["resume", str(tmp_path / "run"), "--steps", "8"]) == 0


@pytest.mark.parametrize("how", ["folder", "nowhere"])
@pytest.mark.parametrize("name", ["selection.json", "judge.npz"])
def test_a_folder_or_a_link_to_nothing_in_place_of_a_file_is_named(whole, tmp_path, name, how, capsys):
    copy = tmp_path / "run"
    shutil.copytree(whole[0], copy)
    (copy / name).unlink()
    if how == "folder":
        (copy / name).mkdir()
    else:
        (copy / name).symlink_to("nowhere")
    flags = ["--from", "mixture"] if name == "selection.json" else ["--refine", "obrs"]
    assert cli.main(["sample", str(copy), "--num", "4", "--out", str(tmp_path / "s.npz"), *flags]) == 2
    assert name in capsys.readouterr().err
