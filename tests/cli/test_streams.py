"""Standard output takes any encoding, may be closed, full or read in part, and cannot drive a terminal."""

import errno
import os
import subprocess
import sys

import pytest
from programs import program

from ensgan.cli import streams


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [("ascii", b"1/(? - loss)"), ("cp1252", b"1/(? - loss)"), ("utf-8", "1/(η − loss)".encode())],
)
def test_output_has_any_encoding(encoding, shown):
    done = program("methods", PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr
    assert shown in done.stdout
    assert done.stdout.decode(encoding).count("\n") > 50


@pytest.mark.parametrize(
    ("shell", "code", "error"),
    [
        (">&-", 0, b""),
        ("<&- >&- 2>&-", 0, b""),
        (">/dev/full", 2, b"ensgan: the work is done, but its output is lost: No space left on device\n"),
        ("| head -n 1 >/dev/null", 0, b""),
    ],
)
def test_output_may_be_closed_or_full(shell, code, error):
    done = program("methods", shell=shell)
    assert (done.returncode, done.stderr) == (code, error)


@pytest.mark.parametrize("argv", [["methods"], ["train", "--help-all"], ["--help"]])
def test_a_reader_that_has_seen_enough_ends_a_command_quietly(argv):
    command = f"'{sys.executable}' -m ensgan.cli {' '.join(argv)} | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env={**os.environ})
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1


@pytest.mark.parametrize(
    ("encoding", "text", "written"),
    [
        ("ascii", "a − b – c × d · e", b"a - b - c x d . e"),
        ("ascii", "η", b"?"),
        ("ascii", os.fsdecode(b"latin\xe9"), b"latin\xe9"),  # a name as it is on disk
        ("latin-1", "é−η", b"\xe9-?"),
        ("utf-8", "−η", "−η".encode()),
        ("utf-8", os.fsdecode(b"\xe9"), b"\xe9"),
    ],
)
def test_what_an_encoding_lacks_is_written_as_something_like_it(encoding, text, written, tmp_path, monkeypatch):
    with (tmp_path / "out").open("w", encoding=encoding) as out, (tmp_path / "err").open("w") as err:
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", err)
        streams.prepare()
        print(text)
        assert streams.failed() is None
    assert (tmp_path / "out").read_bytes() == written + b"\n"


def test_control_characters_are_shown_and_not_sent(tmp_path, monkeypatch):
    with (tmp_path / "out").open("w", encoding="utf-8") as out, (tmp_path / "err").open("w") as err:
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", err)
        streams.prepare()
        sys.stdout.write("\x1b[31mred\n")
        sys.stdout.free.write("\x1b[K")  # of a bar
        sys.stdout.free.flush()
        sys.stdout.flush()
    assert (tmp_path / "out").read_bytes() in (b"\\x1b[31mred\n\x1b[K", b"\x1b[K\\x1b[31mred\n")


def test_the_first_failure_of_writing_is_kept_and_work_goes_on():
    with streams.Patient("/dev/full", "w") as full:
        assert full.write(b"abc") == 3
        assert full.failed.errno == errno.ENOSPC
        first = full.failed
        assert full.write(memoryview(b"de")) == 2
        assert full.failed is first
