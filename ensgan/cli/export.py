"""`ensgan export`: members and mixtures as files that run without this library."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ensgan.cli import choices
from ensgan.runs import export as exports
from ensgan.runs.card import model_card
from ensgan.runs.config import to_dict
from ensgan.runs.restore import opened
from ensgan.types import InputError


def export(
    run: Path,
    *,
    to: str | None = None,
    from_: str | None = None,
    format: str = "jax",
    overwrite: bool = False,
    classes: str | None = None,
    data_dir: str | None = None,
    from_step: str | None = None,
) -> None:
    """Write a generator, the mixture or a discriminator as files that run without ensgan.

    Args:
        run: the run's folder.
        to: folder to make.
        from_: best, mixture, member:I or discriminator:J (default: mixture if members are parts, else best).
        format: jax (weights as safetensors and a function that JAX loads), or onnx (one file, compared with JAX by
            onnxruntime).
        overwrite: replace the export that is in the folder.
        classes: law of the labels: training (the frequencies of the data), uniform, or one weight per class, such as
            0.2,0.8 (default: the run's own).
        data_dir: where the data are now (default: where they were).
        from_step: the step of the checkpoint to take, or best (default: the newest).
    """
    if not to:
        raise InputError("--to is missing; give a folder to make")
    directory = Path(to)
    exports.check_target(directory, overwrite, format)
    found = opened(run, data_dir, from_step)
    kind, _, index = (from_ or "").partition(":")
    if kind == "discriminator":
        j = choices.member("discriminator", index, found.game.N)
        portable, text = exports.judge(found.game, found.state, j), f"discriminator {j}"
    else:
        law = choices.law(classes, found)
        weights, text = choices.weights(from_, found, ", or discriminator:J", law)
        portable = exports.sampler(found.game, found.state, weights, classes=law)
    about: dict[str, Any] = {"what": text, "step": int(found.state.step), "run": to_dict(found.config)}
    if (names := choices.class_names(found)) is not None:
        about["class_names"] = list(names)
    card = lambda record: model_card(record, directory.resolve().name, found)
    record = exports.write(portable, directory, overwrite=overwrite, about=about, format=format, card=card)
    print(f"{directory} holds {text}: {', '.join(sorted(path.name for path in directory.iterdir()))}")
    if (checked := record["function"].get("checked")) is not None:
        far, n = checked["max_difference"], checked["samples"]
        print(f"{checked['runtime']} gives the same as JAX for {n} samples: largest difference {far:.2g}")
