"""Archives of small images, and shards of WebDataset."""

import io
import tarfile
import zipfile

import numpy as np
from PIL import Image


def png(value, size=(6, 5)):
    file = io.BytesIO()
    pixels = np.random.default_rng(value).integers(0, 255, (*size[::-1], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, format="PNG")
    return file.getvalue()


FILES = {f"{word}/{k:02}.png": png(10 * j + k) for j, word in enumerate(("10", "2", "cat")) for k in range(8)}


def packed(path, files, top=""):
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in files.items():
                archive.writestr(top + name, content)
        return path
    with tarfile.open(path, f"w:{path.suffix[1:]}" if path.suffix != ".tar" else "w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(top + name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def unpacked(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def shard(path, samples):
    """A shard of WebDataset."""
    files = {f"{key}.{ending}": content for key, sample in samples.items() for ending, content in sample.items()}
    return packed(path, files)
