"""What is released: one version everywhere, bounds that can be tried, and a public check that can do nothing else."""

import re
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import ensgan

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CHECK = yaml.safe_load((ROOT / ".github" / "workflows" / "check.yml").read_text())


def test_the_version_is_the_same_everywhere():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    released = re.findall(r"^## \[(\d[\d.]*)\] - (\S+)$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert PROJECT["version"] == cited["version"] == ensgan.__version__ == released[0][0]
    assert str(cited["date-released"]) == released[0][1]


def test_every_dependency_has_a_lower_bound_that_is_tried():
    lowest = runpy.run_path(str(ROOT / ".ci" / "oldest.py"))["lowest"](PROJECT["dependencies"])
    assert [re.match(r"[\w.-]+", each)[0] for each in PROJECT["dependencies"]] == list(lowest)
    command = [sys.executable, str(ROOT / ".ci" / "oldest.py")]
    printed = subprocess.run([*command, "jax", "flax"], capture_output=True, text=True, check=True).stdout
    assert printed.splitlines() == [f"jax=={lowest['jax']}", f"flax=={lowest['flax']}"]
    assert subprocess.run([*command, "torch"], capture_output=True, text=True).returncode == 1


def test_the_public_check_covers_the_versions_that_the_package_names():
    named = {row.rsplit(" ", 1)[1] for row in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", row)}
    matrix = CHECK["jobs"]["tests"]["strategy"]["matrix"]
    assert set(matrix["python"]) == named
    assert min(named) == PROJECT["requires-python"].removeprefix(">=")
    assert matrix["jax"] == ["oldest", "newest"]
    assert {each["python"] for each in matrix["include"] if each["jax"] == "oldest"} == named


@pytest.mark.parametrize("job", sorted(CHECK["jobs"]))
def test_the_public_check_reads_and_no_more(job):
    assert CHECK["permissions"] == {"contents": "read"}
    assert "permissions" not in CHECK["jobs"][job]
    steps = CHECK["jobs"][job]["steps"]
    for step in steps:
        assert re.fullmatch(r"actions/[a-z-]+@v\d+", step.get("uses", "actions/none@v0")), "a major version, pinned"
        assert "secrets" not in str(step)
        for name in re.findall(r"\.ci/[\w.]+|tests/[\w/]+\.py", step.get("run", "")):
            assert (ROOT / name).exists(), name
    assert steps[0]["with"] == {"persist-credentials": False}
    assert CHECK["jobs"][job]["timeout-minutes"] <= 90
