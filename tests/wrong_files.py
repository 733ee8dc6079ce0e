"""Malformed files and arrays of data, as names and calls, and files that are good until they are damaged."""

import gzip
import io
import json
import random
import tarfile
import zipfile
from functools import partial

import numpy as np
from PIL import Image

from ensgan import data
from ensgan.evaluation import inception
from ensgan.evaluation.files import read_samples
from ensgan.evaluation.torch_files import read_tensors
from ensgan.reporting import read_metrics
from ensgan.runs import config
from ensgan.runs.export import check_target

X = np.random.default_rng(0).integers(0, 256, (40, 4, 4), dtype=np.uint8)
Y = (np.arange(40) % 3).astype(np.uint8)
POINTS = np.random.default_rng(1).normal(size=(30, 2)).astype(np.float32)
SEEDS = 3  # random damages of each file


def idx_bytes(x):
    return bytes([0, 0, 8, x.ndim]) + b"".join(int(size).to_bytes(4, "big") for size in x.shape) + x.tobytes()


def written(save, *args, **more):
    file = io.BytesIO()
    save(file, *args, **more)
    return file.getvalue()


def picture(pixels, kind="PNG"):
    return written(Image.fromarray(pixels).save, kind)


PICTURES = {f"{k % 2}/{k:02}.png": picture(X[k]) for k in range(20)}


def zipped(files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def tarred(files, mode):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def arrow(**columns):
    import pyarrow as pa

    out, table = io.BytesIO(), pa.table(columns)
    with pa.ipc.new_stream(out, table.schema) as stream:
        stream.write_table(table)
    return out.getvalue()


def parquet(**columns):
    import pyarrow as pa
    from pyarrow import parquet

    out = io.BytesIO()
    parquet.write_table(pa.table(columns), out)
    return out.getvalue()


def numbered(folder, name, content):
    """A file of this name in a folder of its own."""
    place = folder / str(sum(1 for _ in folder.iterdir()))
    file = place / name
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    return file


def in_folder(folder, files):
    place = folder / str(sum(1 for _ in folder.iterdir()))
    for name, content in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(content)
    return place


FORMATS = {  # the content of a good file, and what reads a file with such content from a folder
    "idx images": (
        idx_bytes(X),
        lambda at, b: data.mnist(
            in_folder(at, {"train-images-idx3-ubyte": b, "train-labels-idx1-ubyte": idx_bytes(Y)})
        ),
    ),
    "idx labels": (
        idx_bytes(Y),
        lambda at, b: data.mnist(
            in_folder(at, {"train-images-idx3-ubyte": idx_bytes(X), "train-labels-idx1-ubyte": b})
        ),
    ),
    "idx gz": (
        gzip.compress(idx_bytes(X), mtime=0),
        lambda at, b: data.mnist(
            in_folder(at, {"train-images-idx3-ubyte.gz": b, "train-labels-idx1-ubyte.gz": gzip.compress(idx_bytes(Y))})
        ),
    ),
    "npz": (written(np.savez, x=X, y=Y), lambda at, b: data.npz(numbered(at, "a.npz", b))),
    "npy": (written(np.save, X), lambda at, b: data.npz(numbered(at, "a.npy", b))),
    "npz samples": (written(np.savez, x=X), lambda at, b: read_samples(numbered(at, "a.npz", b))),
    "npy samples": (written(np.save, X), lambda at, b: read_samples(numbered(at, "a.npy", b))),
    "zip": (zipped(PICTURES), lambda at, b: data.folder(numbered(at, "a.zip", b))),
    "tar": (tarred(PICTURES, "w"), lambda at, b: data.folder(numbered(at, "a.tar", b))),
    "tar.gz": (tarred(PICTURES, "w:gz"), lambda at, b: data.folder(numbered(at, "a.tar.gz", b))),
    "tar.xz": (tarred(PICTURES, "w:xz"), lambda at, b: data.folder(numbered(at, "a.tar.xz", b))),
    "csv": (b"a,b,label\n" + b"1,2,c\n2,3,d\n" * 20, lambda at, b: data.table(numbered(at, "a.csv", b))),
    "parquet": (
        parquet(a=[*range(40)], b=[1.5] * 40, label=["x", "y"] * 20),
        lambda at, b: data.table(numbered(at, "a.parquet", b)),
    ),
    "arrow": (
        arrow(a=[*range(40)], b=[1.5] * 40, label=["x", "y"] * 20),
        lambda at, b: data.hf(path=in_folder(at, {"train/data-00000-of-00001.arrow": b})),
    ),
    "dataset.json": (
        json.dumps({"labels": [[name, int(name[0])] for name in PICTURES]}).encode(),
        lambda at, b: data.folder(in_folder(at, {**PICTURES, "dataset.json": b})),
    ),
    "torch": (
        zipped({"archive/data.pkl": b"\x80\x02}q\x00.", "archive/data/0": b"1234"}),
        lambda at, b: read_tensors(numbered(at, "w.pt", b)),
    ),
    "inception": (zipped({"archive/data.pkl": b"\x80\x02}q\x00."}), lambda at, b: inception.load(numbered(at, "w", b))),
    "metrics": (b'{"kind":"train","step":1}\n' * 3, lambda at, b: read_metrics(numbered(at, "m.jsonl", b))),
    "toml": (b"steps = 3\n[data]\nname = 'ring'\n", lambda at, b: config.read(numbered(at, "a.toml", b))),
    **{
        f"image {kind}": (
            picture(np.stack([X[0]] * 3, -1), kind),
            lambda at, b, end=end: data.folder(in_folder(at, {**PICTURES, f"0/zz.{end}": b}), size=4),
        )
        for kind, end in (("PNG", "png"), ("JPEG", "jpg"), ("BMP", "bmp"), ("WEBP", "webp"))
    },
}


def damaged(content, seed):
    """A few bytes of a file changed, more often near its beginning."""
    rng, found = random.Random(seed), bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 8])):
        found[rng.randrange(min(len(found), rng.choice([16, 64, 10**9])))] = rng.randrange(256)
    return bytes(found)


def damage_kinds(folder):
    kinds = {}
    for name, (content, read) in FORMATS.items():
        variants = {
            "empty": b"",
            "of one byte": content[:1],
            "cut in the head": content[:12],
            "cut in the middle": content[: len(content) // 2],
            "without its last byte": content[:-1],
            "of zeros": bytes(len(content)),
            "of text": b"hello\n" * 20,
            **{f"damaged {seed}": damaged(content, seed) for seed in range(SEEDS)},
        }
        for what, wrong in variants.items():
            kinds[f"{name} {what}"] = partial(read, folder, wrong)
    return kinds


ARRAYS = {
    "scalars": np.zeros(40),
    "complex": np.zeros((40, 2), complex),
    "bools": np.zeros((40, 2), bool),
    "texts": np.array(["a"] * 40),
    "dates": np.zeros((40, 2), "M8[s]"),
    "no numbers": np.zeros((40, 0)),
    "no samples": np.zeros((0, 4)),
    "five axes": np.zeros((40, 1, 1, 1, 1)),
    "records": np.zeros((40, 2), [("a", "f4")]),
    "NaN": np.full((40, 2), np.nan),
    "too large": np.full((40, 2), 1e300),
    "integers": np.zeros((40, 2), np.int64),
    "seven channels": np.zeros((40, 4, 4, 7), np.uint8),
    "three samples": np.zeros((3, 2)),
    "one number": np.float32(3),
}
LABELS = {
    "halves": Y + 0.5,
    "two columns": np.zeros((40, 2)),
    "too few": Y[:5],
    "one number": np.float32(1),
    "complex": np.zeros(40, complex),
    "NaN": np.full(40, np.nan),
    "dates": np.zeros(40, "M8[s]"),
    "records": np.zeros(40, [("a", "f4")]),
}


def array_kinds(folder):
    kinds = {f"npz of {name}": partial(_npz, folder, x=x) for name, x in ARRAYS.items()}
    kinds |= {f"from_arrays of {name}": partial(data.from_arrays, "a", x) for name, x in ARRAYS.items()}
    kinds |= {f"npz with labels of {name}": partial(_npz, folder, x=X, y=y) for name, y in LABELS.items()}
    kinds |= {f"from_arrays with labels of {name}": partial(data.from_arrays, "a", X, y) for name, y in LABELS.items()}
    kinds["from_arrays of rows of different lengths"] = partial(data.from_arrays, "a", [[1, 2], [3]])
    kinds["from_arrays with labels of different lengths"] = partial(data.from_arrays, "a", X, [[1, 2], [3]])
    return kinds


def _npz(folder, **arrays):
    data.npz(numbered(folder, "a.npz", written(np.savez, **arrays)))


TABLE_TEXTS = {
    "names alone": b"a,b\n",
    "empty lines": b"\n\n",
    "two columns of one name": b"a,a\n" + b"1,2\n" * 20,
    "a short row": b"a,b\n1\n",
    "no text": b"\xff\xfe\x00",
    "missing cells": b"a,b\n" + b"1,\n1,2\n" * 20,
    "infinite cells": b"a,b\n" + b"nan,inf\n" * 20,
    "labels that are too large": b"a,label\n" + b"1,1e30\n" * 20,
    "labels that are halves": b"a,label\n" + b"1,1.5\n" * 20,
    "labels alone": b"label\n" + b"1\n" * 20,
    "three rows": b"a,b\n" + b"1,2\n" * 3,
    "texts alone": b"a,b\n" + b"x,y\n" * 20,
}
TABLE_OPTIONS = {"y": "zz", "columns": ("zz",)}


def table_kinds(folder):
    kinds = {f"table of {n}": partial(data.table, numbered(folder, "a.csv", text)) for n, text in TABLE_TEXTS.items()}
    good = numbered(folder, "a.csv", b"a,b\n" + b"1,2\n" * 20)
    for name, value in TABLE_OPTIONS.items():
        kinds[f"table with {name} = {value}"] = partial(data.table, good, **{name: value})
    columns = {
        "nothing": [None] * 40,
        "lists": [[1, 2]] * 40,
        "bytes": [b"xx"] * 40,
        "no images": [{"bytes": b"xx"}] * 40,
        "gaps": [1, None] * 20,
        "a broken image": [picture(X[0])] * 39 + [b"bad"],
        "images of two sizes": [picture(X[0])] * 20 + [picture(X[0][:3])] * 20,
    }
    for name, column in columns.items():
        file = numbered(folder, "a.parquet", parquet(a=column))
        kinds[f"parquet of {name}"] = partial(data.table, file)
    return kinds


def folder_kinds(folder):
    notes = [{"labels": {"a": 1}}, {"labels": [1]}, {"labels": [["a"]]}, {"labels": [["0/00.png", [1]]]}]
    kinds = {
        f"dataset.json {note}": partial(
            data.folder, in_folder(folder, {**PICTURES, "dataset.json": json.dumps(note).encode()})
        )
        for note in notes
    }
    stranger = in_folder(folder, {"thesis.txt": b"years of work"})
    broken = in_folder(folder, {"export.json": b"{"})
    return {
        **kinds,
        "no folder": partial(data.folder, folder / "missing"),
        "an empty folder": partial(data.folder, in_folder(folder, {"a.txt": b""})),
        "a file that is no image": partial(data.folder, in_folder(folder, {**PICTURES, "0/zz.png": b"text"})),
        "a size of 0": partial(data.folder, in_folder(folder, PICTURES), size=0),
        "a path out of a zip": partial(data.folder, numbered(folder, "a.zip", zipped({"../a.png": picture(X[0])}))),
        "an absolute path in a tar": partial(
            data.folder, numbered(folder, "a.tar", tarred({"/a.png": picture(X[0])}, "w"))
        ),
        "an export into a folder of others": partial(check_target, stranger, True),
        "an export over a broken one": partial(check_target, broken, False),
        "an export into a file": partial(check_target, stranger / "thesis.txt", True),
    }
