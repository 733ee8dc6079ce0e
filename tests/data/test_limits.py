"""How much memory arrays may take, and how it is said."""

import pytest

from ensgan.data import limits
from ensgan.types import InputError


@pytest.mark.parametrize(
    ("size", "text"),
    [(2**30, "1 GiB"), (3 * 2**29, "1.5 GiB"), (0, "0 GiB"), (1234 * 2**30, "1,234 GiB"), (2**60, "1.1e+09 GiB")],
)
def test_bytes_in_gib(size, text):
    assert limits.gib(size) == text


def test_what_is_exactly_as_large_as_the_memory_fits(monkeypatch):
    monkeypatch.setattr(limits, "memory", lambda: 2**31)
    limits.check_fits(2**31, "this", "do that")
    with pytest.raises(InputError, match=r"^this needs 2 GiB, and this machine has 2 GiB of memory; do that$"):
        limits.check_fits(2**31 + 1, "this", "do that")


def test_a_system_that_does_not_say_has_no_limit(monkeypatch):
    assert 2**27 < limits.memory() < 2**50

    def unknown(name):
        raise ValueError(name)

    monkeypatch.setattr(limits.os, "sysconf", unknown)
    assert limits.memory() == 2**40
    monkeypatch.delattr(limits.os, "sysconf")
    assert limits.memory() == 2**40
