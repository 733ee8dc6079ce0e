"""Exports: files that draw samples or give logits where this library is not installed.

An export is a folder with `config.json`, a model card, and the files of a format. Nothing is pickled, and nothing in it
is run when it is read.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax

from ensgan.reporting.files import write_atomically, write_json
from ensgan.runs import directory as rundir
from ensgan.runs import onnx_file
from ensgan.runs.portable import Portable, judge, sampler
from ensgan.types import InputError, unknown

__all__ = ["FORMATS", "Format", "check_target", "judge", "sampler", "write"]

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
WEIGHTS, ABOUT, CARD = "weights.safetensors", "config.json", "README.md"
KINDS = ("generate", "score")


class Format(NamedTuple):
    """One way to write a function.

    Attributes:
        extra: the extra of this package that it needs.
        packages: what that extra installs, as it is imported.
        make: `make(portable, batch)`, the content of its files by name, and what `config.json` says of the function.
            `batch` is a fixed number of samples, or None for any.
        files: all names that it may give to files.
    """

    extra: str
    packages: tuple[str, ...]
    make: Callable[[Portable, int | None], tuple[dict[str, bytes], dict[str, Any]]]
    files: tuple[str, ...]


def _with_jax(portable: Portable, batch: int | None) -> tuple[dict[str, bytes], dict[str, Any]]:
    """The weights as safetensors, and a compiled function that any JAX loads by `jax.export.deserialize`."""
    from jax import export
    from safetensors.numpy import save

    inputs = portable.inputs(export.symbolic_shape("b")[0] if batch is None else batch)
    shapes = {name: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for name, leaf in portable.tensors.items()}
    exported = export.export(jax.jit(portable.call), platforms=PLATFORMS)(shapes, *inputs.values())
    file = f"{portable.kind}.jaxexport"
    function = {
        "file": file,
        "inputs": {"weights": WEIGHTS, **onnx_file.described(inputs)},
        "output": onnx_file.described({"": exported.out_avals[0]})[""],
        "platforms": list(exported.platforms),
        "calling_convention": exported.calling_convention_version,
    }
    return {WEIGHTS: save(portable.tensors), file: bytes(exported.serialize())}, function


FORMATS = {
    "jax": Format(
        "export", ("safetensors", "flatbuffers"), _with_jax, (WEIGHTS, *(f"{kind}.jaxexport" for kind in KINDS))
    ),
    "onnx": Format("onnx", ("onnx", "onnxruntime"), onnx_file.make, tuple(f"{kind}.onnx" for kind in KINDS)),
}


def check_target(directory: Path, overwrite: bool, format: str = "jax") -> None:
    """Raises InputError where an export cannot be written: packages are missing, or something would be lost."""
    if format not in FORMATS:
        raise InputError(f"{unknown('format', format, FORMATS)}; jax writes the weights as safetensors")
    for package in FORMATS[format].packages:
        if importlib.util.find_spec(package) is None:
            raise InputError(f"exports need {package}: pip install 'ensgan[{FORMATS[format].extra}]'")
    if not directory.exists():
        return
    if not directory.is_dir():
        raise InputError(f"{directory} is a file; give a folder for the export")
    if any(directory.iterdir()) and not _is_export(directory / ABOUT):
        raise InputError(f"{directory} holds files that are not an export, so it is left alone; choose another folder")
    if not overwrite:
        raise InputError(f"{directory} already exists; choose another folder, or add --overwrite to replace it")


def write(
    portable: Portable,
    directory: Path,
    *,
    overwrite: bool = False,
    batch: int | None = None,
    about: Mapping[str, Any] | None = None,
    format: str = "jax",
    card: Callable[[Mapping[str, Any]], str] | None = None,
) -> dict[str, Any]:
    """Writes an export: the files of a format, `config.json`, and a model card if there is one.

    Args:
        portable: what `sampler` or `judge` made.
        directory: made if it is missing.
        overwrite: replace the export that it holds.
        batch: None for a function of any number of samples; a number fixes it, for networks that JAX cannot trace
            without one.
        about: more to say in `config.json`.
        format: one of FORMATS.
        card: `card(record)`, the text of the model card, from the content of `config.json`.

    Returns:
        The content of `config.json`.

    Raises:
        InputError: a package is missing, the folder holds something, or the format has no form for the function.
    """
    check_target(directory, overwrite, format)
    files, function = FORMATS[format].make(portable, batch)
    record = {"export": portable.kind, "format": format, "function": function, **portable.about, **(about or {})}
    record["versions"] = rundir.versions()
    texts = {} if card is None else {CARD: card(record).encode()}
    directory.mkdir(parents=True, exist_ok=True)
    for name in (CARD, *(name for each in FORMATS.values() for name in each.files)):
        (directory / name).unlink(missing_ok=True)
    for name, content in {**files, **texts}.items():
        write_atomically(directory / name, content)
    write_json(directory / ABOUT, record)
    return record


def _is_export(file: Path) -> bool:
    try:
        return json.loads(file.read_text(encoding="utf-8")).get("export") in KINDS
    except (OSError, ValueError, AttributeError, RecursionError):
        return False
