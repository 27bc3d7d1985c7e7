"""A page escapes what is on it, shows what it has, and is one whole file."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pgmgraph.errors import OutputError
from pgmgraph.report.page import (
    Bars,
    Block,
    Figure,
    Heat,
    Listing,
    Page,
    Paragraph,
    Picture,
    Pictures,
    Section,
    Table,
    render,
    write_page,
)
from tests.refusals import refused

WILD = "</pre></script><script>alert('no')</script>\"' onload=x & <b>"
BLOCKS: tuple[Block, ...] = (
    Pictures([Picture("data:image/png;base64,AAAA", WILD, WILD)]),
    Table([WILD, "b"], [[WILD, WILD]], WILD),
    Heat([WILD], [WILD], [[3]], [[1.0]], WILD, WILD),
    Bars([(WILD, 0.5, WILD)], WILD),
    Listing(WILD, WILD),
    Paragraph(WILD),
)
EMPTY = {"meta", "link", "img", "br"}


class Reader(HTMLParser):
    """Collects tags and attributes, and checks that tags close in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert not reader.open
    return reader


def page(*sections: Section) -> Page:
    return Page(WILD, WILD, [Figure(WILD, WILD, WILD)], sections, [(WILD, WILD)])


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.kind)
def test_text_stays_text(block: Block) -> None:
    html = render(page(Section("name", WILD, [block])))
    reader = read(html)
    assert "script" not in reader.tags
    assert "b" not in reader.tags
    assert not [name for name, _ in reader.attributes if name.startswith("on")]
    assert WILD in reader.text


def test_the_same_tags_whatever_the_text() -> None:
    wild, tame = (
        render(Page(text, text, [Figure(text, text, text)], [Section("s", text, [Table([text], [[text]], text)])]))
        for text in (WILD, "tame")
    )
    assert read(wild).tags == read(tame).tags


def test_nothing_is_fetched() -> None:
    html = render(page(Section("name", "Heading", BLOCKS)))
    for name, value in read(html).attributes:
        if name in ("src", "href"):
            assert value.startswith(("data:", "#"))
    assert not re.search(r"url\(|@import|https?://", html.replace(WILD, ""))
    assert "default-src 'none'" in html


def test_sections_without_blocks_are_left_out_and_others_are_linked() -> None:
    reader = read(render(page(Section("one", "First", [Paragraph("text")]), Section("two", "Second", []))))
    assert ("href", "#one") in reader.attributes
    assert ("id", "one") in reader.attributes
    assert not [value for _, value in reader.attributes if value.endswith("two")]
    assert "Second" not in reader.text


def test_words_are_set_as_words_and_numbers_as_numbers() -> None:
    html = render(Page("t", "", [], [Section("s", "S", [Table(["a", "b", "c"], [["1", "2", "3"]], words=2)])]))
    assert '<th scope="row">1</th><td>2</td><td class="number">3</td>' in html


def test_a_heat_table_shows_zero_as_a_dot_and_shades_the_rest() -> None:
    html = render(Page("t", "", [], [Section("s", "S", [Heat(["x", "y"], ["r"], [[1500, 0]], [[1.0, 0.0]], "c")])]))
    assert '<td style="--share: 1.000" class="strong">1,500</td><td style="--share: 0.000">·</td>' in html


def test_half_a_surrogate_pair_is_no_obstacle(tmp_path: Path) -> None:
    path = write_page(Page("a\udc80b", "", [], []), tmp_path / "new" / "page.html")
    assert "a?b" in path.read_text(encoding="utf-8")


def test_an_older_page_is_replaced_whole_and_nothing_is_left_behind(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    write_page(Page("first", "", [], []), path)
    write_page(Page("second", "", [], []), path)
    assert "second" in path.read_text(encoding="utf-8")
    assert [one.name for one in tmp_path.iterdir()] == ["page.html"]


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("x")
    with refused(OutputError, "taken"):
        write_page(Page("t", "", [], []), tmp_path / "taken" / "page.html")
