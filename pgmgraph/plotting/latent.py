"""Latent spaces: points in the plane, coloured by group."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Ellipse as EllipsePatch
from matplotlib.patheffects import Normal, Stroke

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
    plain,
)

Points: TypeAlias = npt.NDArray[np.float64]
Names: TypeAlias = Mapping[int, str] | Sequence[str]

PANELS_A_ROW = 3
LEGEND_ROWS = 14
LEGEND_COLUMNS = 3
PANEL_INCHES = 3.6
GAP_INCHES = 0.2
HEADING_INCHES = 0.3
TITLE_INCHES = 0.42
DEVIATIONS = 2.0


@dataclass(frozen=True, eq=False)
class Plane:
    """The plane of greatest variance.

    Attributes:
        centre: (D,), the mean.
        directions: (D, 2), orthonormal columns, the one of greatest variance first; the second is zero where D is 1.
            The largest loading of each is positive, so that pictures of two runs compare.
        shown: the share of the variance that lies in the plane; 1 where there is no variance.
    """

    centre: Points
    directions: Points
    shown: float

    def points(self, values: Values) -> Points:
        """The places (N, 2) of `values` (N, D) in the plane."""
        return np.asarray((as_array(values).astype(np.float64) - self.centre) @ self.directions)


@dataclass(frozen=True, eq=False)
class Ellipse:
    """Where a group lies: its mean (2,) and covariance (2, 2) in the plane; drawn at two standard deviations."""

    mean: Points
    covariance: Points


def principal_plane(latents: Values) -> Plane:
    """The two principal components of `latents` (N, D).

    Raises:
        DataError: `latents` are no finite matrix, or have no row or column.
    """
    matrix = as_finite_matrix(latents, "latents")
    if 0 in matrix.shape:
        raise DataError(
            f"Expected at least one row and column of latents; got {matrix.shape}. Pass those of some items."
        )
    centre = matrix.mean(axis=0)
    centred = matrix - centre
    variances, directions = np.linalg.eigh(centred.T @ centred)
    leading = directions[:, ::-1][:, :2]
    largest = np.take_along_axis(leading, np.abs(leading).argmax(axis=0)[None], axis=0)
    leading = leading * np.where(largest < 0, -1.0, 1.0)
    total = float(variances.sum())
    shown = float(variances[-2:].sum()) / total if total > 0 else 1.0
    return Plane(centre, np.pad(leading, ((0, 0), (0, 2 - leading.shape[1]))), shown)


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
        return principal_plane(matrix).points(matrix[rows]), rows
    return _neighbour_embedding(matrix[rows], seed), rows


def _neighbour_embedding(matrix: Points, seed: int) -> Points:
    # scikit-learn takes a second to import, and most pictures do without.
    from sklearn.manifold import TSNE

    start = principal_plane(matrix).points(matrix)
    # scikit-learn's own choice: a start that is small beside the embedding's final size.
    start = start / max(float(start[:, 0].std()), np.finfo(np.float64).tiny) * 1e-4
    perplexity = min(30.0, (len(matrix) - 1) / 3)
    embedding = TSNE(n_components=2, init=start, perplexity=perplexity, random_state=seed)
    return np.asarray(embedding.fit_transform(matrix), dtype=np.float64)


def latent_figure(
    panels: Mapping[str, tuple[Values, Values]],
    title: str | None = None,
    names: Names | None = None,
    *,
    ellipses: Mapping[str, Mapping[int, Ellipse]] | None = None,
    styles: Mapping[int, int] | None = None,
) -> Figure:
    """Points in the plane, side by side, one colour a group throughout; beyond twelve groups markers differ too.

    Args:
        panels: heading of each panel (e.g. "before", "after") to its points (M, 2) and their groups (M,), integers; a
            negative group means none, and is drawn grey.
        title: of the whole picture.
        names: what the legend calls each group; by default its number.
        ellipses: for some of the panels, by heading: the ellipses of groups.
        styles: group to the number of its colour and marker, so that two pictures agree; by default its rank.

    Raises:
        DataError: no panels; ellipses of a panel that is not there; points not (M, 2) or not finite; groups not (M,)
            integers.
    """
    if not panels:
        raise DataError("Expected at least one panel; got none. Pass {heading: (points, groups)}.")
    for heading in ellipses or {}:
        if heading not in panels:
            raise DataError(
                f"Expected ellipses for {', '.join(map(repr, panels))}; got some for {heading!r}. Rename it."
            )
    checked = {heading: _checked(heading, *panel) for heading, panel in panels.items()}
    groups = sorted({int(group) for _, groups in checked.values() for group in np.unique(groups)})
    shown = [group for group in groups if group >= 0] + ([-1] if groups and groups[0] < 0 else [])
    look = {group: _look(group, rank, styles) for rank, group in enumerate(shown)}
    labels, handles = _legend(look, names)
    legend_columns = math.ceil(len(labels) / LEGEND_ROWS)
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
        around = (ellipses or {}).get(heading, {})
        _draw_panel(axes, heading, points, members, look, dot)
        _frame(axes, points, around.values())
        for group, ellipse in around.items():
            _draw_ellipse(axes, ellipse, look.get(group, (INK, "o"))[0])
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


def _look(group: int, rank: int, styles: Mapping[int, int] | None) -> tuple[str, str]:
    """Colour and marker of a group."""
    return (UNLABELLED, "o") if group < 0 else group_style((styles or {}).get(group, rank))


def _legend(look: Mapping[int, tuple[str, str]], names: Names | None) -> tuple[list[str], list[Line2D]]:
    """What a legend says of the groups, of all of them where there is room."""
    room = LEGEND_ROWS * LEGEND_COLUMNS
    listed = list(look) if len(look) <= room else list(look)[: room - 1]
    labels = [plain(_label(group, names)) for group in listed]
    handles = [_legend_handle(*look[group]) for group in listed]
    if len(listed) < len(look):
        labels.append(f"and {len(look) - len(listed):,} more")
        handles.append(Line2D([], [], linestyle="none"))
    return labels, handles


def _legend_handle(colour: str, marker: str) -> Line2D:
    return Line2D([], [], linestyle="none", marker=marker, markersize=6, color=colour, markeredgewidth=0)


def _draw_panel(
    axes: Axes,
    heading: str,
    points: Points,
    groups: npt.NDArray[np.int64],
    look: Mapping[int, tuple[str, str]],
    dot: float,
) -> None:
    # Unlabelled points first: they are the background.
    for group in sorted(look):
        colour, marker = look[group]
        chosen = points[groups == group]
        axes.scatter(chosen[:, 0], chosen[:, 1], s=dot, c=colour, marker=marker, alpha=0.8, linewidths=0)
    axes.set_aspect("equal", adjustable="box")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_color(RULE)
    axes.set_title(plain(heading), loc="left", size=TEXT_SIZE + 0.5, color=INK, pad=5)


def _frame(axes: Axes, points: Points, ellipses: Iterable[Ellipse]) -> None:
    """A square window around it all, so that both directions have one scale and all panels one size."""
    corners = [points]
    for ellipse in ellipses:
        reach = DEVIATIONS * np.sqrt(np.maximum(np.diagonal(ellipse.covariance), 0.0))
        corners += [ellipse.mean[None] - reach, ellipse.mean[None] + reach]
    extent = np.concatenate(corners)
    if len(extent):
        low, high = extent.min(axis=0), extent.max(axis=0)
        half = max(0.54 * float((high - low).max()), 1e-12)
        axes.set_xlim(*((low[0] + high[0]) / 2 + np.array([-half, half])))
        axes.set_ylim(*((low[1] + high[1]) / 2 + np.array([-half, half])))


def _draw_ellipse(axes: Axes, ellipse: Ellipse, colour: str) -> None:
    variances, axis = np.linalg.eigh(ellipse.covariance)
    lengths = 2 * DEVIATIONS * np.sqrt(np.maximum(variances[::-1], 0.0))
    angle = math.degrees(math.atan2(axis[1, 1], axis[0, 1]))
    axes.add_patch(
        EllipsePatch(
            (float(ellipse.mean[0]), float(ellipse.mean[1])), float(lengths[0]), float(lengths[1]), angle=angle,
            fill=False, edgecolor=colour, linewidth=1.6, zorder=4,
            # A light rim, so that it stands out from points of its own colour.
            path_effects=[Stroke(linewidth=3.4, foreground="white"), Normal()],
        )
    )  # fmt: skip
