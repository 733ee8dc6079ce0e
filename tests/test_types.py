"""The errors of the package and the checks of numbers: what is seen, what is expected, and what cannot do harm."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ensgan.types import InputError, check_range, out_of_memory, printable, unknown


def test_an_unknown_name_lists_the_known_ones_in_order():
    error = unknown("loss", "love", {"hinge": 1, "d2": 2})
    assert isinstance(error, InputError)
    assert isinstance(error, ValueError)
    assert str(error) == "unknown loss 'love'; known: d2, hinge"


def test_an_unknown_name_says_which_are_nearest():
    error = unknown("data", "mnst", ["ring", "mnist", "kmnist", "digits"])
    assert str(error) == "unknown data 'mnst' (did you mean mnist or kmnist?); known: digits, kmnist, mnist, ring"
    assert "(did you mean ring?)" in str(unknown("data", "rign", ["ring", "grid"]))
    assert "mean" not in str(unknown("configuration", "methods/none", ["methods/min", "methods/sgan"]))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ü × −\n\t\r", "plain ü × −\n\t\r"),
        ("\x1b[31m", "\\x1b[31m"),
        ("a\x07b\x00", "a\\x07b\\x00"),
        ("\u202e", "\\u202e"),  # turns the direction of a line
        ("\udce9", "\udce9"),  # a byte of a file's name
        ("\ud800", "\\ud800"),
    ],
)
def test_what_could_drive_a_terminal_is_escaped(text, shown):
    assert printable(text) == shown
    assert printable(shown) == shown


def test_memory_that_is_used_up_is_told_from_other_errors():
    assert out_of_memory(MemoryError())
    assert out_of_memory(RuntimeError("RESOURCE_EXHAUSTED: Out of memory"))
    assert out_of_memory(jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED"))
    assert not out_of_memory(RuntimeError("INTERNAL"))
    assert not out_of_memory(ValueError("RESOURCE_EXHAUSTED"))


@pytest.mark.parametrize(
    "value", [0, 0.5, (0.0, 3.0), [1, 2], np.array([[1.0], [2.0]]), jnp.ones(2), (), np.float32(1e38)]
)
def test_numbers_in_range_pass(value):
    check_range("rate", value)


@pytest.mark.parametrize(
    "value", [-1e-9, float("nan"), float("inf"), (1.0, -1.0), "1", None, [None], 1j, np.array([1, np.nan])]
)
def test_other_numbers_and_what_is_none_are_refused(value):
    with pytest.raises(InputError, match=r"^rate is .*; it must be finite and at least 0$"):
        check_range("rate", value)


def test_the_upper_end_is_outside():
    check_range("share", 0.999, high=1.0)
    check_range("share", 2.0, low=2.0)
    for value in (1.0, -0.1):
        with pytest.raises(InputError, match=rf"^share is {value}; it must be in \[0, 1\)$"):
            check_range("share", value, high=1.0)


def test_numbers_that_are_not_known_yet_pass():
    seen = []

    @jax.jit
    def program(x):
        check_range("rate", x)
        seen.append(type(x))
        return x

    program(-1.0)
    assert len(seen) == 1
