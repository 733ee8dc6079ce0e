"""Pictures of a run: samples of every generator beside reals, as blocks of images or panels of points."""

from __future__ import annotations

import io
import math
from collections.abc import Collection, Sequence
from pathlib import Path
from shlex import quote
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ensgan.reporting.colors import member_color
from ensgan.reporting.figures import FAINT, INK, PANEL, reliability, scatter_panel
from ensgan.reporting.files import RunFiles, read_json, write_atomically
from ensgan.types import InputError

# Layout of a sample picture, in pixels.
CELL = 64  # the least height of one sample
GAP = 4  # between samples
MARGIN = 8  # around the picture
GUTTER = 112  # for the labels on the left
HEADER = 20  # for the numbers of classes above
BLOCK_GAP = 16  # between generators
REAL_GAP = 48  # between the last generator and the reals; the line runs in its middle
COLUMNS = 16  # most samples in a row

WAITS = "not in use"  # beside a slot that waits for its member
BACKGROUND = (236, 238, 241)  # neither black nor white, so that the edges of digits and of photographs show


class Samples(NamedTuple):
    """The content of `samples.npz`: images uint8 `[..., H, W, C]` or points `[..., 2]`."""

    generators: np.ndarray  # [M, n, ...]
    real: np.ndarray  # [n, ...]
    step: int
    classes: int = 0  # where samples were told a class: how many are shown, in turn, or 0
    takes_part: np.ndarray | None = None  # bool [M], who is no empty slot; None is all
    class_names: tuple[str, ...] = ()  # of those classes; empty where they are numbers

    def waits(self, index: int) -> bool:
        """Whether generator `index` is not in use: it neither plays nor belongs to the mixture."""
        return self.takes_part is not None and not self.takes_part[index]


def load_samples(run_dir: str | Path) -> Samples:
    """Read `samples.npz` of a run.

    Raises:
        InputError: the file is missing, is damaged, or holds something else.
    """
    path = RunFiles(run_dir).samples
    if not path.is_file():
        raise InputError(f"no samples at {path}")
    try:
        # numpy leaves a damaged file open when it is the one that opened it.
        with path.open("rb") as file, np.load(file) as arrays:
            classes = int(arrays["classes"]) if "classes" in arrays else 0
            takes_part = np.asarray(arrays["takes_part"], bool) if "takes_part" in arrays else None
            names = tuple(map(str, arrays["class_names"])) if "class_names" in arrays else ()
            samples = Samples(arrays["generators"], arrays["real"], int(arrays["step"]), classes, takes_part, names)
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise InputError(
            f"{path} cannot be read as samples: {error}; remove it, and the report goes without"
        ) from error
    _check(samples.generators, samples.real)
    told, held = samples.takes_part, len(samples.generators)
    if told is not None and told.shape != (held,):
        raise InputError(f"{path} has flags for {told.size} generators but samples of {held}")
    return samples


def write_samples(run_dir: str | Path) -> Path:
    """Draw `samples.png` from `samples.npz` in a run directory, and return its path.

    Raises:
        InputError: `samples.npz` is missing or holds something else.
    """
    samples = load_samples(run_dir)
    path = RunFiles(run_dir).picture
    waits = [i for i in range(len(samples.generators)) if samples.waits(i)]
    named = samples.class_names or range(samples.classes)
    picture = sample_picture(samples.generators, samples.real, classes=list(map(str, named)), waits=waits)
    write_atomically(path, png(picture))
    return path


def write_reliability(run_dir: str | Path) -> Path:
    """Draw `reliability.png` from `judge.json` in a run directory, and return its path.

    Raises:
        InputError: `judge.json` is missing or holds something else.
    """
    record = load_judge(run_dir)
    path = RunFiles(run_dir).reliability
    write_atomically(path, png(reliability(record["before"], record["after"])))
    return path


def load_judge(run_dir: str | Path) -> dict[str, Any]:
    """Read `judge.json` of a run: what a judge was fitted against, and its quality before and after calibration.

    Raises:
        InputError: the file is missing, is damaged, or holds something else.
    """
    path = RunFiles(run_dir).judge
    if not path.is_file():
        raise InputError(f"no judge at {path}; `ensgan judge {quote(str(run_dir))}` makes one")
    try:
        record = read_json(path)
        for kind in ("before", "after"):
            for key in ("predicted", "observed", "count"):
                record[kind][key] = np.array(record[kind][key], float)  # null becomes NaN
            record[kind] |= {key: float(record[kind][key]) for key in ("brier", "error", "z")}
        return {**record, **{key: record[key] for key in ("rule", "calibrate", "sampler", "step")}}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path} cannot be read as a judge: {error!r}; write it again with `ensgan judge`") from error


def sample_picture(
    generators: Any, real: Any, scale: int | None = None, classes: Sequence[str] = (), waits: Collection[int] = ()
) -> Image.Image:
    """Samples of every generator and reals, labelled, in one picture.

    Images are enlarged without smoothing and stand in blocks, one generator below the other, the reals last. Where
    images have classes, each row runs through them, under their names.
    Points are scatter panels side by side, with the reals in grey beneath.

    Args:
        generators: images uint8 `[M, n, H, W, C]`, or points `[M, n, 2]`. Of two channels the first is drawn, of four
            the first three as RGB.
        real: the same of the data, `[n, ...]`; its n may differ.
        scale: how many pixels one pixel becomes; None makes a sample at least 64 pixels high.
        classes: the names of the classes, which repeat in order along the images, if there are any.
        waits: numbers of the generators that are not in use, which are marked.

    Raises:
        InputError: the arrays are neither images nor points, or do not fit each other.
    """
    generators, real = np.asarray(generators), np.asarray(real)
    if _check(generators, real) == "points":
        return _panels(generators, real, waits)
    return _blocks(generators, real, scale or math.ceil(CELL / real.shape[1]), classes, waits)


def tile(images: np.ndarray, columns: int, gap: int) -> np.ndarray:
    """Images `[n, H, W, C]` row by row on a grey ground, `gap` pixels apart: uint8 `[height, width, 3]`.

    Of two channels the first is drawn, of four the first three as RGB.
    """
    images = _drawn(images)
    n, height, width, _ = images.shape
    rows = math.ceil(n / columns)
    sheet = np.empty((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), np.uint8)
    sheet[:] = BACKGROUND
    for index, image in enumerate(images):
        y, x = index // columns * (height + gap), index % columns * (width + gap)
        sheet[y : y + height, x : x + width] = image  # one channel fills three
    return sheet


def thumbnails(images: np.ndarray, pixels: int) -> np.ndarray:
    """So many of the images `[n, H, W, C]` as `pixels` allow, 4 to 36; large ones are shrunk until 4 fit."""
    images = _drawn(images)
    _, height, width, _ = images.shape
    shrink = math.ceil(math.sqrt(4 * height * width / pixels))
    if shrink > 1:
        # One channel has no axis of its own in Pillow.
        whole = [Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image) for image in images[:4]]
        images = np.stack([np.atleast_3d(np.asarray(image.reduce(shrink))) for image in whole])
    return images[: min(36, max(4, pixels // (height * width)))]


def png(picture: Image.Image | np.ndarray) -> bytes:
    """A picture, or uint8 `[H, W, 3]`, as a PNG file."""
    buffer = io.BytesIO()
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _drawn(images: np.ndarray) -> np.ndarray:
    """The channels that a picture has: an opacity, as the second of two or the fourth of four, is left out."""
    return images[..., :1] if images.shape[-1] == 2 else images[..., :3]


def _check(generators: np.ndarray, real: np.ndarray) -> str:
    seen = f"generators {generators.dtype} {generators.shape} and real {real.dtype} {real.shape}"
    if generators.ndim != real.ndim + 1 or generators.shape[2:] != real.shape[1:]:
        raise InputError(f"samples do not fit each other: {seen}; expected [M, n, ...] and [n, ...]")
    if 0 in generators.shape or 0 in real.shape:
        raise InputError(f"no samples to draw: {seen}")
    if real.ndim == 2 and real.shape[1] == 2:
        return "points"
    if real.ndim == 4 and real.shape[-1] in (1, 2, 3, 4) and real.dtype == generators.dtype == np.uint8:
        return "images"
    raise InputError(f"cannot draw {seen}; expected images uint8 [..., H, W, 1 to 4] or points [..., 2]")


def _blocks(
    generators: np.ndarray, real: np.ndarray, scale: int, classes: Sequence[str], waits: Collection[int]
) -> Image.Image:
    enlarge = lambda images: images.repeat(scale, axis=1).repeat(scale, axis=2)
    columns = len(classes) or min(COLUMNS, max(generators.shape[1], len(real)))
    sheets = [tile(enlarge(images), columns, GAP) for images in (*generators, real)]
    top = MARGIN + (HEADER if classes else 0)
    height = top + sum(map(len, sheets)) + BLOCK_GAP * (len(sheets) - 2) + REAL_GAP + MARGIN
    width = GUTTER + sheets[0].shape[1] + MARGIN
    picture = Image.new("RGB", (width, height), BACKGROUND)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(14)
    y, step = top, scale * real.shape[2] + GAP
    for k, name in enumerate(classes):
        middle = GUTTER + k * step + (step - GAP) // 2
        while font.getlength(name) > step - GAP and len(name) > 2:
            name = f"{name[:-2]}…"
        draw.text((middle, MARGIN + HEADER // 2), name, fill=INK, font=font, anchor="mm")
    for index, sheet in enumerate(sheets):
        is_real = index == len(generators)
        if is_real:
            y += REAL_GAP - BLOCK_GAP
            middle = y - REAL_GAP // 2
            draw.line((MARGIN, middle, width - MARGIN, middle), fill=INK, width=2)
        name = "real" if is_real else f"generator {index}"
        # Beside the first row, since a block may be taller than a screen.
        middle = y + scale * real.shape[1] // 2
        draw.text((MARGIN, middle), name, fill=FAINT if index in waits else INK, font=font, anchor="lm")
        if index in waits:
            draw.text((MARGIN, middle + 18), WAITS, fill=FAINT, font=font, anchor="lm")
        picture.paste(Image.fromarray(sheet), (GUTTER, y))
        y += len(sheet) + BLOCK_GAP
    return picture


def _panels(generators: np.ndarray, real: np.ndarray, waits: Collection[int]) -> Image.Image:
    columns = min(4, len(generators))
    rows = math.ceil(len(generators) / columns)
    picture = Image.new("RGB", (columns * PANEL, rows * PANEL), "white")
    for index, points in enumerate(generators):
        note = WAITS if index in waits else "reals in grey"
        panel = scatter_panel(points, real, member_color(index), f"generator {index} ({note})")
        picture.paste(panel, (index % columns * PANEL, index // columns * PANEL))
    return picture
