"""Options that sources of stored samples have in common."""

from __future__ import annotations

from typing import TypedDict, cast


class Options(TypedDict, total=False):
    """What is done to stored samples, whatever file they come from.

    Attributes:
        dequantize: whether pixels get uniform noise; they do if it is not given.
        flip: whether training samples are mirrored left to right, half of them at random; held-out ones stay.
        fractions: shares of train, select, calibrate and report.
    """

    dequantize: bool
    flip: bool
    fractions: tuple[float, ...]


class Pictures(TypedDict, total=False):
    """How image files become pixels.

    Attributes:
        size: crop the largest centred square and resize it to `size` × `size` pixels. By default all images must have
            one size.
        channels: 1 for grey, 3 for RGB; by default grey if all images are grey, else RGB.
        background: the colour under transparent images, such as white (the default), black or '#ff8000'.
        skip_broken: go on without images that cannot be read, and without files of other kinds.
    """

    size: int | None
    channels: int | None
    background: str
    skip_broken: bool


class Rows(Options, Pictures, total=False):
    """What is done to the rows of a table, which may hold images.

    Attributes:
    """


# The help of flags reads the attributes of one docstring.
Rows.__doc__ = f"{Rows.__doc__}".rstrip() + "".join(
    f"{each.__doc__}".partition("Attributes:")[2].rstrip() for each in (Options, Pictures)
)


def parted(options: Rows) -> tuple[Options, Pictures]:
    """The options of both kinds."""
    of = lambda kind: {key: value for key, value in options.items() if key in kind.__annotations__}
    return cast(Options, of(Options)), cast(Pictures, of(Pictures))
