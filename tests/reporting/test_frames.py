"""Samples over training on a page: a few of the pictures, in order, small enough together."""

import io

import numpy as np
import pytest
from image_files import pictures
from PIL import Image

from ensgan.reporting import frames
from ensgan.reporting.files import RunFiles


def film(folder, steps, size=(8, 8)):
    """The pictures of a run at these steps, of random pixels."""
    place = RunFiles(folder).progress
    place.mkdir(exist_ok=True)
    for step in steps:
        Image.fromarray(pictures(1, step, (*size[::-1], 3))[0]).save(place / f"{step:08}.png")
    return folder


def decoded(figure):
    import base64

    head, _, body = figure.source.partition(",")
    assert head == "data:image/webp;base64"
    return Image.open(io.BytesIO(base64.b64decode(body)))


def test_frames_are_in_the_order_of_their_steps_and_nothing_else_is_one(tmp_path):
    film(tmp_path, [300, 20, 1000])
    for name in ("notes.txt", "x1.png", "5.jpg"):
        (RunFiles(tmp_path).progress / name).write_bytes(b"")
    assert [int(path.stem) for path in frames.frames(tmp_path)] == [20, 300, 1000]
    assert frames.frames(tmp_path / "nowhere") == []


def test_one_picture_is_no_film(tmp_path):
    assert frames.film_sections(tmp_path, "photo") == []
    assert frames.film_sections(film(tmp_path, [1]), "photo") == []
    (RunFiles(tmp_path).progress / "00000002.png").write_bytes(b"broken")
    assert frames.film_sections(tmp_path, "photo") == []


def test_a_short_film_is_shown_whole(tmp_path):
    (section,) = frames.film_sections(film(tmp_path, [1, 2000]), "pixels")
    assert [each.title for each in section.film] == ["step 1", "step 2,000"]
    assert {each.style for each in section.film} == {"pixels"}
    assert decoded(section.film[0]).size == (8, 8)
    assert section.notes == ["Samples of the same noise, with the reals below. The arrow keys move from step to step."]
    (drawing,) = frames.film_sections(tmp_path, "drawing")
    assert "with the reals in grey" in drawing.notes[0]


def test_of_a_long_film_a_few_pictures_are_taken_with_the_first_and_the_last(tmp_path):
    (section,) = frames.film_sections(film(tmp_path, range(1, 41)), "photo")
    assert len(section.film) == frames.MOST
    assert (section.film[0].title, section.film[-1].title) == ("step 1", "step 40")
    assert f"{frames.MOST} of 40 pictures; the folder progress has them" in section.notes[0]


def test_pictures_are_made_smaller_until_they_fit(tmp_path, monkeypatch):
    film(tmp_path, [1, 2, 3], (200, 100))
    monkeypatch.setattr(frames, "FRAME_BYTES", 6000)
    (section,) = frames.film_sections(tmp_path, "photo")
    sizes = {decoded(each).size for each in section.film}
    assert len(sizes) == 1
    width, height = sizes.pop()
    assert width < 200
    assert abs(width / height - 2) < 0.1
    assert "To keep the page small: made smaller; the folder" in section.notes[0]
    monkeypatch.setattr(frames, "FRAME_BYTES", 1)  # which nothing meets: what shows nothing is not made
    (least,) = frames.film_sections(tmp_path, "photo")
    assert np.prod(decoded(least.film[0]).size) == pytest.approx(frames.LEAST, rel=0.02)
