"""Operations of JAX and of ONNX give the same numbers, and what has no ONNX form is one line."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from onnx_runs import outcome

from ensgan.types import InputError

CLOSE = {"rtol": 1e-5, "atol": 1e-6}
TABLE = np.random.default_rng(1).normal(size=(5, 3)).astype(np.float32)


KERNEL = np.random.default_rng(2).normal(size=(3, 4, 2, 4)).astype(np.float32)  # HWIO


SQUARE = np.random.default_rng(3).normal(size=(3, 3)).astype(np.float32)


LAYOUT = ("NHWC", "HWIO", "NHWC")


conv = jax.lax.conv_general_dilated


FUNCTIONS = {  # of x [b, 3] or of images [b, 6, 5, c]
    "rows": (lambda x: jnp.take(jnp.asarray(TABLE), jnp.floor(jnp.abs(x[:, 0])).astype(int), axis=0), 3),
    "a column": (lambda x: x[..., 0], 3),
    "a product that is no matrix product": (lambda x: jnp.einsum("bi,ij,bj->b", x, SQUARE, x), 3),
    "a product of batches": (lambda x: jnp.einsum("bi,bj->bij", x, x)[:, ::-1], 3),
    "a choice": (lambda x: jnp.where(x != 0.0, jnp.sign(x) * jnp.sqrt(jnp.abs(x)), 1.0) ** 3, 3),
    "reductions": (lambda x: jax.nn.logsumexp(x, axis=1) + jnp.min(x, axis=1) - x.mean(1), 3),
    "joined and cut": (
        lambda x: jax.lax.slice_in_dim(jnp.concatenate([x, jnp.ones_like(x)], axis=1), 1, 5, 2, axis=1), 3
    ),
    "a part": (lambda x: x[:, 1:] * x[:, :2], 3),
    "padded": (lambda x: jnp.pad(x, ((0, 0), (2, 1)), constant_values=4.0), 3),
    "a constant of the batch": (lambda x: jnp.broadcast_to(jnp.asarray(TABLE[0]), x.shape), 3),
    "activations": (lambda x: jax.nn.gelu(x) + jax.nn.silu(x) + jax.nn.relu(x) + jax.nn.leaky_relu(x, 0.3), 3),
    "strides, groups and dilation": (
        lambda x: conv(x, KERNEL, (2, 1), [(2, 0), (1, 3)], None, (1, 2), LAYOUT, feature_group_count=2), (6, 5, 4)
    ),
    "a transposed convolution": (
        lambda x: conv(x, KERNEL, (1, 1), [(1, 2), (3, 0)], (2, 3), None, LAYOUT), (6, 5, 2)
    ),
    "channels first": (
        lambda x: conv(x, KERNEL.transpose(3, 2, 0, 1), (1, 2), "SAME", dimension_numbers=("NCHW", "OIHW", "NHWC")),
        (2, 6, 5),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_a_function_and_its_graph_give_the_same(name):
    fn, shape = FUNCTIONS[name]
    x = np.random.default_rng(0).normal(size=(4, *np.atleast_1d(shape))).astype(np.float32)
    np.testing.assert_allclose(outcome(fn, x), fn(x), **CLOSE)


@pytest.mark.parametrize(
    ("fn", "message"),
    [
        (
            lambda x: jnp.sort(x, axis=1),
            "the network computes sort, which has no ONNX form here; export it with --format",
        ),
        (lambda x: jax.lax.while_loop(lambda x: x.sum() < 9.0, lambda x: x + 1.0, x), "computes while"),
        (
            lambda x: conv(x[:, None], x[:1].reshape(1, 3, 1), (1,), "SAME", dimension_numbers=("NWC", "WIO", "NWC")),
            "kernel",
        ),
        (lambda x: x[jnp.arange(2)[:, None], jnp.arange(2)[None]], "an indexed lookup along several axes"),
        (lambda x: jnp.ones((2 * x.shape[0],)) * x.sum(), r"an axis of size 2\*b"),
    ],
)
def test_what_has_no_form_is_one_line(fn, message):
    with pytest.raises(InputError, match=message):
        outcome(fn, np.ones((4, 3), np.float32))
