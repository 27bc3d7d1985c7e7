"""A picture of scores by scheme: each seed a dot, the mean a bar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pgmgraph.plotting.style import FAINT_INK, INK, PALETTE, RULE, SMALL_SIZE, TEXT_SIZE, new_figure, place

PANEL_WIDTH = 3.4
ROW_INCHES = 0.3
LETTER_INCHES = 0.072
HEADING_INCHES = 0.75
BOTTOM_INCHES = 0.45
GAP = 0.25
MARK_STYLES = ("--", ":", "-.")


def strips_figure(
    panels: Mapping[str, Mapping[str, Sequence[float]]], title: str, marks: Mapping[str, float]
) -> Figure:
    """One panel a score, one row a scheme, the first at the top.

    Args:
        panels: score to scheme to its values, one a seed; the same schemes in each.
        title: of the whole picture.
        marks: values to compare with, by what they are, as vertical lines.
    """
    names = list(next(iter(panels.values())))
    left = 0.2 + LETTER_INCHES * max(map(len, names))
    inner = ROW_INCHES * len(names)
    legend = 0.22 if marks else 0.0
    width = left + len(panels) * (PANEL_WIDTH + GAP)
    height = HEADING_INCHES + legend + inner + BOTTOM_INCHES
    figure = new_figure(width, height, title)
    lines = []
    for number, (heading, rows) in enumerate(panels.items()):
        axes = place(figure, left + number * (PANEL_WIDTH + GAP), BOTTOM_INCHES, PANEL_WIDTH, inner)
        lines = [
            axes.axvline(value, color=INK, linewidth=1, linestyle=MARK_STYLES[index % len(MARK_STYLES)], zorder=1)
            for index, value in enumerate(marks.values())
        ]
        for row, name in enumerate(names):
            axes.plot(rows[name], [row] * len(rows[name]), "o", color=PALETTE[0], markersize=4.5, alpha=0.6, zorder=2)
            axes.plot([mean(rows[name])] * 2, [row - 0.33, row + 0.33], color=PALETTE[1], linewidth=2.5, zorder=3)
        _dress(axes, heading, names if number == 0 else [""] * len(names))
    if marks:
        figure.legend(
            lines, [f"{name}, {value:.4g}" for name, value in marks.items()], loc="upper left", ncols=len(marks),
            frameon=False, fontsize=SMALL_SIZE, labelcolor=INK, bbox_to_anchor=(0.12 / width, 1 - 0.36 / height),
            borderpad=0, borderaxespad=0,
        )  # fmt: skip
    return figure


def _dress(axes: Axes, heading: str, names: Sequence[str]) -> None:
    axes.set_title(heading, loc="left", size=TEXT_SIZE, color=INK, pad=6)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_yticks(range(len(names)), names, size=TEXT_SIZE, color=INK)
    axes.set_xlabel("accuracy", size=TEXT_SIZE, color=FAINT_INK)
    axes.tick_params(length=0, axis="both")
    axes.tick_params(axis="x", labelsize=SMALL_SIZE, labelcolor=FAINT_INK)
    axes.grid(axis="x", color=RULE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(RULE)
