"""Learning curves: one panel a quantity, one line a run, gaps where a value is missing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pgmgraph.errors import DataError
from pgmgraph.plotting import curves_figure
from pgmgraph.plotting.style import PALETTE


def test_quantities_are_panels_and_runs_are_lines_of_one_colour() -> None:
    figure = curves_figure(
        {
            "F": {"mutual": [None, -20.0, -10.0], "no messages": [-30.0, -25.0, -24.0]},
            "accuracy": {"no messages": torch.tensor([0.1, 0.2, 0.3])},
        },
        "Learning",
    )
    bound, accuracy = figure.axes
    assert [axes.get_title(loc="left") for axes in (bound, accuracy)] == ["F", "accuracy"]
    assert [axes.get_xlabel() for axes in (bound, accuracy)] == ["round", "round"]
    assert [line.get_color() for line in bound.lines] == list(PALETTE[:2])
    assert [line.get_color() for line in accuracy.lines] == [PALETTE[1]]
    np.testing.assert_array_equal(bound.lines[0].get_xdata(), [1, 2, 3])
    np.testing.assert_array_equal(bound.lines[0].get_ydata(), [np.nan, -20, -10])
    np.testing.assert_allclose(np.asarray(accuracy.lines[0].get_ydata()), [0.1, 0.2, 0.3], rtol=1e-6)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["mutual", "no messages"]


def test_infinity_is_a_gap_and_a_lonely_value_a_dot() -> None:
    figure = curves_figure({"F": {"run": [1.0, np.inf, 3.0, np.nan, 5.0, 6.0]}})
    line = figure.axes[0].lines[0]
    np.testing.assert_array_equal(line.get_ydata(), [1, np.nan, 3, np.nan, 5, 6])
    assert line.get_markevery() == [0, 2]
    assert not figure.legends


@pytest.mark.parametrize("rounds", [1, 2, 3, 50])
def test_ticks_are_whole_rounds(rounds: int) -> None:
    axes = curves_figure({"F": {"run": np.linspace(0, 1, rounds)}}, first_round=0).axes[0]
    ticks = axes.get_xticks()
    np.testing.assert_array_equal(ticks, np.round(ticks))


def test_large_values_are_written_out() -> None:
    axes = curves_figure({"F": {"run": [-3_000_000.0, -1_000_000.0]}}).axes[0]
    axes.figure.canvas.draw()
    texts = [tick.get_text() for tick in axes.get_yticklabels()]
    assert "\N{MINUS SIGN}2,000,000" in texts
    assert not axes.yaxis.get_offset_text().get_text()


def test_many_runs_stay_inside_the_picture() -> None:
    figure = curves_figure({"F": {f"a run with a long name, number {index}": [0.0, index] for index in range(7)}})
    figure.canvas.draw()
    legend = figure.legends[0].get_window_extent()
    assert legend.x1 <= figure.bbox.x1
    assert legend.y0 >= figure.axes[0].get_window_extent().y1


def test_what_is_no_curve_is_refused() -> None:
    with pytest.raises(DataError, match="at least one quantity"):
        curves_figure({})
    with pytest.raises(DataError, match="Expected numbers in 'run' of 'F'"):
        curves_figure({"F": {"run": ["high", "low"]}})
    with pytest.raises(DataError, match=r"'run' of 'F'; got shape \(2, 2\)"):
        curves_figure({"F": {"run": np.zeros((2, 2))}})
