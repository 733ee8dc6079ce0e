"""Pieces of an HTML page: sections, tables, pictures with captions, members with their colours, and the style."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from ensgan.reporting.figures import member_color


def section(title: str, content: str) -> str:
    """Content under a heading."""
    return f"<section><h2>{escape(title)}</h2>{content}</section>"


def details(title: str, content: str) -> str:
    """Content that is folded away."""
    return f"<details><summary>{escape(title)}</summary>{content}</details>"


def pre(text: str) -> str:
    """Text as it is written."""
    return f"<pre>{escape(text)}</pre>"


def table(header: Sequence[str], rows: Iterable[Sequence[str]], marks: Sequence[Any] | None = None) -> str:
    """A table of texts, escaped here; a mark, which is a member or a colour, puts a dot before its row."""
    rows = list(rows)
    if not rows:
        return "<p>None.</p>"
    marks = marks or [None] * len(rows)
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = ""
    for row, mark in zip(rows, marks, strict=True):
        begin, cells = "" if mark is None else dot(mark), "</td><td>".join(map(escape, row))
        body += f"<tr><td>{begin}{cells}</td></tr>"
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def dot(member: int | str) -> str:
    """A dot of a member's colour, or of a colour."""
    color = member if isinstance(member, str) else member_color(member)
    return f'<span class="dot" style="background:{color}"></span>'


def chip(name: str, member: int | None) -> str:
    """A member's dot and name."""
    return f'<span class="chip">{"" if member is None else dot(member)}{escape(name)}</span>'


def image(content: bytes, alt: str, kind: str, style: str = "") -> str:
    """A PNG or SVG inside the page; an SVG is no part of it, since matplotlib's ids repeat from one to the next."""
    mime = {"png": "image/png", "svg": "image/svg+xml"}[kind]
    source = f"data:{mime};base64,{base64.b64encode(content).decode()}"
    return f'<img class="{style}" alt="{escape(alt)}" src="{source}">'


def figure(svg: bytes, alt: str, title: str, caption: str) -> str:
    """An SVG with a title above and a caption below."""
    text = f"<p>{escape(caption)}</p>" if caption else ""
    return f"<figure><h3>{escape(title)}</h3>{image(svg, alt, 'svg')}<figcaption>{text}</figcaption></figure>"


def names(word: str, members: int) -> list[str]:
    """All members of a side by name."""
    return [f"{word} {m}" for m in range(members)]


def member_figure(svg: bytes, title: str, names: Sequence[str]) -> str:
    """An SVG with the members' colours below."""
    legend = "".join(chip(name, m) for m, name in enumerate(names))
    picture = image(svg, title, "svg")
    return f'<figure><h3>{escape(title)}</h3>{picture}<figcaption class="legend">{legend}</figcaption></figure>'


STYLE = """
:root { color-scheme: light dark;
  --ground: #f5f6f8; --card: #fff; --ink: #22262d; --faint: #6a717c; --line: #e2e5ea; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #16181c; --card: #1e2126; --ink: #e4e6ea; --faint: #9aa1ac; --line: #31353c; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1100px; margin: 0 auto; padding: 24px 16px 64px; }
h1 { margin: 0 0 12px; font-size: 26px; line-height: 1.2; overflow-wrap: anywhere; }
h2 { margin: 0 0 8px; font-size: 18px; }
h3 { margin: 0 0 6px; font-size: 14px; font-weight: 600; }
p { margin: 0 0 8px; }
.note, figcaption p { color: var(--faint); font-size: 13px; }
header dl { display: flex; flex-wrap: wrap; gap: 8px 32px; margin: 0 0 20px; }
dt { color: var(--faint); font-size: 12px; }
dd { margin: 0; font-weight: 600; overflow-wrap: anywhere; }
section, details { background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: 16px 18px; margin-bottom: 16px; }
summary { cursor: pointer; font-size: 16px; font-weight: 600; }
details[open] summary { margin-bottom: 12px; }
figure { margin: 0; min-width: 0; }
img + figcaption { margin-top: 6px; }
img { display: block; width: 100%; height: auto; background: #fff; border-radius: 6px; }
.pixels { image-rendering: pixelated; }
.pair { display: grid; gap: 20px 24px;
  grid-template-columns: repeat(auto-fit, minmax(min(420px, 100%), 1fr)); }
.stack { display: grid; gap: 24px; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(190px, 45%), 1fr)); gap: 14px; }
.cards figure { max-width: 340px; }
.real { outline: 2px solid var(--faint); outline-offset: 5px; border-radius: 4px; }
.real .chip { font-weight: 600; }
.chip { display: inline-flex; align-items: center; font-size: 13px; margin-right: 14px; white-space: nowrap; }
.dot { display: inline-block; width: 10px; height: 10px; border-radius: 50%; margin-right: 6px; flex: none; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; max-width: 600px; font-variant-numeric: tabular-nums; }
th { text-align: right; color: var(--faint); font-size: 12px; font-weight: 500; }
th, td { padding: 5px 10px 5px 0; border-bottom: 1px solid var(--line); white-space: nowrap; }
td { text-align: right; }
th:first-child, td:first-child { text-align: left; }
.scroll + .note { margin-top: 8px; }
.bar { display: flex; height: 14px; border-radius: 7px; overflow: hidden; margin: 4px 0 10px; }
pre { margin: 0; overflow-x: auto; font-size: 13px; }
"""

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · ensgan</title>
<style>{style}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""
