"""Networks as pairs of pure functions, adapters for flax modules, and the names of architectures.

Every entry of GENERATORS and DISCRIMINATORS is called as `factory(sample_shape, **options)`.
"""

from ensgan.networks.adapters import from_linen, from_nnx
from ensgan.networks.dcgan import dcgan_discriminator, dcgan_generator
from ensgan.networks.mlp import ACTIVATIONS, mlp, mlp_discriminator, mlp_generator
from ensgan.networks.packing import packed, packed_shape
from ensgan.networks.projection import projected, projection_of
from ensgan.networks.r3gan import r3gan_discriminator, r3gan_generator
from ensgan.networks.spectral import SpectralNorm
from ensgan.networks.stages import chain, trunk_and_heads
from ensgan.networks.unrolled_gan import unrolled_gan_discriminator, unrolled_gan_generator

GENERATORS = {
    "dcgan": dcgan_generator,
    "mlp": mlp_generator,
    "r3gan": r3gan_generator,
    "unrolled_gan": unrolled_gan_generator,
}
DISCRIMINATORS = {
    "dcgan": dcgan_discriminator,
    "mlp": mlp_discriminator,
    "r3gan": r3gan_discriminator,
    "unrolled_gan": unrolled_gan_discriminator,
}

__all__ = [
    "ACTIVATIONS",
    "DISCRIMINATORS",
    "GENERATORS",
    "SpectralNorm",
    "chain",
    "dcgan_discriminator",
    "dcgan_generator",
    "from_linen",
    "from_nnx",
    "mlp",
    "mlp_discriminator",
    "mlp_generator",
    "packed",
    "packed_shape",
    "projected",
    "projection_of",
    "r3gan_discriminator",
    "r3gan_generator",
    "trunk_and_heads",
    "unrolled_gan_discriminator",
    "unrolled_gan_generator",
]
