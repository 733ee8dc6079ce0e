"""Links of the site to files outside of docs/: such a file becomes a page of the site, under source/."""

import posixpath
import re
from pathlib import Path

from mkdocs.structure.files import File, InclusionLevel

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(((?!https?:|#)[^)#\s]+)(#[^)]*)?\)")
PICTURE = re.compile(r"!\[([^\]]*)\]\([^)]*\)")
LANGUAGES = {".py": "python", ".toml": "toml", ".sh": "sh"}


def outside(link, page):
    """The path from the repository's root that a link of `docs/PAGE` names, or None for a file of the site itself."""
    path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page), link))
    return None if path.startswith("docs/") and not path.endswith(".py") else path


def text_of(path):
    """A file, or the files of a folder, as Markdown. A folder with a README is its README."""
    place = ROOT / path
    if (place / "README.md").exists():
        place = place / "README.md"
    if place.suffix == ".md":  # pictures and links from there, to files that are not in the site, would be dead
        return LINK.sub(r"\1 (`\2`)", PICTURE.sub(r"*\1*", place.read_text()))
    files = sorted(place.glob("*.*")) if place.is_dir() else [place]
    blocks = [f"````{LANGUAGES[file.suffix]}\n{file.read_text()}````" for file in files]
    if place.is_dir():
        blocks = [f"## {file.name}\n\n{block}" for file, block in zip(files, blocks, strict=True)]
    return "\n\n".join([f"# {path}", *blocks])


def on_files(files, config):
    """Adds a page for each file outside of docs/ that a page links to."""
    for page in list(files.documentation_pages()):
        for _, link, _ in LINK.findall(page.content_string):
            path = outside(link, page.src_uri)
            if path and not files.get_file_from_path(f"source/{path}.md"):
                made = File.generated(config, f"source/{path}.md", content=text_of(path))
                made.inclusion = InclusionLevel.NOT_IN_NAV
                files.append(made)
    return files


def on_page_markdown(markdown, page, **_):
    """Leads those links to the pages."""
    here = page.file.src_uri

    def changed(found):
        path = None if here.startswith("source/") else outside(found[2], here)
        if path is None:
            return found[0]
        return f"[{found[1]}]({posixpath.relpath(f'source/{path}.md', posixpath.dirname(here))}{found[3] or ''})"

    return LINK.sub(changed, markdown)
