"""Samples of the same noise over training, on a page: a few of the pictures in `progress`, shrunk until they fit."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from ensgan.reporting.figures import thin
from ensgan.reporting.files import RunFiles
from ensgan.reporting.page import Figure, Section, data_address

MOST = 16  # pictures on the page
FRAME_BYTES = 1_200_000  # of all of them
PIXELS = 400_000  # of one, where that fits into the bytes
LEAST = 10_000  # smaller ones show nothing


def frames(directory: Path) -> list[Path]:
    """The pictures in the order of their steps, which are their names."""
    return sorted(path for path in RunFiles(directory).progress.glob("*.png") if path.stem.isdecimal())


def film_sections(directory: Path, style: str) -> list[Section]:
    """The section with the pictures, of which the reader chooses one; none where there are fewer than two.

    Args:
        directory: that of the run.
        style: of its pictures, as in `page.Figure`.
    """
    every = frames(directory)
    chosen = [every[k] for k in thin(len(every), MOST)] if every else []
    pictures = {int(path.stem): image for path in chosen if (image := _read(path)) is not None}
    if len(pictures) < 2:
        return []
    pixels = PIXELS
    encoded = {step: _small(image, pixels) for step, image in pictures.items()}
    while (size := sum(map(len, encoded.values()))) > FRAME_BYTES and pixels > LEAST:
        pixels = max(LEAST, int(0.8 * pixels * FRAME_BYTES / size))  # bytes grow about as pixels do
        encoded = {step: _small(image, pixels) for step, image in pictures.items()}
    reals = "in grey" if style == "drawing" else "below"
    note = f"Samples of the same noise, with the reals {reals}. The arrow keys move from step to step."
    largest = max(image.width * image.height for image in pictures.values())
    thinned = f"{len(pictures)} of {len(every)} pictures" if len(pictures) < len(every) else ""
    shrunk = "made smaller" if largest > pixels else ""
    if done := ", ".join(filter(None, (thinned, shrunk))):
        note += f" To keep the page small: {done}; the folder progress has them as they were."
    film = [
        Figure(f"step {step:,}", f"samples at step {step:,}", data_address(content, "webp"), style=style)
        for step, content in encoded.items()
    ]
    return [Section("Samples over training", [note], film=film)]


def _read(path: Path) -> Image.Image | None:
    """A picture; None where it cannot be read."""
    try:
        with Image.open(path, formats=("PNG",)) as image:
            return image.convert("RGB")
    except (OSError, ValueError):
        return None


def _small(image: Image.Image, pixels: int) -> bytes:
    """The picture with at most so many pixels, as WebP."""
    scale = min(1.0, (pixels / (image.width * image.height)) ** 0.5)
    size = (max(1, round(scale * image.width)), max(1, round(scale * image.height)))
    buffer = io.BytesIO()
    image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2).save(buffer, "WEBP", quality=80, method=2)
    return buffer.getvalue()
