"""A page: sections of pictures, tables and text, rendered as one HTML file that needs no other."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TypeAlias

from jinja2 import Environment, PackageLoader, StrictUndefined

from pgmgraph.atomic import whole_file, write_text


@dataclass(frozen=True)
class Picture:
    """A picture; `source` is a data URI, `text` says what is to be seen for whoever does not see it."""

    source: str
    text: str
    caption: str = ""


@dataclass(frozen=True)
class Pictures:
    """Pictures side by side, as many as the window is wide; `width` is the least width of one, in pixels."""

    kind: ClassVar[str] = "pictures"

    pictures: Sequence[Picture]
    width: int = 320


@dataclass(frozen=True)
class Table:
    """Rows of texts, of which the first column heads its row; after the first `words` columns come numbers."""

    kind: ClassVar[str] = "table"

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    words: int = 1


@dataclass(frozen=True)
class Heat:
    """A table of counts whose cells are shaded by their share, from 0 to 1, of their row."""

    kind: ClassVar[str] = "heat"

    columns: Sequence[str]
    rows: Sequence[str]
    counts: Sequence[Sequence[int]]
    shares: Sequence[Sequence[float]]
    corner: str
    caption: str = ""


@dataclass(frozen=True)
class Bars:
    """Shares of a whole: (name, share from 0 to 1, text) of each."""

    kind: ClassVar[str] = "bars"

    rows: Sequence[tuple[str, float, str]]
    caption: str = ""


@dataclass(frozen=True)
class Listing:
    """Text in which every blank counts."""

    kind: ClassVar[str] = "listing"

    text: str
    caption: str = ""


@dataclass(frozen=True)
class Paragraph:
    """A paragraph of plain text."""

    kind: ClassVar[str] = "paragraph"

    text: str


Block: TypeAlias = Pictures | Table | Heat | Bars | Listing | Paragraph


@dataclass(frozen=True)
class Section:
    """A part of a page with a heading; without blocks it does not appear, `beside` puts them side by side."""

    name: str
    heading: str
    blocks: Sequence[Block]
    beside: bool = False


@dataclass(frozen=True)
class Figure:
    """A main figure of the summary: what, how much, and a remark in small print."""

    name: str
    value: str
    remark: str = ""


@dataclass(frozen=True)
class Page:
    """Everything on a page, in reading order.

    Attributes:
        title: of the window, and the headline.
        subtitle: one line under it.
        figures: the summary.
        sections: the parts; the navigation lists them.
        left_out: what one might look for in vain, and why: (what, reason) of each.
    """

    title: str
    subtitle: str
    figures: Sequence[Figure]
    sections: Sequence[Section]
    left_out: Sequence[tuple[str, str]] = ()


def render(page: Page) -> str:
    """The page as HTML; all texts on it are escaped."""
    environment = Environment(
        loader=PackageLoader("pgmgraph.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    html = environment.get_template("page.html").render(page=page)
    # A name of a file need not be text: half a surrogate pair has no place in UTF-8.
    return html.encode("utf-8", "replace").decode("utf-8")


def save_picture(picture: Picture, path: Path) -> Path:
    """Write a picture as a file of its own; its kind gives the path its ending.

    Raises:
        OutputError: it cannot be written.
    """
    kind, _, content = picture.source.partition(";base64,")
    path = path.with_name(f"{path.name}.{kind.removeprefix('data:image/').partition('+')[0]}")
    with whole_file(path) as temporary:
        temporary.write_bytes(base64.b64decode(content))
    return path


def write_page(page: Page, path: Path) -> Path:
    """Write a page to a file, whole or not at all; the path that was written.

    Raises:
        OutputError: it cannot be written.
    """
    write_text(path, render(page))
    return path
