"""Where well-known data sets are published, and the checksums of their files."""

from __future__ import annotations

from typing import NamedTuple

from ensgan.data.downloads import Remote

IMAGES, LABELS = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"


def _pair(host: str, images: str, labels: str) -> dict[str, Remote]:
    return {IMAGES: Remote(f"{host}/{IMAGES}", images), LABELS: Remote(f"{host}/{LABELS}", labels)}


_ZENODO = "https://zenodo.org/records/10519652/files"


class Medical(NamedTuple):
    """A data set of MedMNIST: the checksum of its file, and its numbers of channels, classes and training images."""

    md5: str
    channels: int
    classes: int
    num: int


MEDICAL = {  # of MedMNIST v2 (Yang et al. 2023), those of two dimensions and one label
    "pathmnist": Medical("a8b06965200029087d5bd730944a56c1", 3, 9, 89_996),
    "dermamnist": Medical("0744692d530f8e62ec473284d019b0c7", 3, 7, 7_007),
    "octmnist": Medical("c68d92d5b585d8d81f7112f81e2d0842", 1, 4, 97_477),
    "pneumoniamnist": Medical("28209eda62fecd6e6a2d98b1501bb15f", 1, 2, 4_708),
    "retinamnist": Medical("bd4c0672f1bba3e3a89f0e4e876791e4", 3, 5, 1_080),
    "breastmnist": Medical("750601b1f35ba3300ea97c75c52ff8f6", 1, 2, 546),
    "bloodmnist": Medical("7053d0359d879ad8a5505303e11de1dc", 3, 8, 11_959),
    "tissuemnist": Medical("ebe78ee8b05294063de985d821c1c34b", 1, 8, 165_466),
    "organamnist": Medical("68e3f8846a6bd62f0c9bf841c0d9eacc", 1, 11, 34_561),
    "organcmnist": Medical("b9ceb9546e10131b32923c5bbeaea2b1", 1, 11, 12_975),
    "organsmnist": Medical("9ab87b696fb54e2a387ebe992d6ed5f1", 1, 11, 13_932),
}
FILES = {
    "mnist": _pair(
        "https://ossci-datasets.s3.amazonaws.com/mnist",
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "d53e105ee54ea40749a09fcbcd1e9432",
    ),
    "fashion_mnist": _pair(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "25c81989df183df01b3e8a0aad5dffbe",
    ),
    "kmnist": _pair(
        "http://codh.rois.ac.jp/kmnist/dataset/kmnist",
        "bdb82020997e1d708af4cf47b453dcf7",
        "e144d726b3acfaa3e44228e80efcd344",
    ),
    "cifar10": {
        "cifar-10-binary.tar.gz": Remote(
            "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530"
        )
    },
    "cifar100": {
        "cifar-100-binary.tar.gz": Remote(
            "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8"
        )
    },
    "svhn": {
        "train_32x32.mat": Remote(
            "http://ufldl.stanford.edu/housenumbers/train_32x32.mat", "e26dedcc434d2e4c54c9b2d4a06d8373"
        )
    },
    "stl10": {
        "stl10_binary.tar.gz": Remote(
            "http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz", "91f7769df0f17e558f3565bffb0c7dfb"
        )
    },
    **{
        f"medmnist:{name}": {f"{name}.npz": Remote(f"{_ZENODO}/{name}.npz?download=1", known.md5)}
        for name, known in MEDICAL.items()
    },
}
