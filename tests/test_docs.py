"""The programs in the documents run, and the documents name what there is."""

import dataclasses
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import jax
import jupytext
import pytest
import yaml
from test_structure import FLOORS

import ensgan
from ensgan import augment, losses, pairing, penalties
from ensgan.cli import distributed
from ensgan.cli import main as cli
from ensgan.cli.configurations import shipped

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
DOCUMENTS = [*ROOT.glob("*.md"), *PAGES, ROOT / "benchmarks" / "README.md"]
ELSEWHERE = {"export.md"}  # its program reads an export: tests/runs/test_export.py


def programs(file):
    """The Python blocks of a page, with few steps; one may use the names of those before it, as a reader would."""
    blocks = re.findall(r"^```python\n(.*?)^```", file.read_text(), re.S | re.M)
    return "\n".join(re.sub(r"steps=[\d_]{4,}", "steps=30", block) for block in blocks)


@pytest.fixture
def plain_promotion():
    # The programs of the documents are a user's: they run under the settings that a user has.
    jax.config.update("jax_numpy_rank_promotion", "allow")
    yield
    jax.config.update("jax_numpy_rank_promotion", "raise")


def test_the_program_of_the_readme_runs(plain_promotion):
    names = {}
    exec(programs(ROOT / "README.md"), names)
    assert names["x"].shape == (1024, 2)
    assert names["info"].loss_g.shape == names["info"].loss_d.shape == (4, 4)
    assert names["best"].fool.shape == names["best"].detect.shape == (4, 4)
    assert names["best"].mixture.sum() == pytest.approx(1.0)


WITH_PROGRAMS = [page for page in PAGES if programs(page) and page.name not in ELSEWHERE]


@pytest.mark.parametrize(
    "file", [page for page in WITH_PROGRAMS if page.parent.name != "notebooks"], ids=lambda file: file.stem
)
def test_the_programs_of_a_page_run(file, plain_promotion, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(programs(file), file.name, "exec"), {"__name__": "page"})


@pytest.mark.parametrize("file", sorted((ROOT / "docs" / "notebooks").glob("*.md")), ids=lambda file: file.stem)
def test_a_notebook_runs_as_it_is(file, tmp_path):
    """In a process of its own, with a user's settings: the notebook is as quick as it says."""
    cells = [cell.source for cell in jupytext.read(file).cells if cell.cell_type == "code"]
    assert len(cells) >= 3
    ours = ("JAX_", "XLA_", "ENSGAN_")
    settings = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    environment = settings | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", "\n".join(cells)], cwd=tmp_path, env=environment, check=True, timeout=600)


def test_the_reference_has_every_public_name():
    """A module's page shows its members, except functions that have the name of a file."""
    text = "".join(page.read_text() for page in (ROOT / "docs" / "api").glob("*.md"))
    shown = re.findall(r"^::: (\S+)$", text, re.M)
    assert len(shown) == len(set(shown))
    assert not {f"ensgan.{name}" for name in ensgan.__all__} - set(shown)
    for name in shown:
        found = pkgutil.resolve_name(name)
        for public in getattr(found, "__all__", ()):
            assert f"{name}.{public}" not in sys.modules or f"{name}.{public}.{public}" in shown, public


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
    several = yaml.safe_load(documents[1])
    assert several["kind"] == "JobSet"
    for job in (inside, several["spec"]["replicatedJobs"][0]["template"]):
        shell.append(job["spec"]["template"]["spec"]["containers"][0]["args"][0])
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
    for name, body in (("srun", 'echo "$@"; exit "$WITH"'), ("scontrol", 'echo "scontrol $@"')):
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    run = tmp_path / "run"
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "RUN": str(run), "SLURM_JOB_ID": "7"}

    def ends(code, restarts):
        given = {**env, "WITH": str(code), "SLURM_RESTART_COUNT": str(restarts)}
        done = subprocess.run(["bash", "-c", job], env=given, capture_output=True, text=True)
        assert done.returncode == code
        return done.stdout.splitlines()

    assert " ensgan train mnist_dcgan " in ends(143, 0)[0]
    run.mkdir()
    (run / "config.json").write_text("{}")
    for code, restarts, again in ((143, 0, True), (137, 19, True), (137, 20, False), (2, 0, False), (0, 0, False)):
        command, *rest = ends(code, restarts)
        assert f" ensgan resume {run} --distributed" in command
        assert rest == ["scontrol requeue 7"] * again
