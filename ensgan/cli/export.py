"""`ensgan export`: members and mixtures as files that run without this library."""

from __future__ import annotations

from pathlib import Path

from ensgan.cli import choices
from ensgan.runs import export as exports
from ensgan.runs.config import to_dict
from ensgan.runs.restore import opened
from ensgan.types import InputError


def export(run: Path, *, to: str | None = None, from_: str | None = None, overwrite: bool = False) -> None:
    """Write a generator, the mixture or a discriminator as files that run without ensgan.

    Args:
        run: the run's folder.
        to: folder to make.
        from_: best, mixture, member:I or discriminator:J (default: mixture if members are parts, else best).
        overwrite: replace the export that is in the folder.
    """
    if not to:
        raise InputError("--to is missing; give a folder to make")
    directory = Path(to)
    exports.check_target(directory, overwrite)
    found = opened(run)
    kind, _, index = (from_ or "").partition(":")
    if kind == "discriminator":
        j = choices.member("discriminator", index, found.game.N)
        portable, text = exports.judge(found.game, found.state, j), f"discriminator {j}"
    else:
        weights, text = choices.weights(from_, found, ", or discriminator:J")
        portable = exports.sampler(found.game, found.state, weights)
    about = {"what": text, "step": int(found.state.step), "run": to_dict(found.config)}
    exports.write(portable, directory, overwrite=overwrite, about=about)
    print(f"{directory} holds {text}: {', '.join(sorted(path.name for path in directory.iterdir()))}")
