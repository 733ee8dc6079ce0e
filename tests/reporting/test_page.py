"""Pages and their parts: nothing is fetched from elsewhere, and every text is escaped."""

import base64

import pytest
from made_runs import Page

from ensgan.reporting.colors import member_color
from ensgan.reporting.page import Figure, Section, Table, data_address, drawing, member_drawing, names, page, table


@pytest.mark.parametrize(("kind", "mime"), [("png", "image/png"), ("webp", "image/webp"), ("svg", "image/svg+xml")])
def test_pictures_are_addresses_of_their_own_content(kind, mime):
    head, _, body = data_address(b"\x00\xffsome", kind).partition(",")
    assert head == f"data:{mime};base64"
    assert base64.b64decode(body) == b"\x00\xffsome"


def test_drawings_say_what_they_show():
    one = drawing(b"<svg/>", "what it shows", "title", "below")
    assert (one.title, one.alt, one.caption, one.legend, one.style) == (
        "title",
        "what it shows",
        "below",
        (),
        "drawing",
    )
    many = member_drawing(b"<svg/>", "title", names("generator", 2))
    assert many.alt == "title"
    assert many.legend == [("generator 0", member_color(0)), ("generator 1", member_color(1))]


def test_marks_of_a_table_are_members_colours_or_nothing():
    found = table(("a", "b"), [("1", "2"), ("3", "4"), ("5", "6")], [1, None, "#123456"], note="small")
    assert found == Table(
        ("a", "b"), [(member_color(1), ("1", "2")), (None, ("3", "4")), ("#123456", ("5", "6"))], "small"
    )
    assert [color for color, _ in table(("a",), iter([("1",), ("2",)])).rows] == [None, None]
    with pytest.raises(ValueError, match="zip"):
        table(("a",), [("1",), ("2",)], [1])


BAD = "<script>alert('&')</script>"


def test_every_text_is_escaped_wherever_it_stands():
    figure = Figure(BAD, BAD, data_address(b"<svg/>", "svg"), BAD, legend=[(BAD, "#123456")])
    whole = Section(
        BAD, notes=[BAD], texts=[BAD], bar=[("#123456", "50%")], figures=[figure, figure._replace(legend=())],
        tables=[table((BAD,), [(BAD,)], note=BAD)], film=[figure, figure], pre=BAD,
    )  # fmt: skip
    text = page(BAD, {BAD: BAD}, [whole, whole._replace(folded=True, layout="stack")])
    assert "<script>alert" not in text
    found = Page(text)
    assert found.wrong == []
    assert found.text.count(BAD) >= 2 + 2 * 7
    assert all(reference.startswith(("data:image/", "data:,", "#")) for reference in found.references)
    assert all(image["alt"] == BAD for image in found.images)


def test_an_empty_page_has_its_title_and_facts():
    found = Page(page("some title", {"device": "CPU"}, []))
    assert found.wrong == []
    for word in ("some title", "device", "CPU"):
        assert word in found.text
