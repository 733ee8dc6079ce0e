"""The layout, read from the syntax tree: wings on floors, no circle, nothing private across files."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import ensgan

PACKAGE = Path(ensgan.__file__).parent
FLOORS = [  # a wing imports from lower floors, and from its own
    ["types", "environment"],
    [
        "networks",
        "losses",
        "pairing",
        "penalties",
        "augment",
        "decays",
        "optim",
        "pace",
        "data",
        "metrics",
        "refine",
        "devices",
        "reporting",
    ],
    ["game"],
    ["sampling", "testing"],
    ["evaluation", "schedules", "training"],
    ["runs"],
    ["cli"],
    ["__init__"],
]
FLOOR = {name: height for height, names in enumerate(FLOORS) for name in names}


def name_of(path):
    """`ensgan/game/step.py` is `game.step`, and a package's own file is named as the package is."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


TESTS = Path(__file__).parent
SPANNING = {  # files of tests whose subject is in several modules, and why these tests stay together
    "configs": "a configuration names plugs of every wing",
    "docs": "documents speak of everything",
    "malformed": "wrong input meets whatever reads it",
    "release": "version, bounds and the public check belong to the whole project",
    "security": "one promise for everything that is read from outside",
    "structure": "the layout of the whole package",
    "cli.commands": "one run goes through one command after another",
    "cli.environment": "encodings, closed output and odd paths meet every command",
    "game.heads_elsewhere": "common stages meet everything that a game can do",
    "losses.losses": "one contract for all losses of the table",
    "metrics.distances": "all distances refuse the same samples, and other packages have several of them",
    "networks.networks": "one check for all networks of the tables",
    "pairing.pairing": "one contract for all pairings of the table",
    "refine.refine": "all methods give the same target, and refuse alike",
    "reporting.browser": "a browser sees what page, html and the comparison made together",
    "runs.cloud": "what is at an address meets every command, and a network between",
    "runs.damage": "any file of a run may be damaged",
    "runs.kills": "a kill may come at any moment of a run",
    "runs.torch_weights": "a page of the documents loads what an export wrote",
    "runs.labels": "the classes of a conditional run appear in its pages and in all commands",
    "schedules.schedules": "one contract for all schedules of the table",
}
FILES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py")) if "configs" not in path.parts}
TREES = {name: ast.parse(path.read_text()) for name, path in FILES.items()}


def wing(name):
    return name.split(".")[0]


def imports(tree):
    """The modules of the package that a file imports, and what it takes from each."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "ensgan":
            source = ".".join(node.module.split(".")[1:])
            for alias in node.names:
                inner = f"{source}.{alias.name}".lstrip(".")
                yield (inner, None) if inner in FILES else (source or "__init__", alias.name)
        elif isinstance(node, ast.Import):
            yield from ((alias.name.split(".", 1)[1], None) for alias in node.names if alias.name.startswith("ensgan."))


def test_every_wing_has_a_floor():
    assert {wing(name) for name in FILES} == set(FLOOR)


def test_imports_go_down():
    wrong = []
    for name, tree in TREES.items():
        for other, _ in imports(tree):
            if wing(other) != wing(name) and FLOOR[wing(other)] > FLOOR[wing(name)]:
                wrong.append(f"{name} imports {other}, which is above it")
    assert not wrong


def test_there_is_no_circle():
    """Neither between files nor between wings; a package's own file is what it re-exports, so it is above its files."""
    files = {name: {other for other, _ in imports(tree)} - {name} for name, tree in TREES.items()}
    for name in files:
        # `from ensgan.data import Source` inside of `data` would be a circle through the package itself.
        assert not any(other == wing(name) and "." in name for other in files[name]), name
    tuple(TopologicalSorter(files).static_order())
    wings = {}
    for name, others in files.items():
        wings.setdefault(wing(name), set()).update(wing(other) for other in others if wing(other) != wing(name))
    tuple(TopologicalSorter(wings).static_order())


def test_nothing_private_is_imported():
    private = [
        f"{name} imports {taken} of {other}"
        for name, tree in TREES.items()
        for other, taken in imports(tree)
        if taken is not None and taken.startswith("_")
    ]
    assert not private


@pytest.mark.parametrize("name", [name for name in FILES if wing(name) != "networks"])
def test_files_and_functions_have_one_subject(name):
    text = FILES[name].read_text()
    assert text.count("\n") <= 300, "split the file by subject"
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.FunctionDef):
            length = node.end_lineno - node.lineno + 1
            assert length <= 80, f"{node.name} has {length} lines"
            arguments = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
            count = len([each for each in arguments if each.arg not in ("self", "cls")])
            assert count <= 8 or wing(name) == "cli", f"{node.name} takes {count} parameters"


def test_tests_mirror_the_wings():
    """`tests/game/test_step.py` tests `ensgan/game/step.py`; helpers are in `tests` itself, fixtures in a conftest."""
    files = [path.relative_to(TESTS) for path in sorted(TESTS.rglob("*.py"))]
    tested = {".".join((*path.parts[:-1], path.stem[5:])) for path in files if path.stem.startswith("test_")}
    assert not [name for name in tested if name not in FILES and name not in SPANNING], "no module has this name"
    assert not [name for name in SPANNING if name not in tested or name in FILES], "this needs no exception"
    helpers = [path for path in files if not path.stem.startswith("test_") and path.name != "conftest.py"]
    assert not [str(path) for path in helpers if len(path.parts) > 1], "helpers are in the folder tests itself"


def does_something(tree):
    """Whether a file has functions, and not declarations alone, such as tuples, tables and what it re-exports."""
    return any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) for node in ast.walk(tree))


def test_what_does_something_has_a_file_of_tests():
    """There is no list of exceptions: what is hard to test alone is small functions that nobody has named yet."""
    lacking = []
    for name in (name for name, tree in TREES.items() if does_something(tree)):
        *wings, file = name.split(".")
        inside = [name] if name in FLOOR else wings  # `tests/losses/test_losses.py` tests what `losses` itself does
        if not any(TESTS.joinpath(*place, f"test_{file}.py").is_file() for place in (wings, inside)):
            lacking.append(name)
    assert not lacking


@pytest.mark.parametrize("path", sorted(TESTS.rglob("*.py")), ids=lambda path: str(path.relative_to(TESTS)))
def test_files_of_tests_have_one_subject(path):
    text = path.read_text()
    assert text.count("\n") <= 400, "split the file by the modules that it tests"
    assert ast.get_docstring(ast.parse(text))


@pytest.mark.parametrize("name", FILES)
def test_every_file_says_its_subject(name):
    assert ast.get_docstring(TREES[name])


def test_no_public_function_hides_a_module():
    for name in set(ensgan.__all__) & set(FLOOR):
        assert isinstance(getattr(ensgan, name), type(ast)), f"ensgan.{name} should be the module"


def test_one_library_one_place():
    homes = {"orbax": "runs.checkpoint", "matplotlib": "reporting", "jsonargparse": ("cli", "runs.parsing")}
    for library, home in homes.items():
        users = [
            name
            for name, path in FILES.items()
            if f"import {library}" in path.read_text() or f"from {library}" in path.read_text()
        ]
        assert all(user.startswith(home) for user in users), (library, users)


def test_importing_makes_no_array_and_loads_no_plotting():
    code = (
        "import sys, ensgan, jax; "
        "assert not jax.live_arrays(), jax.live_arrays(); "
        "heavy = {'matplotlib', 'sklearn', 'grain', 'tensorboardX', 'wandb', 'orbax.checkpoint'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
