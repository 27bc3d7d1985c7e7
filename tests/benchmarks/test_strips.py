"""The picture shows every seed and the mean where they are."""

import pytest

from benchmarks.strips import strips_figure

PANELS = {
    "test": {"one": [0.5, 0.7], "two": [0.9]},
    "training": {"one": [0.6, 0.8], "two": [0.95]},
}


def test_each_seed_is_a_dot_the_mean_a_bar_and_the_first_scheme_on_top():
    figure = strips_figure(PANELS, "title", {"aim": 0.8})
    assert len(figure.axes) == 2
    for axes, rows in zip(figure.axes, PANELS.values(), strict=True):
        mark, *lines = axes.get_lines()
        assert list(mark.get_xdata()) == [0.8, 0.8]
        dots, bars = lines[::2], lines[1::2]
        for row, (values, dot, bar) in enumerate(zip(rows.values(), dots, bars, strict=True)):
            assert list(dot.get_xdata()) == values
            assert list(dot.get_ydata()) == [row] * len(values)
            assert list(bar.get_xdata()) == pytest.approx([sum(values) / len(values)] * 2)
        bottom, top = axes.get_ylim()
        assert bottom > top
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["one", "two"]


def test_without_marks_there_is_no_legend():
    assert strips_figure(PANELS, "title", {}).legends == []
    assert len(strips_figure(PANELS, "title", {"aim": 0.8}).legends) == 1
