"""The palette can be told apart by colour-blind readers too."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt
from matplotlib.colors import to_rgb

from pgmgraph.plotting.style import MARKERS, PALETTE, group_style, new_figure, place

# Machado, Oliveira and Fernandes (2009), severity 1, on linear RGB.
SIMULATIONS: dict[str, npt.ArrayLike] = {
    "normal": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def cielab(colour: str, simulation: npt.ArrayLike) -> npt.NDArray[np.float64]:
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = XYZ @ np.clip(np.asarray(simulation) @ linear, 0, 1) / np.array([0.9505, 1, 1.089])
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_every_two_colours_differ_for_every_reader() -> None:
    assert len(set(PALETTE)) == len(PALETTE) >= 10
    for simulation in SIMULATIONS.values():
        for a, b in combinations(PALETTE, 2):
            assert np.linalg.norm(cielab(a, simulation) - cielab(b, simulation)) > 26


def test_groups_past_the_palette_take_another_marker() -> None:
    styles = {group_style(index) for index in range(len(PALETTE) * len(MARKERS))}
    assert len(styles) == len(PALETTE) * len(MARKERS)
    assert group_style(0) == (PALETTE[0], "o")


def test_axes_are_placed_in_inches() -> None:
    axes = place(new_figure(4, 2), 1, 0.5, 2, 1)
    np.testing.assert_allclose(axes.get_position().bounds, (0.25, 0.25, 0.5, 0.5))
