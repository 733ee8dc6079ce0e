"""The canvas of figures: of one style and of one form, whatever the user's matplotlib is set to."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest

from ensgan.reporting.canvas import FONT, figure_of, raster, stacked, style, svg_of


@pytest.mark.parametrize("backend", ["module://matplotlib_inline.nowhere", "nonsense", "Agg"])
def test_pictures_need_no_backend_and_no_settings_of_the_user(backend, tmp_path):
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\nsavefig.bbox: tight\nsavefig.dpi: 10\nfont.size: 40\n")
    code = (
        "import numpy, hashlib; from ensgan.reporting.figures import scatter_panel, heat_map; "
        "x = numpy.arange(8.0).reshape(4, 2); "
        "print(hashlib.md5(scatter_panel(x, x, '#000000').tobytes() + heat_map(x / 8)).hexdigest()); "
        "import sys; assert 'matplotlib.pyplot' not in sys.modules"
    )
    environment = {name: value for name, value in os.environ.items() if name not in ("MPLBACKEND", "MATPLOTLIBRC")}
    shown = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**environment, **more})
        for more in ({}, {"MPLBACKEND": backend, "MATPLOTLIBRC": str(tmp_path / "matplotlibrc")})
    ]
    assert shown[0].stdout == shown[1].stdout != "", shown[1].stderr


def test_a_raster_has_100_pixels_an_inch_and_margins_in_inches():
    with style():
        figure, axes = figure_of(3.0, 2.0, (0.6, 0.3, 0.4, 0.2))
        picture = raster(figure)
    assert (picture.size, picture.mode) == ((300, 200), "RGB")
    box = axes.get_position()
    np.testing.assert_allclose([box.x0 * 3, (1 - box.x1) * 3, box.y0 * 2, (1 - box.y1) * 2], [0.6, 0.3, 0.4, 0.2])


def test_axes_above_each_other_share_the_horizontal_one():
    with style():
        _, (upper, lower) = stacked(3.0, 2.0, (0.5, 0.1, 0.4, 0.1))
    upper.set_xlim(2.0, 5.0)
    assert lower.get_xlim() == (2.0, 5.0)
    assert upper.get_position().height == pytest.approx(3 * lower.get_position().height)
    assert upper.get_position().y0 > lower.get_position().y1


def test_an_svg_is_the_same_every_time_with_short_numbers_and_whole_labels():
    def drawn():
        with style():
            figure, axes = figure_of(3.0, 2.0, (0.5, 0.1, 0.4, 0.1))
            axes.plot([0.123456, 1.0], [0.0, 1 / 3])
            axes.set_title("0.123456 of all")
            return svg_of(figure).decode()

    svg = drawn()
    assert svg == drawn()
    assert ">0.123456 of all</text>" in svg
    assert FONT in svg
    assert "DejaVu" not in svg
    assert "<dc:date>" not in svg
    assert max(len(digits) for path in re.findall(r' d="([^"]*)"', svg) for digits in re.findall(r"\.(\d+)", path)) == 2


def test_the_style_ends_with_its_block():
    import matplotlib

    before = matplotlib.rcParams["font.size"]
    matplotlib.rcParams["font.size"] = 33
    try:
        with style():
            assert matplotlib.rcParams["font.size"] == 9
        assert matplotlib.rcParams["font.size"] == 33
    finally:
        matplotlib.rcParams["font.size"] = before
