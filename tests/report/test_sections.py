"""What a run did, in numbers: every figure on the page is one of the history or the trace."""

from __future__ import annotations

import base64
from typing import TypeVar

from pgmgraph import Entry
from pgmgraph.report import Account, History, Story, sections
from pgmgraph.report.page import Bars, Block, Listing, Paragraph, Pictures, Section, Table

B = TypeVar("B", bound=Block)


def only(section: Section, kind: type[B]) -> B:
    """The one block of this kind."""
    [block] = [block for block in section.blocks if isinstance(block, kind)]
    return block


def trace() -> list[Entry]:
    terms = {"vae": {"log p(x)": -30.0, "H[z]": 5.0}, "gmm": {"log p(z)": -4.0}}
    return [
        Entry(0, ("vae",), None, 0.0, {}, {"vae": 6.0}),
        Entry(0, ("gmm",), -31.0, 0.5, terms, {"gmm": 2.0}),
        Entry(1, ("vae",), -29.0, 0.5, {**terms, "vae": {"log p(x)": -28.0, "H[z]": 3.0}}, {"vae": 1.0}),
    ]


def test_the_terms_are_those_of_the_last_stage_and_make_up_f() -> None:
    table = only(sections.terms(Account("t", trace=trace())), Table)
    assert table.rows == [
        ["vae", "log p(x)", "−28"],
        ["vae", "H[z]", "3"],
        ["gmm", "log p(z)", "−4"],
        ["all", "F", "−29"],
    ]
    assert "After round 2" in table.caption
    assert "within 0.500" in table.caption
    assert not sections.terms(Account("t", trace=trace()[:1])).blocks


def test_time_is_shared_out_among_modules_and_the_rest() -> None:
    account = Account("t", history={"F": [None, -29.0], "seconds": [9.0, 3.0]}, trace=trace())
    bars = only(sections.time(account), Bars)
    assert [(name, round(share, 6), text) for name, share, text in bars.rows] == [
        ("vae", 0.583333, "7 s (58 %)"),
        ("gmm", 0.166667, "2 s (17 %)"),
        ("all else", 0.25, "3 s (25 %)"),
    ]
    assert not sections.time(Account("t")).blocks


def test_the_table_of_rounds_is_short_and_has_the_first_and_the_last() -> None:
    column = [float(round) for round in range(100)]
    section = sections.learning(Account("t", history={"seconds": column, "F": column}))
    table = only(section, Table)
    assert list(table.columns) == ["round", "F", "seconds"]
    assert len(table.rows) == 12
    assert table.rows[0][:2] == ["1", "0"]
    assert table.rows[-1][:2] == ["100", "99"]
    assert table.caption == "12 of 100 rounds."


def test_curves_are_drawn_of_what_is_known() -> None:
    history: History = {"accuracy": [0.5], "F": [None], "seconds": [1.0]}
    section = sections.learning(Account("t", history=history, name="mutual", others={"control": {"accuracy": [0.25]}}))
    pictures = only(section, Pictures)
    assert [picture.text for picture in pictures.pictures] == ["accuracy by round; last: mutual 0.500, control 0.250"]
    table = only(section, Table)
    assert [row[0] for row in table.rows] == ["mutual", "control"]


def test_the_summary_has_the_main_figures_beside_those_of_other_runs(story: Story) -> None:
    figures = {figure.name: figure for figure in sections.summary(story)}
    assert list(figures) == ["accuracy", "nmi", "ari", "F", "rounds", "time", "items", "clusters of gmm.c"]
    assert figures["accuracy"].remark == f"no messages: {figures['accuracy'].value}"
    assert figures["rounds"].value == "3"
    assert figures["items"].value == "40"
    assert (figures["clusters of gmm.c"].value, figures["clusters of gmm.c"].remark) == ("2", "all in use")


def test_warnings_come_once_each_with_how_often() -> None:
    table = only(sections.warned(Account("t", warnings=["a", "b", "a"])), Table)
    assert table.rows == [["2 ×", "a"], ["1 ×", "b"]]
    assert isinstance(sections.warned(Account("t")).blocks[0], Paragraph)


def test_the_model_is_a_picture_beside_its_configuration(story: Story) -> None:
    section = sections.model(story)
    assert section.beside
    pictures, listing = section.blocks
    assert isinstance(pictures, Pictures)
    assert isinstance(listing, Listing)
    assert listing.text.startswith("graph:")
    [picture] = pictures.pictures
    assert "pixels to vae (value: ↑ Point)" in picture.text
    assert base64.b64decode(picture.source.partition(",")[2]).startswith(b"<?xml")


def test_the_environment_is_a_table() -> None:
    table = only(sections.environment(Account("t", environment={"torch": "2.9", "gpu": ""})), Table)
    assert table.rows == [["torch", "2.9"], ["gpu", "–"]]
