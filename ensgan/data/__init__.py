"""Data sources: each has four splits and gives batches that follow from its seed."""

from ensgan.data.folders import folder, read_images
from ensgan.data.hub import hf
from ensgan.data.images import digits, idx, npz
from ensgan.data.known import cifar10, cifar100, fashion_mnist, kmnist, medmnist, mnist, stl10, svhn
from ensgan.data.outlines import OUTLINES, outline
from ensgan.data.prepared import tfds
from ensgan.data.source import FRACTIONS, SPLITS, Modes, Source, from_arrays, resident, split_indices, to_uint8
from ensgan.data.stacks import stacked, stacked_digits, stacked_mnist
from ensgan.data.streams import Records, from_iterator, stream
from ensgan.data.synthetic import gaussian_grid, gaussian_ring
from ensgan.data.tables import table
from ensgan.data.views import VIEWS, bags, diet, shards

# The names on the command line. Those that read files take `path` first.
SOURCES = {
    "ring": gaussian_ring,
    "grid": gaussian_grid,
    "digits": digits,
    "mnist": mnist,
    "fashion_mnist": fashion_mnist,
    "kmnist": kmnist,
    "cifar10": cifar10,
    "cifar100": cifar100,
    "svhn": svhn,
    "stl10": stl10,
    "medmnist": medmnist,
    "stacked_digits": stacked_digits,
    "stacked_mnist": stacked_mnist,
    "idx": idx,
    "npz": npz,
    "folder": folder,
    "table": table,
    "hf": hf,
    "tfds": tfds,
}

__all__ = [
    "FRACTIONS",
    "OUTLINES",
    "SOURCES",
    "SPLITS",
    "VIEWS",
    "Modes",
    "Records",
    "Source",
    "bags",
    "cifar10",
    "cifar100",
    "diet",
    "digits",
    "fashion_mnist",
    "folder",
    "from_arrays",
    "from_iterator",
    "gaussian_grid",
    "gaussian_ring",
    "hf",
    "idx",
    "kmnist",
    "medmnist",
    "mnist",
    "npz",
    "outline",
    "read_images",
    "resident",
    "shards",
    "split_indices",
    "stacked",
    "stacked_digits",
    "stacked_mnist",
    "stl10",
    "stream",
    "svhn",
    "table",
    "tfds",
    "to_uint8",
]
