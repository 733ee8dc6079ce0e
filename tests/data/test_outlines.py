"""Outlines: sources without their data."""

import gzip
import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from known_files import CONTENT

from ensgan import data
from ensgan.data import Source
from ensgan.types import InputError


def idx(x):
    return bytes([0, 0, 8, x.ndim]) + b"".join(n.to_bytes(4, "big") for n in x.shape) + x.astype(np.uint8).tobytes()


def files(tmp_path, name):
    """The options of a real source of 40 images, 6×6, or what else it always has."""
    from PIL import Image

    x = np.arange(40)[:, None, None] + np.zeros((40, 6, 6), np.uint8)
    if name in ("mnist", "stacked_mnist"):
        x = np.zeros((40, 28, 28), np.uint8)
        (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(x)))
        (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.arange(40) % 10))
        return {"path": tmp_path, "pad": 2}
    if name in CONTENT or name == "medmnist":
        for file, content in CONTENT["medmnist:bloodmnist" if name == "medmnist" else name].items():
            (tmp_path / file).write_bytes(content)
        return {"path": tmp_path}
    if name == "table":
        (tmp_path / "t.csv").write_text("a,b,c\n" + "1,2,3\n" * 40)
        return {"path": tmp_path / "t.csv"}
    if name == "idx":
        (tmp_path / "x").write_bytes(idx(x))
        return {"path": tmp_path / "x", "pad": 1}
    if name == "npz":
        np.savez(tmp_path / "x.npz", x=np.zeros((40, 3)))
        return {"path": tmp_path / "x.npz"}
    if name == "hf":
        from pyarrow import parquet, table

        cells = [io.BytesIO() for _ in x]
        for file, image in zip(cells, x.astype(np.uint8), strict=True):
            Image.fromarray(image).save(file, "PNG")
        rows = [{"bytes": file.getvalue(), "path": ""} for file in cells]
        parquet.write_table(table({"image": rows}), tmp_path / "train.parquet")
        return {"path": tmp_path, "size": 4, "channels": 3}
    for k, image in enumerate(x.astype(np.uint8)):
        Image.fromarray(image).save(tmp_path / f"{k:02}.png")
    return {"path": tmp_path, "size": 4, "channels": 3}


SHAPES = {"idx": (8, 8, 1), "npz": (3,), "table": (3,)}  # of those that only the files know


@pytest.mark.parametrize("name", sorted(set(data.SOURCES) - {"tfds"}))  # which only its own library writes
def test_outlines_are_the_shapes_of_the_real_sources(name, tmp_path, key):
    here = name in ("ring", "grid", "digits", "stacked_digits")
    options = {} if here else files(tmp_path, name)
    real = data.SOURCES[name](**options)
    count = 40 if name == "stacked_mnist" else sum(n or 0 for n in real.num.values())
    known = {} if here else {"num": count, "shape": SHAPES.get(name)}
    there = data.outline(name, **{**options, "path": "nowhere"} if options else {}, **known)
    form = lambda tree: jax.tree.map(lambda leaf: (leaf.shape, str(leaf.dtype)), tree)
    assert form(there.arrays["train"]) == form(real.arrays["train"])
    assert (there.shape, there.num, there.classes) == (real.shape, real.num, real.classes)
    keys = jax.random.split(key, 5)
    drawn = [source.draw(jax.tree.map(jnp.asarray, real.arrays["train"]), keys) for source in (there, real)]
    jax.tree.map(np.testing.assert_array_equal, *drawn)
    if not here:
        with pytest.raises(InputError, match="has no samples, so none can be held out"):
            there.held_out("select", 3)


def test_every_source_has_an_outline():
    assert set(data.OUTLINES) == set(data.SOURCES)
    assert data.OUTLINES["tfds"] is data.OUTLINES["hf"]  # both are read as a table of images
    with pytest.raises(InputError, match="unknown data 'cats'"):
        data.outline("cats")
    for shape in ((0, 4, 1), (4, 4), (4, 4, 5)):
        with pytest.raises(InputError, match="expected H,W,C with 1 to 4 channels for images, or D for points"):
            data.outline("npz", shape=shape)


@pytest.mark.parametrize(("options", "streamed"), [({"num": 10**6}, True), ({}, False), ({"resident": False}, True)])
def test_large_folders_are_streamed(options, streamed):
    source = data.outline("folder", size=64, channels=3, **options)
    assert isinstance(source, Source)
    assert (source.draw is None) == streamed
