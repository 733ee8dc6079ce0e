"""Where data sets are published: whole addresses, whole checksums, and the names under which they are asked for."""

import re

from ensgan import data
from ensgan.data.addresses import FILES, IMAGES, LABELS, MEDICAL


def test_every_file_has_an_address_that_ends_in_its_name_and_a_checksum():
    remotes = [(file, remote) for files in FILES.values() for file, remote in files.items()]
    for file, remote in remotes:
        assert re.fullmatch(r"https?://[^?]+", remote.url.removesuffix("?download=1")), file
        assert remote.url.removesuffix("?download=1").endswith(f"/{file}")
        assert re.fullmatch(r"[0-9a-f]{32}", remote.md5), file
    assert len({remote.md5 for _, remote in remotes}) == len(remotes)
    assert len({remote.url for _, remote in remotes}) == len(remotes)


def test_data_sets_in_the_form_of_mnist_are_pairs():
    for name in ("mnist", "fashion_mnist", "kmnist"):
        assert list(FILES[name]) == [IMAGES, LABELS]


def test_every_data_set_is_a_source():
    for name in FILES:
        assert name.partition(":")[0] in data.SOURCES, name
    assert {f"medmnist:{name}" for name in MEDICAL} == {name for name in FILES if ":" in name}
