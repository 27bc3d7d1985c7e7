"""Latent spaces: points in the plane, coloured by group."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pgmgraph.errors import DataError
from pgmgraph.plotting.arrays import Values, as_array, as_finite_matrix
from pgmgraph.plotting.style import (
    INK,
    RULE,
    TEXT_SIZE,
    UNLABELLED,
    group_style,
    new_figure,
    place,
)

Points: TypeAlias = npt.NDArray[np.float64]
Names: TypeAlias = Mapping[int, str] | Sequence[str]

PANELS_A_ROW = 3
LEGEND_ROWS = 14
PANEL_INCHES = 3.6
GAP_INCHES = 0.2
HEADING_INCHES = 0.3
TITLE_INCHES = 0.42


def project(
    latents: Values, method: Literal["pca", "tsne"] = "pca", seed: int = 0, items: int = 2000
) -> tuple[Points, npt.NDArray[np.int64]]:
    """Bring latents into the plane.

    Args:
        latents: (N, D) finite values.
        method: "pca", the two directions of greatest variance of all N rows; or "tsne", the neighbour embedding of
            the chosen rows (van der Maaten and Hinton, 2008), which keeps neighbourhoods but no distances.
        seed: of the choice of rows and of t-SNE.
        items: at most so many rows are chosen, without replacement.

    Returns:
        points (M, 2) float64, and rows (M,) int64 ascending, which rows of `latents` they are.

    Raises:
        DataError: `latents` are no finite matrix or have no row or column, or `method` is unknown.
    """
    if method not in ("pca", "tsne"):
        raise DataError(f"Expected method 'pca' or 'tsne'; got {method!r}. Choose one of the two.")
    matrix = as_finite_matrix(latents, "latents")
    if 0 in matrix.shape or items < 1:
        raise DataError(
            f"Expected at least one row and column of latents and items >= 1; got {matrix.shape} and items={items}. "
            f"Pass the latents of some items."
        )
    count = min(items, len(matrix))
    rows = np.sort(np.random.default_rng(seed).choice(len(matrix), count, replace=False)).astype(np.int64)
    # With fewer than four points t-SNE has no neighbourhoods to keep.
    if method == "pca" or count < 4:
        return _principal_components(matrix)[rows], rows
    return _neighbour_embedding(matrix[rows], seed), rows


def _principal_components(matrix: Points) -> Points:
    """(N, 2) scores; the sign is fixed by making the largest loading positive, so that runs compare."""
    centred = matrix - matrix.mean(axis=0)
    _, directions = np.linalg.eigh(centred.T @ centred)
    leading = directions[:, ::-1][:, :2]
    largest = np.take_along_axis(leading, np.abs(leading).argmax(axis=0)[None], axis=0)
    scores = centred @ (leading * np.where(largest < 0, -1.0, 1.0))
    return np.pad(scores, ((0, 0), (0, 2 - scores.shape[1])))


def _neighbour_embedding(matrix: Points, seed: int) -> Points:
    # scikit-learn takes a second to import, and most pictures do without.
    from sklearn.manifold import TSNE

    start = _principal_components(matrix)
    # scikit-learn's own choice: a start that is small beside the embedding's final size.
    start = start / max(float(start[:, 0].std()), np.finfo(np.float64).tiny) * 1e-4
    perplexity = min(30.0, (len(matrix) - 1) / 3)
    embedding = TSNE(n_components=2, init=start, perplexity=perplexity, random_state=seed)
    return np.asarray(embedding.fit_transform(matrix), dtype=np.float64)


def latent_figure(
    panels: Mapping[str, tuple[Values, Values]], title: str | None = None, names: Names | None = None
) -> Figure:
    """Points in the plane, side by side, one colour a group throughout; beyond twelve groups markers differ too.

    Args:
        panels: heading of each panel (e.g. "before", "after") to its points (M, 2) and their groups (M,), integers; a
            negative group means none, and is drawn grey.
        title: of the whole picture.
        names: what the legend calls each group; by default its number.

    Raises:
        DataError: no panels; points not (M, 2) or not finite; groups not (M,) integers.
    """
    if not panels:
        raise DataError("Expected at least one panel; got none. Pass {heading: (points, groups)}.")
    checked = {heading: _checked(heading, *panel) for heading, panel in panels.items()}
    groups = sorted({int(group) for _, groups in checked.values() for group in np.unique(groups)})
    shown = [group for group in groups if group >= 0] + ([-1] if groups and groups[0] < 0 else [])
    labels = [_label(group, names) for group in shown]
    legend_columns = math.ceil(len(shown) / LEGEND_ROWS)
    legend_inches = legend_columns * (0.5 + 0.08 * max((len(label) for label in labels), default=0))
    columns, rows = min(len(checked), PANELS_A_ROW), math.ceil(len(checked) / PANELS_A_ROW)
    top = TITLE_INCHES if title else 0.08
    width = GAP_INCHES + columns * (PANEL_INCHES + GAP_INCHES) + legend_inches
    height = top + rows * (HEADING_INCHES + PANEL_INCHES + GAP_INCHES)
    figure = new_figure(width, height, title)
    dot = float(np.clip(16_000 / max(1, *(len(points) for points, _ in checked.values())), 7, 30))
    for index, (heading, (points, members)) in enumerate(checked.items()):
        row, column = divmod(index, PANELS_A_ROW)
        left = GAP_INCHES + column * (PANEL_INCHES + GAP_INCHES)
        bottom = height - top - (row + 1) * (HEADING_INCHES + PANEL_INCHES) - row * GAP_INCHES
        axes = place(figure, left, bottom, PANEL_INCHES, PANEL_INCHES)
        _draw_panel(axes, heading, points, members, shown, dot)
    handles = [_legend_handle(group, shown) for group in shown]
    figure.legend(
        handles, labels, loc="upper left", ncols=legend_columns, frameon=False, fontsize=TEXT_SIZE, labelcolor=INK,
        bbox_to_anchor=(1 - (legend_inches + 0.08) / width, 1 - (top + HEADING_INCHES - 0.06) / height),
        borderpad=0, borderaxespad=0, handletextpad=0.4, columnspacing=1.0,
    )  # fmt: skip
    return figure


def _checked(heading: str, points: Values, groups: Values) -> tuple[Points, npt.NDArray[np.int64]]:
    matrix = as_finite_matrix(points, f"points of panel {heading!r}")
    members = as_array(groups)
    if matrix.shape[1] != 2:
        raise DataError(
            f"Expected points (M, 2) in panel {heading!r}; got {matrix.shape}. "
            f"Bring them into the plane with project()."
        )
    if members.shape != (len(matrix),):
        raise DataError(
            f"Expected one group for each of the {len(matrix)} points of panel {heading!r}; got groups of shape "
            f"{members.shape}. Where project() chose rows, take the groups of those rows."
        )
    whole = members.astype(np.int64)
    if not np.array_equal(whole, members):
        raise DataError(f"Expected integer groups in panel {heading!r}; got {members.dtype}. Number the groups.")
    return matrix, np.maximum(whole, -1)


def _label(group: int, names: Names | None) -> str:
    if group < 0:
        return "none"
    if names is None:
        return str(group)
    if isinstance(names, Mapping):
        return names.get(group, str(group))
    return names[group] if group < len(names) else str(group)


def _colour_and_marker(group: int, shown: Sequence[int]) -> tuple[str, str]:
    return (UNLABELLED, "o") if group < 0 else group_style(shown.index(group))


def _legend_handle(group: int, shown: Sequence[int]) -> Line2D:
    colour, marker = _colour_and_marker(group, shown)
    return Line2D([], [], linestyle="none", marker=marker, markersize=6, color=colour, markeredgewidth=0)


def _draw_panel(
    axes: Axes, heading: str, points: Points, groups: npt.NDArray[np.int64], shown: Sequence[int], dot: float
) -> None:
    # Unlabelled points first: they are the background.
    for group in sorted(shown):
        colour, marker = _colour_and_marker(group, shown)
        chosen = points[groups == group]
        axes.scatter(chosen[:, 0], chosen[:, 1], s=dot, c=colour, marker=marker, alpha=0.8, linewidths=0)
    if len(points):
        low, high = points.min(axis=0), points.max(axis=0)
        # A square window, so that both directions have one scale and all panels one size.
        half = max(0.54 * float((high - low).max()), 1e-12)
        axes.set_xlim(*((low[0] + high[0]) / 2 + np.array([-half, half])))
        axes.set_ylim(*((low[1] + high[1]) / 2 + np.array([-half, half])))
    axes.set_aspect("equal", adjustable="box")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_color(RULE)
    axes.set_title(heading, loc="left", size=TEXT_SIZE + 0.5, color=INK, pad=5)
