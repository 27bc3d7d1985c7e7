"""Sparse vectors are the dense ones, without their zeros: sliced, moved, joined, converted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pgmgraph.errors import MessageError
from pgmgraph.messages import Gaussian, Point, SparsePoint, convert
from tests.refusals import refused

VALUES = torch.tensor([[0, 3, 0, 1], [0, 0, 0, 0], [2, 0, 0, 5], [0, 0, 7, 0], [1, 1, 1, 1]])
MISSING = torch.tensor([False, False, True, False, False])


def pair(dtype: torch.dtype = torch.float64, missing: torch.Tensor | None = None) -> tuple[Point, SparsePoint]:
    point = Point(VALUES.to(dtype), scale=0.5, missing=missing)
    return point, SparsePoint.of(point)


def assert_alike(sparse: SparsePoint, point: Point) -> None:
    dense = sparse.dense()
    assert torch.equal(dense.value, point.value)
    assert dense.scale == point.scale
    assert torch.equal(dense.missing_rows(), point.missing_rows())
    assert sparse.event_shape == point.event_shape
    assert len(sparse) == len(point)


@pytest.mark.parametrize(
    "index",
    [
        slice(None),
        slice(1, 4),
        slice(0, 0),
        slice(None, None, 2),
        torch.tensor([4, 0, 0, 2]),
        torch.tensor([True, False, True, True, False]),
        torch.zeros(0, dtype=torch.int64),
    ],
)
def test_any_part_of_the_rows_is_that_part_of_the_dense_ones(index: slice | torch.Tensor) -> None:
    point, sparse = pair(missing=MISSING)
    assert_alike(sparse[index], point[index])
    assert_alike(sparse[index].compact(), point[index])


def test_a_part_is_a_view_of_the_entries_until_it_is_compact() -> None:
    _, sparse = pair()
    part = sparse[torch.tensor([2, 0])]
    assert part.values.data_ptr() == sparse.values.data_ptr()
    assert part.compact().values.tolist() == [2.0, 5.0, 3.0, 1.0]
    assert part.compact().columns.tolist() == [0, 3, 1, 3]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float32, torch.float64, torch.bool])
def test_casting_scales_and_empties_what_is_missing_as_of_points(dtype: torch.dtype) -> None:
    point, sparse = pair(dtype, MISSING)
    cast = sparse[1:].to(torch.device("cpu"), torch.float32)
    assert_alike(cast, point[1:].to(torch.device("cpu"), torch.float32))
    assert cast.lengths[1] == 0
    assert sparse.values.dtype == dtype


def test_moving_alone_casts_nothing() -> None:
    point, sparse = pair(torch.uint8, MISSING)
    assert sparse.to() is sparse
    assert sparse.to(torch.device("cpu")) is sparse
    assert_alike(sparse.to(torch.device("cpu")), point)


def test_rows_are_spread_and_joined_as_of_points() -> None:
    point, sparse = pair(missing=MISSING)
    rows = torch.tensor([6, 1, 0, 3, 4])
    spread = sparse.spread(rows, 8)
    assert torch.equal(spread.dense().value[rows], point.value)
    assert torch.equal(spread.missing_rows(), point.spread(rows, 8).missing_rows())
    _, other = pair()
    joined = SparsePoint.concatenate([sparse[3:], other[:2], sparse[2:3]])
    plain = Point(VALUES.double(), scale=0.5)
    assert_alike(joined, Point.concatenate([point[3:], plain[:2], point[2:3]]))


def test_blank_rows_are_missing_and_hold_nothing() -> None:
    _, sparse = pair()
    blank = sparse.blank(3)
    assert blank.missing_rows().all()
    assert torch.equal(blank.dense().value, torch.zeros(3, 4).double())


def test_conversions_between_points_are_exact_and_happen_by_themselves() -> None:
    point, sparse = pair(missing=MISSING)
    dense, back, gaussian = convert(sparse, Point), convert(point, SparsePoint), convert(sparse, Gaussian)
    assert isinstance(dense, Point)
    assert torch.equal(dense.value, point.value)
    assert isinstance(back, SparsePoint)
    assert_alike(back, point)
    assert isinstance(gaussian, Gaussian)
    assert torch.equal(gaussian.mean, 0.5 * point.value * ~MISSING[:, None])
    assert not gaussian.variance.any()
    assert convert(sparse, SparsePoint) is sparse


def test_entries_that_are_not_finite_are_named() -> None:
    _, sparse = pair()
    sparse.values[2] = torch.nan
    with refused(MessageError, "finite values", "words.value"):
        sparse.check_finite("words.value")


def test_what_contradicts_itself_is_refused() -> None:
    begins, ends = torch.tensor([0, 1]), torch.tensor([1, 2])
    with refused(MessageError, "SparsePoint.columns", "(2,)", "(3,)"):
        SparsePoint(begins, ends, torch.tensor([0, 1]), torch.ones(3), 4)
    with refused(MessageError, "SparsePoint.ends", "2 rows"):
        SparsePoint(begins, ends[:1], torch.tensor([0, 1]), torch.ones(2), 4)
    with refused(MessageError, "vectors", "(2, 2)"):
        SparsePoint.of(Point(torch.ones(3, 2, 2)))


def test_entries_may_lie_in_a_file(tmp_path: Path) -> None:
    np.save(tmp_path / "values.npy", np.arange(1.0, 7.0))
    mapped = torch.from_numpy(np.load(tmp_path / "values.npy", mmap_mode="c"))
    sparse = SparsePoint(torch.tensor([0, 2]), torch.tensor([2, 6]), torch.tensor([0, 2, 0, 1, 2, 3]), mapped, 4)
    assert sparse[1:].values.data_ptr() == mapped.data_ptr()
    assert sparse[1:].dense().value.tolist() == [[3.0, 4.0, 5.0, 6.0]]
