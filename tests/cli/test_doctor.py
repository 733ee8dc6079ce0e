"""`ensgan doctor`: what a report of a bug needs, and a self-test that can fail."""

import pytest

from ensgan.cli import doctor
from ensgan.cli import main as cli
from ensgan.types import InputError


def test_versions_devices_caches_and_a_tiny_game(monkeypatch, capsys):
    monkeypatch.setenv("ENSGAN_DATA", "/somewhere")
    assert cli.main(["doctor"]) == 0
    printed = capsys.readouterr().out
    for text in ("jax ", "device", "compiled programs", "ENSGAN_DATA=/somewhere", "bit for bit and sampled"):
        assert text in printed
    assert cli.main(["doctor", "--quick"]) == 0
    assert "tiny" not in capsys.readouterr().out


def test_a_fault_is_told(monkeypatch):
    monkeypatch.setattr(doctor, "sample", lambda *_: [float("nan")])
    with pytest.raises(InputError, match="samples that are not finite"):
        doctor.doctor()
