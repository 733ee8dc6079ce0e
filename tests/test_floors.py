"""The import rule, read from the syntax tree: a file imports only from lower floors."""

import ast
import subprocess
import sys
from pathlib import Path

import ensgan

PACKAGE = Path(ensgan.__file__).parent
FLOORS = [
    ["types", "methods"],
    ["mesh", "counting", "metagame", "ratings", "processes", "calibration", "torch_files"],
    [
        "config",
        "networks",
        "losses",
        "penalties",
        "augment",
        "pairing",
        "optim",
        "refine",
        "metrics",
        "inception",
        "data",
        "checkpoint",
        "reporting",
    ],
    ["population", "rundir", "features", "mixtures"],
    ["scoring", "comparison"],
    ["game"],
    ["coverage", "draws", "faults", "replicas"],
    ["rounds", "refining"],
    ["regularization", "sampling"],
    ["step"],
    ["dispatch", "selection", "evaluation"],
    ["schedules", "combine", "records", "gallery", "exporting"],
    ["training", "plan"],
    ["runs", "testing", "joining"],
    ["choices"],
    ["judging", "measuring"],
    ["drawing"],
    ["cli"],
    ["__init__"],
]
FLOOR = {name: height for height, names in enumerate(FLOORS) for name in names}


def module(path):
    """The module of the package that a file belongs to: a folder is one module."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "ensgan":
            parts = node.module.split(".")
            yield from [parts[1]] if len(parts) > 1 else [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith("ensgan."))


def files():
    return [path for path in sorted(PACKAGE.rglob("*.py")) if "configs" not in path.parts]


def test_every_module_has_a_floor_and_every_floor_a_module():
    assert {module(path) for path in files()} == set(FLOOR)


def test_imports_go_down():
    wrong = []
    for path in files():
        here = module(path)
        for name in imported(path):
            name = name if name in FLOOR else "__init__"  # a public name of the package
            if name != here and FLOOR[name] >= FLOOR[here] and here != "cli":
                wrong.append(f"{path.relative_to(PACKAGE)} imports {name}")
    assert not wrong


def test_no_public_function_hides_a_module():
    for name in set(ensgan.__all__) & set(FLOOR):
        assert isinstance(getattr(ensgan, name), type(ast)), f"ensgan.{name} should be the module"


def test_one_library_one_place():
    for library, home in (("orbax", "checkpoint"), ("matplotlib", "reporting"), ("jsonargparse", None)):
        users = {
            module(path)
            for path in files()
            if f"import {library}" in path.read_text() or f"from {library}" in path.read_text()
        }
        assert users <= ({home} if home else {"config", "cli"}), library


def test_importing_makes_no_array_and_loads_no_plotting():
    code = (
        "import sys, ensgan, jax; "
        "assert not jax.live_arrays(), jax.live_arrays(); "
        "heavy = {'matplotlib', 'sklearn', 'grain', 'tensorboardX', 'wandb', 'orbax.checkpoint'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_every_file_says_its_subject():
    for path in files():
        assert ast.get_docstring(ast.parse(path.read_text())), path
