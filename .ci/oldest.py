"""Prints pip constraints for the lower bounds of pyproject.toml, of all dependencies or of those that are named."""

import re
import sys
import tomllib
from pathlib import Path

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def lowest(requirements: list[str]) -> dict[str, str]:
    """The lower bound of each requirement by the name of its package, without extras."""
    found = (re.match(r"([\w.-]+)(?:\[[\w,-]+\])?>=([\w.]+)", each) for each in requirements)
    return {match[1]: match[2] for match in found if match}


if __name__ == "__main__":
    bounds = lowest(PROJECT["dependencies"])
    if unknown := set(sys.argv[1:]) - set(bounds):
        sys.exit(f"no lower bound for {', '.join(sorted(unknown))}; known: {', '.join(bounds)}")
    for name in sys.argv[1:] or bounds:
        print(f"{name}=={bounds[name]}")
