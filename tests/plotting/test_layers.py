"""Rows by longest path, few crossings, and centres as near as their widths allow."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import lsq_linear

from pgmgraph.plotting.layers import layered, spread


def test_each_node_stands_one_row_above_its_highest_child() -> None:
    layers = layered("abcd", [("a", "b"), ("b", "c"), ("a", "c"), ("d", "c")])
    assert {name: height for height, row in enumerate(layers.rows) for name in row if isinstance(name, str)} == {
        "a": 0,
        "b": 1,
        "c": 2,
        "d": 0,
    }
    assert layers.paths[0] == ("a", "b")
    assert layers.paths[2] == ("a", (2, 1), "c")
    assert set(layers.rows[1]) == {"b", (2, 1), (3, 1)}


def test_crossings_are_undone() -> None:
    layers = layered("abcxyz", [("a", "z"), ("b", "y"), ("c", "x")])
    below, above = layers.rows
    partner = {"a": "z", "b": "y", "c": "x"}
    assert [partner[str(name)] for name in below] == list(above)


def test_a_cycle_is_drawn_downwards() -> None:
    layers = layered("ab", [("a", "b"), ("b", "a")])
    assert len(layers.rows) == 2
    assert {row[0] for row in layers.rows} == {"a", "b"}


def test_a_long_chain_needs_no_recursion() -> None:
    names = [str(index) for index in range(1500)][::-1]
    layers = layered(names, [(str(index), str(index + 1)) for index in range(1499)])
    assert [row[0] for row in layers.rows] == names[::-1]


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)).filter(lambda wire: wire[0] != wire[1]), max_size=12))
def test_any_wiring_has_rows(pairs: list[tuple[int, int]]) -> None:
    wires = [(str(child), str(parent)) for child, parent in pairs]
    layers = layered("0123456", wires)
    heights = {waypoint: height for height, row in enumerate(layers.rows) for waypoint in row}
    assert set("0123456") <= set(heights)
    for (child, parent), path in zip(wires, layers.paths, strict=True):
        assert (path[0], path[-1]) == (child, parent)
        # A path goes one row at a time, so a line never runs through a box.
        assert set(np.abs(np.diff([heights[waypoint] for waypoint in path]))) == {1}
    if all(child < parent for child, parent in wires):
        assert all(heights[child] < heights[parent] for child, parent in wires)


@given(
    st.lists(st.floats(-5, 5), min_size=1, max_size=5),
    st.lists(st.floats(0.1, 2), min_size=5, max_size=5),
    st.floats(0, 1),
)
def test_centres_keep_their_distance(wanted: list[float], widths: list[float], gap: float) -> None:
    placed = np.array(spread(wanted, widths[: len(wanted)], gap))
    assert len(placed) == len(wanted)
    room = (np.array(widths[: len(wanted) - 1]) + np.array(widths[1 : len(wanted)])) / 2 + gap
    assert (np.diff(placed) >= room - 1e-9).all()


def test_centres_are_the_nearest_in_least_squares() -> None:
    wanted, widths, gap = np.array([1.0, 0.0, 0.2, 5.0]), np.array([1.0, 2.0, 1.0, 1.0]), 0.5
    room = (widths[:-1] + widths[1:]) / 2 + gap
    offsets = np.array([0.0, *np.cumsum(room)])
    # Free room to the right of each centre, at least none: the same problem with bounds, solved by another method.
    solved = lsq_linear(np.tril(np.ones((4, 4))), wanted - offsets, ([-np.inf, 0, 0, 0], np.inf), tol=1e-12)
    expected = np.cumsum(solved.x) + offsets
    np.testing.assert_allclose(spread(wanted.tolist(), widths.tolist(), gap), expected, atol=1e-6)
    assert spread([3.0, 9.0], [1.0, 1.0], 1.0) == pytest.approx([3.0, 9.0])
