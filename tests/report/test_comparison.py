"""Runs beside one another: the table holds the last known values, the pictures one line a run."""

from __future__ import annotations

from pathlib import Path

from pgmgraph.plotting import curves_figure
from pgmgraph.report import History, final_values, quantities, write_comparison
from pgmgraph.report.comparison import comparison_page
from pgmgraph.report.page import Pictures, render
from tests.report.browser import measured, needs_chromium, opened

RUNS: dict[str, History] = {
    "mutual": {"accuracy": [0.5, 0.9], "F": [-20.0, -10.0], "seconds": [2.0, 1.0]},
    "control": {"F": [-30.0, None, -25.0], "seconds": [1.0, 1.0, 1.0], "nmi": [0.1, 0.2, 0.3]},
    "unknown": {"F": [None], "seconds": [None]},
}


def test_final_values_are_the_last_known_ones() -> None:
    columns, rows = final_values(RUNS)
    assert columns == ["run", "rounds", "F", "accuracy", "nmi", "seconds"]
    assert rows == [
        ["mutual", 2, -10.0, 0.9, None, 3.0],
        ["control", 3, -25.0, None, 0.3, 3.0],
        ["unknown", 1, None, None, None, 0.0],
    ]
    assert final_values({}) == (["run", "rounds", "seconds"], [])


def test_a_run_keeps_its_line_in_every_picture() -> None:
    drawn = quantities(RUNS)
    assert list(drawn) == ["F", "accuracy", "nmi"]
    assert all(list(lines) == list(RUNS) for lines in drawn.values())
    figure = curves_figure(drawn)
    colours = {line.get_label(): line.get_color() for line in figure.axes[0].lines}
    for axes in figure.axes:
        assert {line.get_label(): line.get_color() for line in axes.lines} == colours


def test_the_page_names_the_best_of_each() -> None:
    page = comparison_page(RUNS, "Compared")
    assert [(figure.name, figure.value, figure.remark) for figure in page.figures] == [
        ("greatest F", "−10", "mutual"),
        ("greatest accuracy", "0.900", "mutual"),
        ("greatest nmi", "0.300", "control"),
    ]
    [pictures] = page.sections[1].blocks
    assert isinstance(pictures, Pictures)
    assert "last: mutual −10, control −25, unknown –" in pictures.pictures[0].text


def test_runs_without_a_round_are_compared_without_curves() -> None:
    page = comparison_page({"a": {}, "b": {}}, "Compared")
    assert [section.heading for section in page.sections if section.blocks] == ["Final values"]
    assert page.left_out
    render(page)


@needs_chromium
def test_a_browser_has_nothing_to_complain_about(tmp_path: Path) -> None:
    path = write_comparison(RUNS, tmp_path / "compared.html")
    _, console = opened(path, tmp_path / "profile")
    assert console == []
    assert measured(path, tmp_path / "profile", 500) == (0, 3, 0)
