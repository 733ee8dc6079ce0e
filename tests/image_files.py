"""Random images, saved as files in folders."""

import numpy as np
from PIL import Image


def save(folder, images, label=None):
    for k, image in enumerate(images):
        inside = folder if label is None else folder / str(label[k])
        inside.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(inside / f"{k:04}.png")
    return folder


def pictures(num, seed, shape=(4, 4), low=0):
    return np.random.default_rng(seed).integers(low, 256, (num, *shape)).astype(np.uint8)


COLOURS = np.random.default_rng(0).integers(0, 256, (24, 4, 4, 3), np.uint8)


def fill(path, pixels=COLOURS, names="{:02d}.png"):
    """Write images; the name of image i is names.format(i)."""
    for i, image in enumerate(pixels):
        file = path / names.format(i)
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(file)
    return path
