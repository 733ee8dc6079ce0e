"""A page and its parts: sections with notes, figures and tables, as the template takes them."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ensgan.reporting.colors import member_color


class Chip(NamedTuple):
    """A name with a dot of a colour, if there is one."""

    color: str | None


class Figure(NamedTuple):
    """A picture inside the page.

    Attributes:
        title: above it.
        alt: what it shows, for those who do not see it.
        source: the picture as a data address.
        caption: below it.
        legend: names and colours below it, in place of a caption.
        chip: the member whose dot stands before the title, which is then small.
        kind: `member` or `real` for pictures of samples.
        style: `drawing` for ink on white, whose lightness turns round on a dark page, `pixels` for pictures that are
            enlarged without smoothing, and `photo` for others.
    """

    title: str
    alt: str
    source: str
    caption: str = ""
    legend: Sequence[tuple[str, str]] = ()
    chip: Chip | None = None
    kind: str = ""
    style: str = "drawing"


class Table(NamedTuple):
    """A table of texts; a colour puts a dot before its row."""

    header: Sequence[str]
    rows: Sequence[tuple[str | None, Sequence[str]]]
    note: str = ""


class Section(NamedTuple):
    """A heading and what is below it, in this order.

    Attributes:
        title: the heading.
        notes: small texts.
        texts: texts of the usual size.
        bar: colours and widths of the parts of a bar.
        figures: pictures.
        tables: tables.
        film: pictures of one size, of which the reader sees one at a time; each has the title by which it is chosen.
        pre: text as it is written.
        layout: how figures and tables stand: `pair` side by side, `stack` below each other, or `cards`.
        folded: whether the reader unfolds it.
    """

    title: str
    notes: Sequence[str] = ()
    texts: Sequence[str] = ()
    bar: Sequence[tuple[str, str]] = ()
    figures: Sequence[Figure] = ()
    tables: Sequence[Table] = ()
    film: Sequence[Figure] = ()
    pre: str = ""
    layout: str = "pair"
    folded: bool = False


def data_address(content: bytes, kind: str) -> str:
    """A PNG, WebP or SVG as an address; an SVG is not a part of the page, since matplotlib's ids repeat."""
    mime = {"png": "image/png", "webp": "image/webp", "svg": "image/svg+xml"}[kind]
    return f"data:{mime};base64,{base64.b64encode(content).decode()}"


def drawing(svg: bytes, alt: str, title: str, caption: str = "") -> Figure:
    """An SVG with a title above and a caption below."""
    return Figure(title, alt, data_address(svg, "svg"), caption)


def member_drawing(svg: bytes, title: str, names: Sequence[str]) -> Figure:
    """An SVG with the members' colours below."""
    return Figure(title, title, data_address(svg, "svg"), legend=[(n, member_color(m)) for m, n in enumerate(names)])


def names(word: str, members: int) -> list[str]:
    """All members of a side by name."""
    return [f"{word} {m}" for m in range(members)]


def table(header: Sequence[str], rows: Iterable[Sequence[str]], marks: Any = None, note: str = "") -> Table:
    """A table; `marks` are members or colours, one for each row."""
    rows = list(rows)
    color = lambda mark: mark if mark is None or isinstance(mark, str) else member_color(mark)
    return Table(
        header, [(color(mark), row) for mark, row in zip(marks or [None] * len(rows), rows, strict=True)], note
    )


def page(title: str, facts: Mapping[str, str], sections: Sequence[Section]) -> str:
    """One self-contained HTML page, in which every text is escaped and no script can run.

    Args:
        title: the heading.
        facts: what stands at the head of the page, by their names.
        sections: the rest.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("ensgan.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.jinja").render(title=title, facts=facts, sections=sections)
