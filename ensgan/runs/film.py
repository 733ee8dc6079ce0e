"""Samples of the same noise over training: the picture at each score, and all of them as `progress.gif`."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from ensgan.reporting.files import RunFiles, write_atomically
from ensgan.reporting.frames import frames

FRAMES = 60  # most pictures; beyond them, every second one goes
LONGEST = 480  # pixels of a side in the film
COLOURS = 128
PAUSE = 200  # milliseconds of a picture; the last stays ten times as long


def keep_frame(directory: Path, step: int) -> None:
    """Keeps the picture of samples as that of a step; pictures of later steps are of a run that was stopped."""
    files = RunFiles(directory)
    if not files.picture.is_file():
        return
    files.progress.mkdir(exist_ok=True)
    for frame in frames(directory):
        if int(frame.stem) > step:
            frame.unlink()
    write_atomically(files.progress / f"{step:08}.png", files.picture.read_bytes())
    kept = frames(directory)
    if len(kept) > FRAMES:
        for frame in kept[1:-1:2]:
            frame.unlink()


def write_film(directory: Path) -> None:
    """Writes `progress.gif` if there are two pictures or more; one that cannot be read is left out."""
    pictures = []
    for frame in frames(directory):
        try:
            with Image.open(frame, formats=("PNG",)) as image:
                image.thumbnail((LONGEST, LONGEST))
                pictures.append(image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE))
        except OSError:
            continue
    pictures = [picture for picture in pictures if picture.size == pictures[0].size]
    if len(pictures) < 2:
        return
    content = io.BytesIO()
    times = [PAUSE] * (len(pictures) - 1) + [10 * PAUSE]
    pictures[0].save(content, format="GIF", save_all=True, append_images=pictures[1:], duration=times, loop=0)
    write_atomically(RunFiles(directory).film, content.getvalue())
