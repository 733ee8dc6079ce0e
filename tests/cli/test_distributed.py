"""A command as one of several processes: what its flags must say, and the line that reports its end."""

import pytest

from ensgan.cli import distributed
from ensgan.cli.distributed import Processes, joined, tell
from ensgan.types import InputError


def test_a_command_alone_joins_nobody(monkeypatch):
    monkeypatch.setattr(distributed.processes, "join", lambda *given, **more: pytest.fail("it joined"))
    with joined("train", Processes()):
        pass
    with pytest.raises(KeyError), joined("train", Processes(mesh="member=2")):
        raise KeyError("as it is")


@pytest.mark.parametrize(
    ("place", "text"),
    [
        (Processes(mesh="4"), "give auto, or sizes of its two axes"),
        (Processes(local_devices="0"), "--local-devices is given to a process alone; add --distributed"),
        (Processes(local_devices="0;1", distributed=True), "--local-devices is '0;1'; give numbers of devices"),
        (Processes(local_devices="", coordinator="a:1"), "--local-devices is ''"),
    ],
)
def test_flags_that_do_not_fit_are_refused_before_anybody_is_waited_for(place, text, monkeypatch):
    monkeypatch.setattr(distributed.processes, "join", lambda *given, **more: pytest.fail("it joined"))
    with pytest.raises(InputError, match=text), joined("train", place):
        pass


def test_what_is_told_is_one_line_for_what_a_user_did(capsys):
    missing = FileNotFoundError(2, "No such file or directory", "a.toml")
    for error, line in (
        (InputError("wrong:\n  give 1"), "ensgan: wrong: give 1"),
        (missing, "ensgan: No such file or directory: a.toml"),
        (OSError("disk"), "ensgan: disk"),
        (MemoryError(), "ensgan: out of memory; lower --batch-size or the number of members, or --num"),
        (KeyboardInterrupt(), "ensgan: interrupted"),
        (
            RuntimeError("Gloo: Connection\nclosed"),
            "ensgan: another process of this run has ended (Gloo: Connection closed).",
        ),
    ):
        tell(error)
        err = capsys.readouterr().err
        assert err.startswith(line)
        assert err.count("\n") == 1


def test_what_is_our_fault_has_a_traceback(capsys):
    try:
        raise ZeroDivisionError("ours")
    except ZeroDivisionError as error:
        tell(error)
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert "ZeroDivisionError: ours" in err
