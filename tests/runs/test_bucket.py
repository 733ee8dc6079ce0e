"""What is saved at an address and taken from it, whatever happens on the way."""

import json
import shutil

import pytest
from faulty_store import FaultyStore, Killed, contents, stored, trained

from ensgan.data import stores
from ensgan.runs.bucket import Bucket
from ensgan.runs.checkpoint import MARK
from ensgan.types import InputError

ADDRESS = "faulty://bucket/runs/x"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(stores, "WAIT", 0.0)
    FaultyStore.reset()
    yield
    FaultyStore.reset()


@pytest.fixture
def on(monkeypatch, tmp_path):
    """The bucket as a machine sees it."""

    def machine(name, address=ADDRESS):
        monkeypatch.setenv("ENSGAN_RUNS", str(tmp_path / name))
        return Bucket(address)

    return machine


def whole(files):
    """The steps whose checkpoints count."""
    return sorted(int(path.split("/")[1]) for path in files if path.endswith(f"/{MARK}"))


def assert_sound(files, name="x"):
    """Checkpoints are of this run and whole, and the log is not behind them."""
    steps = whole(files)
    for step in steps:
        for part in (MARK, "state/a", "state/d/b"):
            assert files[f"checkpoints/{step}/{part}"].decode() == f"{name} {step} {part} " * step
    if steps:
        assert files["metrics.jsonl"].decode().count("\n") >= steps[-1]


def test_what_is_saved_is_what_another_machine_takes(on):
    here = on("a")
    trained(here.folder, 30)
    assert len(here.unsaved()) == len(contents(here.folder))
    here.push()
    assert here.unsaved() == []
    assert stored(ADDRESS) == contents(here.folder)
    there = on("b")
    there.pull()
    assert contents(there.folder) == contents(here.folder)
    assert there.unsaved() == []
    trained(there.folder, 50)
    (there.folder / "selection.json").write_text("{}")
    there.push()
    assert whole(stored(ADDRESS)) == [40, 50]
    here.pull()
    assert contents(here.folder) == contents(there.folder) == stored(ADDRESS)


def test_what_is_there_is_not_fetched_or_sent_again(on, monkeypatch):
    here = on("a")
    trained(here.folder, 30)
    here.push()
    sent = []
    monkeypatch.setattr(FaultyStore, "get_file", lambda self, source, target: pytest.fail(source))
    for each in ("pipe_file", "put_file"):
        before = getattr(FaultyStore, each)
        monkeypatch.setattr(
            FaultyStore,
            each,
            lambda self, *a, before=before: (sent.append([x for x in a if "bucket" in str(x)][-1]), before(self, *a)),
        )
    here.pull()
    here.push()
    assert sent == []
    (here.folder / "report.html").write_text("another")
    here.push()
    assert sent == ["/bucket/runs/x/report.html"]


@pytest.mark.parametrize("replaced", [False, True])
def test_killed_at_any_request(on, replaced):
    """After a kill, what another machine takes is sound, and the machine itself loses nothing."""
    name = "y" if replaced else "x"
    for k in range(100):
        FaultyStore.reset()
        here = on(f"a{k}")
        trained(here.folder, 30)
        here.push()
        if replaced:
            shutil.rmtree(here.folder)
        trained(here.folder, 20 if replaced else 50, name)
        want, FaultyStore.left = contents(here.folder), k
        try:
            here.push()
            assert k > 10
            break
        except Killed:
            FaultyStore.left = None
        other = on(f"b{k}")
        other.pull()
        found = contents(other.folder)
        assert_sound(found, json.loads(found["config.json"])["name"] if whole(found) else name)
        if not replaced:
            assert whole(found)
        again = on(f"a{k}")
        again.pull()
        assert contents(again.folder) == want
        again.push()
        assert stored(ADDRESS) == want
    else:
        pytest.fail("it never came to its end")


def test_killed_while_it_takes(on):
    here = on("a")
    trained(here.folder, 30)
    here.push()
    for k in range(100):
        other, FaultyStore.left = on(f"b{k}"), k
        try:
            other.pull()
            break
        except Killed:
            FaultyStore.left = None
        assert_sound({"metrics.jsonl": b"\n" * 30, **contents(other.folder)})
        assert not [path for path in contents(other.folder) if path.endswith(".tmp")]
        other.pull()
        assert contents(other.folder) == contents(here.folder)
    assert k > 5


@pytest.mark.parametrize("seed", range(5))
def test_one_request_in_ten_fails(on, seed):
    FaultyStore.chance, FaultyStore.draws = 0.1, __import__("random").Random(seed)
    here = on("a")
    for until in (10, 20, 30, 40):
        trained(here.folder, until)
        here.push()
        other = on(f"b{until}")
        other.pull()
        assert contents(other.folder) == contents(here.folder) == stored(ADDRESS)


def test_a_store_that_refuses(on):
    here = on("a")
    trained(here.folder, 30)
    for error in (OSError("503"), PermissionError("403"), FileNotFoundError("no such bucket")):
        FaultyStore.refuses = error
        with pytest.raises(type(error)):
            here.push()
        with pytest.raises(InputError, match=r"cannot be written .*; check"):
            here.check_writable()
        assert here.unsaved()
    FaultyStore.refuses = OSError("503")
    with pytest.raises(InputError, match=r"faulty://bucket/runs/x cannot be read \(OSError: 503\); check its name"):
        on("b").pull()
    FaultyStore.refuses = None
    here.pull()  # changes here stay
    here.check_writable()
    here.push()
    assert stored(ADDRESS) == contents(here.folder)


def test_files_that_did_not_arrive(on, monkeypatch):
    here = on("a")
    trained(here.folder, 20)
    send = FaultyStore.put_file

    def loses(self, source, target):
        send(self, source, target)
        if target.endswith("20/state/a"):
            self.pipe_file(target, b"half")

    monkeypatch.setattr(FaultyStore, "put_file", loses)
    with pytest.raises(OSError, match="20/state/a did not arrive whole"):
        here.push()
    other = on("b")
    other.pull()
    assert whole(contents(other.folder)) == []  # none is believed
    monkeypatch.setattr(FaultyStore, "put_file", send)
    here.push()
    other.pull()
    assert contents(other.folder) == contents(here.folder)


def test_a_checkpoint_that_goes_while_it_is_saved(on, monkeypatch):
    here = on("a")
    trained(here.folder, 20)
    send = FaultyStore.put_file

    def goes(self, source, target):
        if "checkpoints/10" in target:
            shutil.rmtree(here.folder / "checkpoints" / "10", ignore_errors=True)
        send(self, source, target)

    monkeypatch.setattr(FaultyStore, "put_file", goes)
    here.push()
    assert whole(stored(ADDRESS)) == [20]
    trained(here.folder, 30)
    here.push()
    assert stored(ADDRESS) == contents(here.folder)


def test_a_checkpoint_that_goes_after_the_last_one_was_saved(on):
    here = on("a")
    trained(here.folder, 20)
    here.push()
    shutil.rmtree(here.folder / "checkpoints" / "10")
    assert here.unsaved() == [f"checkpoints/10/{part}" for part in (MARK, "state/a", "state/d/b")]
    here.push()
    assert here.unsaved() == []
    assert stored(ADDRESS) == contents(here.folder)


def test_two_machines_in_one_run(on):
    here, there = on("a"), on("b")
    trained(here.folder, 10)
    trained(there.folder, 10)
    here.push()
    with pytest.raises(InputError, match=r"another machine trains at faulty://bucket/runs/x, as its \w+"):
        there.push()
    with pytest.raises(InputError, match=r"was changed by another machine, and .*b/faulty.* has steps that were never"):
        there.pull()
    assert stored(ADDRESS) == contents(here.folder)
    with pytest.raises(InputError, match=r"already holds a run; continue it with `ensgan resume faulty://bucket"):
        on("c").pull(fresh=True)


def test_what_is_not_saved_yet_is_kept(on):
    here = on("a")
    trained(here.folder, 20)
    here.push()
    trained(here.folder, 40)
    want = contents(here.folder)
    here.pull()
    assert contents(here.folder) == want


def test_a_copy_that_lost_files_is_made_whole(on):
    here = on("a")
    trained(here.folder, 30)
    here.push()
    want = contents(here.folder)
    here = on("a")
    (here.folder / "checkpoints" / "30" / "state" / "a").unlink()
    (here.folder / "metrics.jsonl").unlink()
    shutil.rmtree(here.folder / "checkpoints" / "20")
    here.push()  # what is lost is not removed there
    assert stored(ADDRESS) == want
    here.pull()
    assert contents(here.folder) == want


def test_a_run_that_is_removed_there_is_kept_here(on):
    here = on("a")
    trained(here.folder, 30)
    here.push()
    FaultyStore.reset()
    with pytest.raises(InputError, match=r"there is nothing at faulty://bucket/runs/x any more, and .* still holds"):
        here.pull()
    assert whole(contents(here.folder)) == [20, 30]


def test_while_a_run_is_replaced_the_older_one_stays(on):
    here = on("a")
    trained(here.folder, 30)
    here.push()
    before = stored(ADDRESS)
    shutil.copytree(here.folder, here.folder.with_name("old"))
    shutil.rmtree(here.folder)
    trained(here.folder, 20, "y")
    here.folder.with_name("old").rename(here.folder / ".replaced")
    here.push()
    assert stored(ADDRESS) == before
    shutil.rmtree(here.folder / ".replaced")
    here.push()
    assert stored(ADDRESS) == contents(here.folder)


def test_runs_of_a_series_are_apart(on):
    """Two machines train two runs of one series."""
    here = on("a")
    for seed in (0, 1):
        trained(here.folder / f"seed-{seed}", 10)
    (here.folder / "series.json").write_text("{}")
    here.push()
    there = on("b")
    there.pull()
    trained(here.folder / "seed-0", 40)
    trained(there.folder / "seed-1", 50)
    here.push()
    there.push()
    here.push()
    other = on("c")
    other.pull()
    for seed, machine in ((0, here), (1, there)):
        assert contents(other.folder / f"seed-{seed}") == contents(machine.folder / f"seed-{seed}")


def test_half_files_and_names_that_lead_outside(on):
    here = on("a")
    trained(here.folder, 10)
    (here.folder / "report.html.tmp").write_text("half")
    (here.folder / "checkpoints" / "20.orbax-checkpoint-tmp").mkdir()
    (here.folder / "checkpoints" / "20.orbax-checkpoint-tmp" / MARK).write_text("half")
    here.push()
    assert not [path for path in stored(ADDRESS) if "tmp" in path]
    FaultyStore.store["/bucket/runs/x/../../evil"] = FaultyStore.store["/bucket/runs/x/clock.json"]
    with pytest.raises(InputError, match=r"a file '../../evil', which would be outside of its folder"):
        on("b").pull()


def test_a_copy_that_is_used_is_not_renewed(on):
    here = on("a")
    trained(here.folder, 10)
    here.push()
    with on("b").in_use():
        trained(here.folder, 20)
        here.push()
        with (second := on("b")).in_use():
            assert whole(contents(second.folder)) == [10]
    with second.in_use():
        assert whole(contents(second.folder)) == [10, 20]
    with (nothing := on("c", "faulty://bucket/runs/none")).in_use():
        pass
    assert not nothing.folder.exists()
