"""DCGAN."""

import pytest

from ensgan import networks
from ensgan.types import InputError


def test_images_of_other_sizes_are_refused():
    with pytest.raises(InputError, match=r"\[30, 30, 1\]; expected .* one of 28, 32, 64"):
        networks.dcgan_generator((30, 30, 1))


def test_spectral_norm_keeps_samples_apart():
    assert not networks.dcgan_discriminator((28, 28, 1), width=4, spectral_norm=True).batch_coupled
