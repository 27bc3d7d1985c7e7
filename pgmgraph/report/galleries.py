"""Galleries: what the items of each cluster look like, where an observation is an image."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import networkx as nx
import numpy as np
import numpy.typing as npt
import torch

from pgmgraph.errors import CapabilityError, CycleError, NotFittedError
from pgmgraph.generate import generate
from pgmgraph.graph import ModelGraph
from pgmgraph.messages import Point, convert
from pgmgraph.observation import Observation
from pgmgraph.report.partitions import Partition

Array = npt.NDArray[np.float64]

# The square of it is the least number of values that are taken for an image where the shape does not say so.
LEAST_SIDE = 8


@dataclass(frozen=True, eq=False)
class Gallery:
    """Images by cluster.

    Attributes:
        observation: the name of what is shown.
        variable: the discrete variable whose values the rows are.
        clusters: the value of each row, the largest cluster first.
        images: (rows, columns, H, W), or (rows, columns, H, W, 3) in colour; NaN where there is no image.
        value_range: the values of black and white.
        drawn: whether the images were drawn from the model; else they are the items that the cluster is surest of.
        left_out: how many clusters are not shown.
    """

    observation: str
    variable: str
    clusters: tuple[int, ...]
    images: Array
    value_range: tuple[float, float]
    drawn: bool
    left_out: int


def image_shape(event: tuple[int, ...]) -> tuple[int, ...] | None:
    """The (H, W) or (C, H, W) of values that can be looked at, or None.

    One, three or four channels come first, as torch has them; a flat vector is an image if it can be a square of at
    least 8 x 8.
    """
    if len(event) == 1:
        side = math.isqrt(event[0])
        return (side, side) if side * side == event[0] and side >= LEAST_SIDE else None
    if len(event) == 2 and min(event) >= LEAST_SIDE:
        return event
    if len(event) == 3 and event[0] in (1, 3, 4) and min(event[1:]) >= LEAST_SIDE:
        return event
    return None


def galleries(
    graph: ModelGraph,
    partition: Partition,
    shapes: Mapping[str, tuple[int, ...] | None],
    *,
    rows: int,
    columns: int,
    seed: int,
) -> list[Gallery]:
    """A gallery for each image among the observations below a discrete variable.

    Args:
        graph: a fitted graph.
        partition: of the variable.
        shapes: of some observations, by name; None where one is not to be shown.
        rows: at most so many clusters, the largest.
        columns: so many images of each.
        seed: what the draws follow from.
    """
    module = partition.variable.split(".")[0]
    seen = {}
    for name, observation in graph.observations.items():
        shape = shapes[name] if name in shapes else image_shape(observation.point.event_shape)
        if shape is not None and nx.has_path(graph.network, name, module):
            seen[name] = shape
    if not seen:
        return []
    order = np.argsort(-partition.sizes, kind="stable")
    shown = order[partition.counts[order] > 0][:rows]
    drawn = _drawn(graph, partition.variable, shown, columns, seed)
    found = []
    for name, shape in seen.items():
        observation = graph.observations[name]
        values = drawn.get(name) if drawn else _surest(observation, partition, shown, columns)
        if values is not None:
            clusters = tuple(int(cluster) for cluster in shown)
            left_out = len(partition.sizes) - len(shown)
            span = _value_range(observation, values)
            images = _as_images(values, shape)
            found.append(Gallery(name, partition.variable, clusters, images, span, bool(drawn), left_out))
    return found


def _drawn(
    graph: ModelGraph, variable: str, clusters: npt.NDArray[np.int64], columns: int, seed: int
) -> dict[str, Array]:
    """Values (rows, columns, *event) of every observation, drawn given each cluster; nothing where no module can."""
    given = torch.as_tensor(clusters).repeat_interleave(columns)
    try:
        drawn = generate(graph, {variable: given}, n=len(given), seed=seed)
    except (CapabilityError, CycleError, NotFittedError):
        return {}
    return {
        name: values.detach().double().cpu().numpy().reshape(len(clusters), columns, *values.shape[1:])
        for name, values in drawn.items()
        if name in graph.observations
    }


def _surest(
    observation: Observation, partition: Partition, clusters: npt.NDArray[np.int64], columns: int
) -> Array | None:
    """Values (rows, columns, *event) of the items of greatest responsibility; NaN where a cluster has fewer."""
    absent = observation.point.missing_rows().cpu().numpy()
    if len(observation) != len(partition.clusters) or absent.all():
        return None
    values = np.full((len(clusters), columns, *observation.point.event_shape), np.nan)
    for row, cluster in enumerate(clusters):
        members = np.flatnonzero((partition.clusters == cluster) & ~absent)
        surest = members[np.argsort(-partition.probabilities[members, cluster], kind="stable")][:columns]
        chosen = convert(observation.point[torch.as_tensor(surest)].to(dtype=torch.float64), Point)
        assert isinstance(chosen, Point)
        values[row, : len(surest)] = chosen.value.cpu().numpy()
    return values


def _value_range(observation: Observation, values: Array) -> tuple[float, float]:
    """What stands for black and for white: 0 and 1 where the data lie within, else the range of the data."""
    low, high = observation.value_range
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        known = values[np.isfinite(values)]
        low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    within = low >= 0 and high <= 1
    return (0.0, 1.0) if within or low >= high else (low, high)


def _as_images(values: Array, shape: tuple[int, ...]) -> Array:
    """(rows, columns, *event) as (rows, columns, H, W), or with three colours last."""
    images = values.reshape(*values.shape[:2], *shape)
    if len(shape) == 2:
        return images
    # A fourth channel is opacity, which a picture on white can do without.
    colours = np.moveaxis(images, 2, -1)[..., :3]
    return colours[..., 0] if shape[0] == 1 else colours
