"""Configurations by name: the files that ship with the package, and the user's own."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path

from ensgan.types import InputError, unknown

DEFAULT = "digits_heads"


def shipped(folder: str = "") -> dict[str, Path]:
    """The configurations that ship with the package, by name; those of a folder of them, such as `methods`, apart."""
    root = Path(str(resources.files("ensgan.configs")))
    return {f"{folder}{'/' * bool(folder)}{path.stem}": path for path in sorted((root / folder).glob("*.toml"))}


def file_of(name: str | None) -> Path:
    """The file of a configuration: a path, or a name; None is the default.

    Raises:
        InputError: there is none.
    """
    name = DEFAULT if name is None else name
    path = Path(os.path.expanduser(name))
    if path.suffix or path.is_file():
        if not path.is_file():
            raise InputError(f"there is no configuration {name}; give a .toml file, or one of: {', '.join(shipped())}")
        return path
    known = {**shipped(), **shipped("methods")}
    if name not in known:
        shown = shipped("methods") if "/" in name else [*shipped(), "methods/NAME of `ensgan methods`"]
        raise unknown("configuration", name, shown)
    return known[name]
