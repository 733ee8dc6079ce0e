"""Small files in the forms in which well-known data sets are published."""

import gzip
import io
import tarfile

import numpy as np
from scipy.io import savemat

from ensgan.data import known

NUM = 60
RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (NUM, 32, 32, 3), dtype=np.uint8)
LABEL = np.arange(NUM) % 10


def idx_file(array):
    header = bytes([0, 0, 8, array.ndim]) + b"".join(int(size).to_bytes(4, "big") for size in array.shape)
    return gzip.compress(header + array.tobytes())


def tar(files):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for name, each in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(each)
            archive.addfile(info, io.BytesIO(each))
    return content.getvalue()


def rows(labels, x):
    flat = x.transpose(0, 3, 1, 2).reshape(len(x), -1)
    return np.concatenate([*(np.asarray(each, np.uint8)[:, None] for each in labels), flat], axis=1).tobytes()


def mat():
    file = io.BytesIO()
    savemat(file, {"X": PIXELS.transpose(1, 2, 3, 0), "y": np.where(LABEL == 0, 10, LABEL)[:, None].astype(np.uint8)})
    return file.getvalue()


def npz_file(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


CIFAR = {f"cifar-10-batches-bin/data_batch_{k}.bin": rows([LABEL[k - 1 :: 5]], PIXELS[k - 1 :: 5]) for k in range(1, 6)}
NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
CIFAR["cifar-10-batches-bin/batches.meta.txt"] = "\n".join(NAMES).encode()
STL = np.repeat(np.repeat(PIXELS, 3, axis=1), 3, axis=2)
CONTENT = {
    "mnist": {known.IMAGES: idx_file(PIXELS[:, :28, :28, 0]), known.LABELS: idx_file(LABEL.astype(np.uint8))},
    "cifar10": {"cifar-10-binary.tar.gz": tar(CIFAR)},
    "cifar100": {
        "cifar-100-binary.tar.gz": tar(
            {
                "cifar-100-binary/train.bin": rows([LABEL // 2, LABEL], PIXELS),
                "cifar-100-binary/fine_label_names.txt": "\n".join(f"c{k}" for k in range(100)).encode(),
            }
        )
    },
    "svhn": {"train_32x32.mat": mat()},
    "stl10": {
        "stl10_binary.tar.gz": tar(
            {
                "stl10_binary/train_X.bin": STL.transpose(0, 3, 2, 1).tobytes(),
                "stl10_binary/train_y.bin": (LABEL + 1).astype(np.uint8).tobytes(),
                "stl10_binary/class_names.txt": "\n".join(NAMES).encode(),
                "stl10_binary/unlabeled_X.bin": STL[::-1].transpose(0, 3, 2, 1).tobytes(),
            }
        )
    },
    "medmnist:bloodmnist": {
        "bloodmnist.npz": npz_file(
            train_images=PIXELS[:, :28, :28], train_labels=LABEL[:, None] % 8, test_images=PIXELS[:2]
        )
    },
}
CONTENT["fashion_mnist"] = CONTENT["kmnist"] = CONTENT["mnist"]
