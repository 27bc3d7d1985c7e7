"""Several runs beside one another: their curves in one picture each, their final values in one table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pgmgraph.report.account import History
from pgmgraph.report.page import Figure, Page, Section, write_page
from pgmgraph.report.sections import curves, final_table, last, quantities
from pgmgraph.report.wording import counted, number


def write_comparison(runs: Mapping[str, History], path: str | Path, title: str = "Runs compared") -> Path:
    """Write the curves and final values of several runs as one page, in the look of a report.

    Args:
        runs: histories by the name of the run; see `final_values` for what the table holds.
        path: of the file; missing folders are made.
        title: the headline.

    Returns:
        The path that was written.

    Raises:
        OutputError: it cannot be written.
    """
    return write_page(comparison_page(runs, title), Path(path))


def comparison_page(runs: Mapping[str, History], title: str) -> Page:
    """Several runs as a page."""
    pictures = curves(runs)
    parts = [
        Section("values", "Final values", [final_table(runs)] if runs else []),
        Section("curves", "Round by round", [pictures] if pictures.pictures else []),
    ]
    absent = [] if pictures.pictures else [("Round by round", "No run has a round with a known value on record.")]
    return Page(title, counted(len(runs), "run"), _best(runs), parts, absent)


def _best(runs: Mapping[str, History]) -> tuple[Figure, ...]:
    """The greatest final value of each column, and whose it is."""
    figures = []
    for name, lines in quantities(runs).items():
        finals = {run: last(line) for run, line in lines.items()}
        known = {run: value for run, value in finals.items() if value is not None}
        best = max(known, key=known.__getitem__)
        figures.append(Figure(f"greatest {name}", number(known[best]), best))
    return tuple(figures)
