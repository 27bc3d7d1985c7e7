"""Learning curves: a quantity against the round, one line a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from pgmgraph.errors import DataError
from pgmgraph.plotting.arrays import Values, as_array
from pgmgraph.plotting.style import FAINT_INK, INK, RULE, SMALL_SIZE, TEXT_SIZE, group_style, new_figure, place, plain

PANEL_WIDTH = 3.7
PANEL_HEIGHT = 2.6
LEFT_MARGIN = 0.85
RIGHT_MARGIN = 0.2
BOTTOM_MARGIN = 0.55
HEADING_INCHES = 0.32
TITLE_INCHES = 0.4
LINE_INCHES = 0.24
PANELS_A_ROW = 3


def curves_figure(
    curves: Mapping[str, Mapping[str, Sequence[float | None] | Values]],
    title: str | None = None,
    *,
    first_round: int = 1,
) -> Figure:
    """One panel a quantity, one line a run; a run has the same colour in every panel.

    Args:
        curves: quantity ("F", "accuracy") to run ("mutual", "no messages") to its values, one a round, in the
            quantity's own units. None, NaN and infinity leave a gap.
        title: of the whole picture.
        first_round: the round of the first value.

    Raises:
        DataError: no quantities, or values of a run that are no sequence of numbers.
    """
    if not curves:
        raise DataError("Expected at least one quantity; got none. Pass {quantity: {run: values}}.")
    runs = list(dict.fromkeys(run for lines in curves.values() for run in lines))
    columns, rows = min(len(curves), PANELS_A_ROW), -(-len(curves) // PANELS_A_ROW)
    cell_width, cell_height = LEFT_MARGIN + PANEL_WIDTH, HEADING_INCHES + PANEL_HEIGHT + BOTTOM_MARGIN
    width = columns * cell_width + RIGHT_MARGIN
    legend_columns = max(1, int(width / (0.6 + 0.085 * max(map(len, runs), default=1))))
    legend_rows = -(-len(runs) // legend_columns) if len(runs) > 1 else 0
    top = (TITLE_INCHES if title else 0.08) + LINE_INCHES * legend_rows
    height = top + rows * cell_height
    figure = new_figure(width, height, title)
    for index, (quantity, lines) in enumerate(curves.items()):
        row, column = divmod(index, PANELS_A_ROW)
        left = column * cell_width + LEFT_MARGIN
        bottom = height - top - (row + 1) * cell_height + BOTTOM_MARGIN
        axes = place(figure, left, bottom, PANEL_WIDTH, PANEL_HEIGHT)
        for run, values in lines.items():
            _draw_line(axes, run, _checked(quantity, run, values), runs.index(run), first_round)
        _dress(axes, quantity)
    if legend_rows:
        handles = [Line2D([], [], color=group_style(index)[0], linewidth=2) for index in range(len(runs))]
        figure.legend(
            handles, [plain(run) for run in runs], loc="upper left", ncols=min(legend_columns, len(runs)),
            frameon=False, fontsize=TEXT_SIZE, labelcolor=INK,
            bbox_to_anchor=(0.12 / width, 1 - ((TITLE_INCHES if title else 0.08) + 0.02) / height),
            borderpad=0, borderaxespad=0, handlelength=1.4, handletextpad=0.5, columnspacing=1.6,
        )  # fmt: skip
    return figure


def _checked(quantity: str, run: str, values: Sequence[float | None] | Values) -> npt.NDArray[np.float64]:
    """(rounds,) float64 with NaN wherever nothing is to be drawn."""
    try:
        # numpy makes NaN of None here.
        line = as_array(values).astype(np.float64)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise DataError(f"Expected numbers in {run!r} of {quantity!r}; got {error}. Pass one value a round.") from error
    if line.ndim != 1:
        raise DataError(f"Expected one value a round in {run!r} of {quantity!r}; got shape {line.shape}. Flatten it.")
    return np.where(np.isfinite(line), line, np.nan)


def _draw_line(axes: Axes, run: str, values: npt.NDArray[np.float64], index: int, first_round: int) -> None:
    known = np.isfinite(values)
    padded = np.pad(known, 1)
    # A value between two gaps has no line to be part of.
    alone = np.flatnonzero(known & ~padded[:-2] & ~padded[2:])
    axes.plot(
        np.arange(len(values)) + first_round, values, label=run, color=group_style(index)[0], linewidth=1.8,
        marker="o", markersize=4.5, markevery=alone.tolist(), solid_capstyle="round", solid_joinstyle="round",
    )  # fmt: skip


def _dress(axes: Axes, quantity: str) -> None:
    axes.set_title(plain(quantity), loc="left", size=TEXT_SIZE + 0.5, color=INK, pad=6)
    axes.set_xlabel("round", size=TEXT_SIZE, color=FAINT_INK)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=7, integer=True, min_n_ticks=1))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10]))
    # No offset and no power of ten in a corner: each tick can be read by itself.
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}".replace("-", "\N{MINUS SIGN}")))
    axes.tick_params(length=0, labelsize=SMALL_SIZE, labelcolor=FAINT_INK)
    axes.grid(axis="y", color=RULE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(RULE)
    axes.margins(x=0.02, y=0.06)
    if axes.dataLim.width < 1:
        # One round only: matplotlib's window would be narrower than the step from one round to the next.
        axes.set_xlim(axes.dataLim.x0 - 0.5, axes.dataLim.x0 + 0.5)
