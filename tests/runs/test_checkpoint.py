"""Checkpoints that are full, corrupt, or of another game, and those of a process that trains."""

import errno
import os
import re
import shutil
import threading

import numpy as np
import pytest
from small_runs import TREE, Notes, assert_same_bits, command, final, settings

from ensgan.runs import run as run_module
from ensgan.runs.checkpoint import Checkpoints
from ensgan.runs.restore import load_run, restore
from ensgan.types import InputError


def test_looking_at_a_run_does_not_disturb_the_process_that_trains_in_it(copied):
    saving = copied / "checkpoints" / "25.orbax-checkpoint-tmp"
    shutil.copytree(copied / "checkpoints" / "20", saving)
    restore(copied, load_run(copied))
    assert saving.is_dir()
    with Checkpoints(copied / "checkpoints", 3) as checkpoints:
        checkpoints.save(26, {"a": np.zeros(3)})
    assert not saving.is_dir()  # whoever trains does remove what a killed save left


def test_a_disk_that_stays_full_ends_the_run_at_its_last_checkpoint(whole, tmp_path, monkeypatch):
    directory, notes = tmp_path / "run", Notes()
    run_module.run(settings(steps=5), directory)

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    from orbax.checkpoint import v1 as ocp

    monkeypatch.setattr(ocp.training.Checkpointer, "save_async", full)
    said = r"step {} could not be written .* No space left on device; complete checkpoints: \[5\]"
    with pytest.raises(InputError, match=said.format(20)):
        run_module.run(load_run(directory, {"steps": 20}), directory, resume=True, watcher=notes)
    for step in (10, 15):
        assert any(re.search(said.format(step) + "; training goes on", note) for note in notes.notes)
    monkeypatch.undo()
    assert int(final(directory).step) == 5


def test_a_disk_that_is_full_for_a_while_leaves_out_one_checkpoint(whole, tmp_path, monkeypatch):
    from orbax.checkpoint import v1 as ocp

    real = ocp.training.Checkpointer.save_async

    def full(self, step, *args, **kwargs):
        if step == 10:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(self, step, *args, **kwargs)

    monkeypatch.setattr(ocp.training.Checkpointer, "save_async", full)
    notes = Notes()
    run_module.run(settings(), tmp_path / "run", watcher=notes)
    assert len([note for note in notes.notes if "could not be written" in note]) == 1
    assert [int(each.name) for each in sorted((tmp_path / "run" / "checkpoints").iterdir())] == [15, 20, 5]
    assert_same_bits(final(tmp_path / "run"), final(whole))


def test_a_save_that_stalls_is_not_waited_for_for_long(tmp_path, monkeypatch):
    monkeypatch.setattr("ensgan.runs.checkpoint.PATIENCE", 0.05)
    go_on, notes, state = threading.Event(), [], {"a": np.zeros(3)}
    with Checkpoints(tmp_path / "checkpoints", 3) as checkpoints:
        checkpoints.attempt(1, state, notes.append)
        stalled = checkpoints._response
        monkeypatch.setattr(stalled, "result", lambda patience=None: _after(go_on, patience))
        monkeypatch.setattr(checkpoints._checkpointer, "is_saving_in_progress", lambda: not go_on.is_set())
        checkpoints.attempt(2, state, notes.append)
        assert notes == ["the checkpoint of step 1 is still being written, so step 2 is not saved"]
        go_on.set()
        checkpoints.attempt(3, state, notes.append, last=True)
    assert len(notes) == 1
    assert checkpoints.steps == [1, 3]


def _after(event, patience):
    """Waits for an event as for a save."""
    if not event.wait(patience):
        raise TimeoutError


def test_a_corrupt_checkpoint_is_told_with_the_way_back(copied):
    newest = copied / "checkpoints" / "20" / "state"
    for file in newest.rglob("*"):
        if file.is_file() and file.parent.name == "d":
            file.write_bytes(file.read_bytes()[:10])
    process = command("select", copied)  # a process of its own: abandoned readers complain to whoever comes next
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2
    assert re.fullmatch(r"ensgan: the checkpoint .*/20 is corrupt .*; remove .*/20 to fall back to step 15\n", err)


def test_a_checkpoint_of_another_game_is_told(copied):
    other = settings(generators={**TREE["generators"], "count": 3})
    with pytest.raises(InputError, match=r"is for another game: .*generators.* is \(2, .* there and \(3, .* here"):
        restore(copied, other)


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="open files are counted in /proc")
def test_checkpoints_in_each_other_s_place_are_told(copied):
    place = copied / "checkpoints"
    steps = sorted((each.name for each in place.iterdir() if each.name.isdigit()), key=int)
    (place / steps[-1]).rename(copied / "aside")
    (place / steps[0]).rename(place / steps[-1])
    (copied / "aside").rename(place / steps[0])
    with pytest.raises(InputError, match=f"{steps[-1]} holds the state of step {steps[0]}; rename it"):
        restore(copied, load_run(copied))


def test_saves_leave_no_threads_and_no_files_open(tmp_path):
    def held():
        return threading.active_count(), len(os.listdir("/proc/self/fd"))

    state = {"a": np.ones((2, 2), np.float32)}
    counts = []
    with Checkpoints(tmp_path, keep=1) as checkpoints:
        for step in range(48):
            checkpoints.save(step, state)
            counts.append(held())
    # the fewest of several saves: what runs beside the test, and a save in progress, hold some for a moment
    more = np.min(counts[-8:], axis=0) - np.min(counts[4:12], axis=0)
    assert more.max() < 20  # one thread and three files a save would be 36 and more than 100
