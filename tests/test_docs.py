"""The programs in the documents run, and the documents name what there is."""

import dataclasses
import os
import pkgutil
import re
import subprocess
from pathlib import Path

import jax
import pytest
import yaml
from test_structure import FLOORS

from ensgan import augment, losses, pairing, penalties
from ensgan.cli import distributed
from ensgan.cli import main as cli
from ensgan.cli.configurations import shipped

ROOT = Path(__file__).parents[1]
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "benchmarks" / "README.md"]
MARK = "<!-- a test runs this program -->\n```python\n"


def programs(name):
    return [part.split("```")[0] for part in (ROOT / name).read_text().split(MARK)[1:]]


@pytest.fixture
def plain_promotion():
    # The programs of the documents are a user's: they run under the settings that a user has.
    jax.config.update("jax_numpy_rank_promotion", "allow")
    yield
    jax.config.update("jax_numpy_rank_promotion", "raise")


def test_the_program_of_the_readme_runs(plain_promotion):
    (program,) = programs("README.md")
    names = {}
    exec(program.replace("steps=10_000", "steps=30"), names)
    assert names["x"].shape == (1024, 2)
    assert names["info"].loss_g.shape == names["info"].loss_d.shape == (4, 4)
    assert names["best"].fool.shape == names["best"].detect.shape == (4, 4)
    assert names["best"].mixture.sum() == pytest.approx(1.0)


@pytest.mark.parametrize("k", range(5))
def test_the_programs_on_networks_run(k, plain_promotion):
    found = programs("docs/networks.md")
    assert len(found) == 5
    names = {}
    exec(found[k], names)
    if "state" in names:
        assert int(names["state"].step) == 10


def test_the_program_on_methods_runs(plain_promotion):
    (program,) = programs("docs/methods.md")
    exec(program, {})


def test_the_readmes_first_two_commands_are_the_set_up():
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert blocks[0].strip() == "pip install -e . && ensgan train"
    assert blocks[1].strip() == "pip install -e '.[test]' && pytest"


def test_the_readme_names_every_command_configuration_and_pairing():
    text = (ROOT / "README.md").read_text()
    for name in (*cli.COMMANDS, *shipped(), *pairing.PAIRINGS):
        assert f"`{name}`" in text or f"ensgan {name}" in text, name
    assert len(losses.LOSSES) == 7
    assert set(penalties.PENALTIES) == {"none", "r1", "r2", "r1_r2", "gradient_penalty"}
    assert {"none", "diff_augment", "adaptive"} <= set(augment.AUGMENTS)


@pytest.mark.parametrize("file", DOCUMENTS, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_what_a_document_names_exists(file):
    """Links, files in backticks, and names of the package with their dots."""
    text = file.read_text()
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (file.parent / link).exists(), f"a link to {link}"
    places = [file.parent, ROOT, ROOT / "ensgan", ROOT / "benchmarks"]
    for name in re.findall(r"(?<!\[)`([\w/]+\.(?:py|sh|toml|md))`", text):
        assert any((place / name).exists() for place in places), name
    for name in re.findall(r"\bensgan\.[a-z][\w.]*\w", text):
        pkgutil.resolve_name(name)


def test_the_map_of_the_design_is_the_layout():
    floors = [set() for _ in FLOORS]
    rows = re.findall(r"^\| (\d) \| ([^|]+) \|", (ROOT / "docs" / "design.md").read_text(), re.M)
    for floor, wings in rows:
        floors[int(floor)] |= set(re.findall(r"`(\w+)/?`", wings))
    assert floors == [set(names) for names in FLOORS]


def test_launch_files_are_well_formed(tmp_path):
    text = (ROOT / "docs" / "clusters.md").read_text()
    shell, documents = re.findall(r"```sh\n(.*?)```", text, re.S), re.findall(r"```yaml\n(.*?)```", text, re.S)
    kinds = [each["kind"] for each in yaml.safe_load_all(documents[0])]
    assert kinds == ["Service", "Job"]
    (inside,) = [each for each in yaml.safe_load_all(documents[0]) if each["kind"] == "Job"]
    shell.append(inside["spec"]["template"]["spec"]["containers"][0]["args"][0])
    for program in shell:
        assert subprocess.run(["bash", "-n"], input=program, text=True).returncode == 0
        flags = set(re.findall(r" (--[a-z-]+)(?= |$)", "".join(re.findall(r"ensgan (?:train|resume).*", program))))
        known = {f"--{f.name.replace('_', '-')}" for f in dataclasses.fields(distributed.Processes)} | {
            "--data-dir",
            "--run-dir",
        }
        assert flags <= known, flags - known


def test_the_slurm_job_resumes_and_requeues(tmp_path):
    text = (ROOT / "docs" / "clusters.md").read_text()
    job = next(block for block in re.findall(r"```sh\n(.*?)```", text, re.S) if "#SBATCH" in block)
    for name, body in (("srun", 'echo "$@"; exit 143'), ("scontrol", 'echo "scontrol $@"')):
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    run = tmp_path / "run"
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "RUN": str(run), "SLURM_JOB_ID": "7"}
    said = []
    for _ in range(2):
        done = subprocess.run(["bash", "-c", job], env=env, capture_output=True, text=True)
        assert done.returncode == 143
        said.append(done.stdout.splitlines())
        run.mkdir(exist_ok=True)
        (run / "config.json").write_text("{}")
    assert " ensgan train mnist_dcgan " in said[0][0]
    assert f" ensgan resume {run} --distributed" in said[1][0]
    assert said[1][1] == "scontrol requeue 7"
