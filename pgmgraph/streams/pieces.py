"""Observed rows in pieces: joined, cut, and made an observation again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from pgmgraph.messages import Point, SparsePoint
from pgmgraph.observation import Observation


def dense(observation: Observation) -> Point:
    """The rows of an observation, with their zeros: a chunk of them fits into memory."""
    point = observation.point
    return point.dense() if isinstance(point, SparsePoint) else point


def joined(points: Sequence[Point]) -> Point:
    """One point of several; where they are scaled differently, or differ in type, as reals."""
    first = points[0]
    if any(point.scale != first.scale or point.value.dtype != first.value.dtype for point in points):
        exact = any(point.value.dtype == torch.float64 for point in points)
        points = [point.to(dtype=torch.float64 if exact else torch.float32) for point in points]
    return Point.concatenate(points)


def observed(point: Point, plate: str) -> Observation:
    """An observation of these rows.

    Raises:
        DataError: all of them are missing.
    """
    return Observation(point.value, plate=plate, missing=point.missing, scale=point.scale)


def state_of(points: Mapping[str, Point]) -> dict[str, object]:
    """Points by name as tensors and plain values."""
    return {
        name: {"value": point.value, "scale": point.scale, "missing": point.missing} for name, point in points.items()
    }


def of_state(state: object) -> dict[str, Point]:
    """The points that have this state."""
    assert isinstance(state, Mapping)
    return {name: Point(**values) for name, values in state.items()}
