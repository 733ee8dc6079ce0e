"""A run that several files of tests look at, trained once for each worker, and copies of it."""

import shutil

import pytest
from small_runs import settings

from ensgan.runs import run as run_module


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """A whole run, which no test may change."""
    directory = tmp_path_factory.mktemp("runs") / "whole"
    run_module.run(settings(), directory)
    return directory


@pytest.fixture
def copied(whole, tmp_path):
    """A copy of it, which a test may change."""
    shutil.copytree(whole, tmp_path / "copy")
    return tmp_path / "copy"
