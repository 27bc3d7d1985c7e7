"""A wiring as boxes and arrows: data at the bottom, parents above, without any outside layout program."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path as Curve
from matplotlib.textpath import TextPath

from pgmgraph.errors import DataError
from pgmgraph.plotting.layers import Layers, Waypoint, layered, neighbour_means, spread
from pgmgraph.plotting.style import FAINT_INK, INK, SMALL_SIZE, TEXT_SIZE, TITLE_SIZE, new_figure, place

MARGIN = 0.3
TITLE_INCHES = 0.45
ROW_GAP = 0.95
COLUMN_GAP = 0.4
WAYPOINT_WIDTH = 0.3
PARALLEL_GAP = 0.34
BOX_EDGE = "#4a5568"
OBSERVED_FILL = "#e4e7ec"
LATENT_FILL = "#ffffff"
WIRE_COLOUR = "#4a5568"
RELAXATIONS = 24

# Along a wire, the middle first: the first of these where a label covers nothing is taken.
LABEL_PLACES = (0.5, 0.44, 0.56, 0.38, 0.62, 0.32, 0.68, 0.26, 0.74, 0.2, 0.8)

Point = npt.NDArray[np.float64]
# left, bottom, right, top in inches
Box = tuple[float, float, float, float]


def graph_figure(nodes: Mapping[str, str], wires: Sequence[tuple[str, str, str]], title: str | None = None) -> Figure:
    """Draw who is wired to whom, each node one row above its highest child.

    Args:
        nodes: name to caption, which stands in small print under the name and may be empty. A node without children
            is shaded, as observed variables are by custom.
        wires: (child, parent, label); the arrow points from child to parent, the label says what is sent. Two nodes
            may share several wires. A wire that closes a cycle points downwards.
        title: of the whole picture.

    Raises:
        DataError: there are no nodes, or a wire joins a node to itself or names one that is not there.
    """
    _check(nodes, wires)
    layers = layered(nodes, [(child, parent) for child, parent, _ in wires])
    sizes = {name: _node_size(name, caption) for name, caption in nodes.items()}
    label_widths = [_text_size(label, SMALL_SIZE)[0] for _, _, label in wires]
    centres = _centres(layers, sizes, max(label_widths, default=0.0))
    top = TITLE_INCHES if title else 0.0
    extents = [_box(centres[name], sizes[name]) for name in nodes]
    labels_outside = max(label_widths, default=0.0) / 2
    low = min(min(box[0] for box in extents), min(point[0] for point in centres.values()) - labels_outside)
    high = max(max(box[2] for box in extents), max(point[0] for point in centres.values()) + labels_outside)
    needed = _text_size(title or "", TITLE_SIZE, bold=True)[0]
    width = max(high - low, needed) + 2 * MARGIN
    height = max(box[3] for box in extents) - min(box[1] for box in extents) + 2 * MARGIN + top
    figure = new_figure(width, height, title)
    axes = place(figure, 0, 0, width, height)
    axes.set_axis_off()
    middle = (low + high) / 2
    bottom = min(box[1] for box in extents) - MARGIN
    axes.set(xlim=(middle - width / 2, middle + width / 2), ylim=(bottom, bottom + height))
    _draw_wires(axes, wires, layers, centres, sizes)
    has_children = {parent for _, parent, _ in wires}
    for name, caption in nodes.items():
        _draw_node(axes, name, caption, centres[name], sizes[name], observed=name not in has_children)
    return figure


def _check(nodes: Mapping[str, str], wires: Sequence[tuple[str, str, str]]) -> None:
    if not nodes:
        raise DataError("Expected at least one node; got none. Pass {name: caption}.")
    for child, parent, _ in wires:
        if child == parent:
            raise DataError(f"Expected wires between two nodes; got one from {child!r} to itself. Leave it out.")
        for name in (child, parent):
            if name not in nodes:
                raise DataError(
                    f"Expected wires between {', '.join(nodes)}; got one from {child!r} to {parent!r}. "
                    f"Give {name!r} a caption in nodes."
                )


def _text_size(text: str, size: float, *, bold: bool = False) -> tuple[float, float]:
    """Width and height in inches of a text of one or more lines, as it will be drawn."""
    lines = text.split("\n") if text else []
    font = FontProperties(weight="bold" if bold else "normal")
    widths = [TextPath((0, 0), line, size=size, prop=font).get_extents().width for line in lines if line.strip()]
    return max(widths, default=0.0) / 72, len(lines) * size * 1.25 / 72


def _node_size(name: str, caption: str) -> tuple[float, float]:
    name_width, name_height = _text_size(name, TEXT_SIZE + 1, bold=True)
    caption_width, caption_height = _text_size(caption, SMALL_SIZE)
    return max(name_width, caption_width, 0.5) + 0.4, name_height + caption_height + 0.24


def _box(centre: Point, size: tuple[float, float]) -> Box:
    x, y = centre
    return (x - size[0] / 2, y - size[1] / 2, x + size[0] / 2, y + size[1] / 2)


def _centres(layers: Layers, sizes: Mapping[str, tuple[float, float]], label_width: float) -> dict[Waypoint, Point]:
    """Where everything stands, in inches; neighbours keep room for their boxes and for the labels of their wires."""

    def width(waypoint: Waypoint) -> float:
        # Labels then find room near the row where their wires stand apart.
        return max(sizes[waypoint][0] if isinstance(waypoint, str) else WAYPOINT_WIDTH, label_width)

    links = [(a, b) for path in layers.paths for a, b in pairwise(path)]
    x = {waypoint: 0.0 for row in layers.rows for waypoint in row}
    for relaxation in range(RELAXATIONS):
        heights = range(len(layers.rows))
        for height in heights if relaxation % 2 else reversed(heights):
            row = layers.rows[height]
            others = {waypoint: place for waypoint, place in x.items() if waypoint not in row}
            means = neighbour_means(row, others, links)
            wanted = [means.get(waypoint, x[waypoint]) for waypoint in row]
            x.update(zip(row, spread(wanted, [width(waypoint) for waypoint in row], COLUMN_GAP), strict=True))
    tallest = max(size[1] for size in sizes.values())
    return {
        waypoint: np.array([x[waypoint], height * (tallest + ROW_GAP)])
        for height, row in enumerate(layers.rows)
        for waypoint in row
    }


def _draw_node(
    axes: Axes, name: str, caption: str, centre: Point, size: tuple[float, float], *, observed: bool
) -> None:
    left, bottom, right, top = _box(centre, size)
    axes.add_patch(
        FancyBboxPatch(
            (left, bottom), right - left, top - bottom, boxstyle="round,pad=0,rounding_size=0.08", linewidth=1.1,
            edgecolor=BOX_EDGE, facecolor=OBSERVED_FILL if observed else LATENT_FILL, zorder=3,
        )
    )  # fmt: skip
    # The caption's height moves the name up, so that both together are centred.
    lift = _text_size(caption, SMALL_SIZE)[1] / 2
    drop = _text_size(name, TEXT_SIZE + 1)[1] / 2 if caption else 0.0
    x, y = centre
    axes.text(x, y + lift, name, size=TEXT_SIZE + 1, weight="bold", color=INK, ha="center", va="center", zorder=4)
    if caption:
        axes.text(x, y - drop, caption, size=SMALL_SIZE, color=FAINT_INK, ha="center", va="center", zorder=4)


def _draw_wires(
    axes: Axes,
    wires: Sequence[tuple[str, str, str]],
    layers: Layers,
    centres: Mapping[Waypoint, Point],
    sizes: Mapping[str, tuple[float, float]],
) -> None:
    shifts = _end_shifts(wires, layers, centres, sizes)
    taken = [_box(centres[name], size) for name, size in sizes.items()]
    lines: list[Point] = []
    for (child, parent, _), path, (start_shift, end_shift) in zip(wires, layers.paths, shifts, strict=True):
        up = 1.0 if centres[child][1] < centres[parent][1] else -1.0
        start = centres[child] + np.array([start_shift, up * sizes[child][1] / 2])
        end = centres[parent] + np.array([end_shift, -up * (sizes[parent][1] / 2 + 0.02)])
        curve = _curve([start, *(centres[waypoint] for waypoint in path[1:-1]), end])
        axes.add_patch(
            FancyArrowPatch(
                path=curve, arrowstyle="-|>", mutation_scale=11, linewidth=1.2, color=WIRE_COLOUR,
                joinstyle="round", capstyle="butt", zorder=2, shrinkA=0, shrinkB=0,
            )
        )  # fmt: skip
        lines.append(_points_along(curve))
    for number, (_, _, label) in enumerate(wires):
        if label:
            others = np.concatenate([np.empty((0, 2)), *lines[:number], *lines[number + 1 :]])
            taken.append(_draw_label(axes, label, lines[number], others, taken))


def _end_shifts(
    wires: Sequence[tuple[str, str, str]],
    layers: Layers,
    centres: Mapping[Waypoint, Point],
    sizes: Mapping[str, tuple[float, float]],
) -> list[tuple[float, float]]:
    """How far from a box's middle each wire leaves the child and reaches the parent: side by side, never crossing."""
    shifts = np.zeros((len(wires), 2))
    ends: dict[tuple[str, bool], list[tuple[float, int, int]]] = defaultdict(list)
    for number, (path, (child, parent, _)) in enumerate(zip(layers.paths, wires, strict=True)):
        up = bool(centres[child][1] < centres[parent][1])
        # By node and side: True is the upper one.
        ends[child, up].append((float(centres[path[1]][0]), number, 0))
        ends[parent, not up].append((float(centres[path[-2]][0]), number, 1))
    for (name, _), arrivals in ends.items():
        room = min(0.6 * sizes[name][0], 0.3 * (len(arrivals) - 1))
        # Around 0, and 0 itself for a single wire.
        steps = room * (np.arange(len(arrivals)) / max(len(arrivals) - 1, 1) - (len(arrivals) > 1) / 2)
        for (_, number, end), shift in zip(sorted(arrivals), steps, strict=True):
            shifts[number, end] = shift
    return [(float(start), float(end)) for start, end in shifts]


def _curve(points: Sequence[Point]) -> Curve:
    """A smooth path through the points that is upright at each of them."""
    vertices, codes = [points[0]], [Curve.MOVETO]
    for a, b in pairwise(points):
        bend = np.array([0.0, (b[1] - a[1]) * 0.45])
        vertices += [a + bend, b - bend, b]
        codes += [Curve.CURVE4] * 3
    return Curve(np.array(vertices), codes)


def _points_along(curve: Curve) -> Point:
    """(100, 2) points at equal distances along a curve."""
    polygon = np.concatenate(list(curve.to_polygons(closed_only=False)))
    lengths = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(polygon, axis=0), axis=1))])
    at = np.linspace(0, lengths[-1], 100)
    return np.stack([np.interp(at, lengths, polygon[:, axis]) for axis in (0, 1)], axis=1)


def _draw_label(axes: Axes, label: str, line: Point, others: Point, taken: Sequence[Box]) -> Box:
    """Write the label of a wire where it covers as little as possible of other wires, labels and boxes."""
    width, height = _text_size(label, SMALL_SIZE)

    def covered(box: Box) -> float:
        inside = (others >= box[:2]) & (others <= box[2:])
        # Text over text is worse than text over a line.
        return 8 * sum(_overlap(box, other) for other in taken) + 0.004 * int(inside.all(axis=1).sum())

    boxes = [_box(line[round(part * (len(line) - 1))], (width + 0.1, height + 0.04)) for part in LABEL_PLACES]
    box = min(boxes, key=covered)
    axes.text(
        (box[0] + box[2]) / 2, (box[1] + box[3]) / 2, label, size=SMALL_SIZE, color=INK, ha="center", va="center",
        zorder=2.5, bbox={"boxstyle": "square,pad=0.15", "facecolor": "white", "edgecolor": "none"},
    )  # fmt: skip
    return box


def _overlap(a: Box, b: Box) -> float:
    """Common area in square inches."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return max(width, 0.0) * max(height, 0.0)
