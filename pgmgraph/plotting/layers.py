"""Layers for a picture of a wiring: who stands how high, and in which order (Sugiyama et al., 1981)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

# A place in the picture: a node's name, or (wire number, layer) where a long wire passes a layer between others.
Waypoint = str | tuple[int, int]
SWEEPS = 8


@dataclass(frozen=True)
class Layers:
    """A layered wiring.

    Attributes:
        rows: bottom row first, each from left to right; nodes and the waypoints of long wires.
        paths: for each wire, the places it goes through from child to parent.
    """

    rows: tuple[tuple[Waypoint, ...], ...]
    paths: tuple[tuple[Waypoint, ...], ...]


def layered(nodes: Iterable[str], wires: Sequence[tuple[str, str]]) -> Layers:
    """Put each node one row above its highest child, and order the rows so that few wires cross.

    Args:
        nodes: names; where two orders are as good, this one is kept.
        wires: (child, parent) pairs; a wire that closes a cycle is drawn downwards and moves nobody.
    """
    names = list(nodes)
    heights = _heights(names, wires)
    rows: list[list[Waypoint]] = [[] for _ in range(max(heights.values(), default=-1) + 1)]
    for name in names:
        rows[heights[name]].append(name)
    paths = []
    for number, (child, parent) in enumerate(wires):
        low, high = heights[child], heights[parent]
        between: list[Waypoint] = [(number, height) for height in range(min(low, high) + 1, max(low, high))]
        for height, waypoint in zip(range(min(low, high) + 1, max(low, high)), between, strict=True):
            rows[height].append(waypoint)
        paths.append((child, *(between if low < high else between[::-1]), parent))
    ordered = _ordered(rows, paths)
    return Layers(tuple(tuple(row) for row in ordered), tuple(paths))


def _heights(names: Sequence[str], wires: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Length of the longest path to each node from a node without children."""
    children: dict[str, list[str]] = {name: [] for name in names}
    for child, parent in wires:
        children[parent].append(child)
    heights: dict[str, int] = {}
    for name in names:
        # Depth first with a stack of its own: a chain may be longer than Python's recursion limit.
        path, pending = [name], [iter(children[name])]
        while path:
            following = next((child for child in pending[-1] if child not in heights and child not in path), None)
            if following is not None:
                path.append(following)
                pending.append(iter(children[following]))
                continue
            done = path.pop()
            pending.pop()
            # A child without a height yet is on the path: that wire closes a cycle.
            known = [heights[child] + 1 for child in children[done] if child in heights]
            heights.setdefault(done, max(known, default=0))
    return heights


def _ordered(rows: list[list[Waypoint]], paths: Sequence[Sequence[Waypoint]]) -> list[list[Waypoint]]:
    """Sweep up and down, sorting each row by the mean place of its neighbours; the best order met is kept."""
    links = [(a, b) for path in paths for a, b in pairwise(path)]
    best, least = [list(row) for row in rows], _crossings(rows, links)
    for sweep in range(SWEEPS):
        upwards = sweep % 2 == 0
        order = range(1, len(rows)) if upwards else range(len(rows) - 2, -1, -1)
        for height in order:
            _sort_by_neighbours(rows[height], rows[height - 1 if upwards else height + 1], links)
        crossings = _crossings(rows, links)
        if crossings < least:
            best, least = [list(row) for row in rows], crossings
    return best


def neighbour_means(
    row: Sequence[Waypoint], places: Mapping[Waypoint, float], links: Sequence[tuple[Waypoint, Waypoint]]
) -> dict[Waypoint, float]:
    """For those of `row` with neighbours among `places`: the mean of the neighbours' places."""
    near: dict[Waypoint, list[float]] = {waypoint: [] for waypoint in row}
    for a, b in links:
        for here, there in ((a, b), (b, a)):
            if here in near and there in places:
                near[here].append(places[there])
    return {waypoint: sum(found) / len(found) for waypoint, found in near.items() if found}


def _sort_by_neighbours(
    row: list[Waypoint], fixed: Sequence[Waypoint], links: Sequence[tuple[Waypoint, Waypoint]]
) -> None:
    means = neighbour_means(row, {waypoint: (i + 0.5) / len(fixed) for i, waypoint in enumerate(fixed)}, links)
    own = {waypoint: (i + 0.5) / len(row) for i, waypoint in enumerate(row)}
    row.sort(key=lambda waypoint: means.get(waypoint, own[waypoint]))


def _crossings(rows: Sequence[Sequence[Waypoint]], links: Sequence[tuple[Waypoint, Waypoint]]) -> int:
    place = {waypoint: (height, i) for height, row in enumerate(rows) for i, waypoint in enumerate(row)}
    spans = [tuple(sorted((place[a], place[b]))) for a, b in links]
    return sum(
        1
        for i, (low, high) in enumerate(spans)
        for other_low, other_high in spans[:i]
        if low[0] == other_low[0]
        and high[0] == other_high[0]
        and (low[1] - other_low[1]) * (high[1] - other_high[1]) < 0
    )


def spread(wanted: Sequence[float], widths: Sequence[float], gap: float) -> list[float]:
    """Centres from left to right, as near to those wanted as `widths` and the gap between allow (least squares).

    Without the room that lies between neighbours, the centres must not descend: that is isotonic regression, solved
    by pooling adjacent violators.
    """
    offsets = [0.0]
    for left, right in pairwise(widths):
        offsets.append(offsets[-1] + (left + right) / 2 + gap)
    pools: list[tuple[float, int]] = []
    for place, offset in zip(wanted, offsets, strict=False):
        mean, count = place - offset, 1
        while pools and pools[-1][0] > mean:
            earlier, members = pools.pop()
            mean = (earlier * members + mean * count) / (members + count)
            count += members
        pools.append((mean, count))
    flat = [mean for mean, count in pools for _ in range(count)]
    return [mean + offset for mean, offset in zip(flat, offsets, strict=False)]
