"""Observed data: where a graph meets the world."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pgmgraph.errors import DataError
from pgmgraph.matrices import SparseMatrix, is_sparse, sparse_point, stored_range
from pgmgraph.messages import Point, SparsePoint
from pgmgraph.ports import Node, Out

Values: TypeAlias = Tensor | NDArray[Any] | Sequence[Any]  # whatever numpy can make an array of

_ROWS_AT_ONCE = 65_536
_VALUES_AT_ONCE = 2**24
_MOST_VALUES = 2**32


class Observation(Node):
    """Values that are known, one row an item of the plate.

    Args:
        values: (N, *event) array, tensor or memory map of real numbers; or a sparse matrix (N, V), of scipy or torch,
            of which never more than a minibatch is made dense. It is looked at, never copied where that can be helped,
            and never changed.
        plate: the name of the plate that the rows are items of. One name means one N.
        missing: (N,) bool, True where nothing was observed; such rows may hold anything.
        sequences: (N,) ids, numbers or words: the rows of one sequence have one id, and lie one after another in the
            order of time. Without them a module that looks along time takes the whole plate for one sequence.
        groups: by the name of another plate, (N,) integers from 0: row n belongs to row groups[plate][n] of that
            plate. What is wired with `pool=plate` goes by them.
        scale: what values are multiplied by when they are cast, minibatch by minibatch; 1/255 turns
            8-bit images into intensities without a copy of the data.

    Attributes:
        point: the message that it sends.
        value_range: the smallest and largest (scaled) value that is not missing; (inf, -inf) where all are.
        lengths: (S,) int64, how many rows each sequence has; None where there are no sequences.
        groups: by plate, (N,) int64; empty where there are none.
        source: where the values came from, as a configuration has it; for the record alone.

    Raises:
        DataError: no rows, values that are no real numbers, NaN or infinity, or a mask of another length.
    """

    value = Out(Point)

    point: Point | SparsePoint
    source: str | None = None
    lengths: Tensor | None = None
    groups: Mapping[str, Tensor] = MappingProxyType({})

    def __init__(
        self,
        values: Values | SparseMatrix,
        *,
        plate: str = "items",
        missing: Values | None = None,
        sequences: Values | None = None,
        groups: Mapping[str, Values] | None = None,
        scale: float = 1.0,
    ) -> None:
        self.plate = plate
        self._take(_as_point(values, None), missing, scale, name=None)
        if sequences is not None:
            self.lengths = _as_lengths(sequences, len(self))
        if groups is not None:
            self.groups = {name: _as_groups(name, ids, plate, len(self)) for name, ids in groups.items()}

    def __len__(self) -> int:
        return len(self.point)

    def __repr__(self) -> str:
        return f"Observation({len(self)} x {self.point.event_shape}, plate={self.plate!r})"

    def replaced(self, values: Values | SparseMatrix | Observation, name: str) -> Observation:
        """Other data in the place of this; plain values come on the same plate. `name` is for error messages."""
        if isinstance(values, Observation):
            return values
        other = Observation.__new__(Observation)
        other.plate = self.plate
        # Integers given for integers are on the same scale; floats given for integers are scaled already.
        point = _as_point(values, name)
        alike = point.dtype.is_floating_point == self.point.dtype.is_floating_point
        other._take(point, None, self.point.scale if alike else 1.0, name)
        return other

    @classmethod
    def placeholder(
        cls, event_shape: Sequence[int], dtype: torch.dtype, *, plate: str = "items", scale: float = 1.0
    ) -> Observation:
        """An observation of one row that is missing, for a graph whose data come later, with `replaced`.

        Raises:
            DataError: no event has this shape.
        """
        if not all(size >= 1 for size in event_shape) or math.prod(event_shape) > _MOST_VALUES:
            raise DataError(
                f"Expected an event_shape of positive sizes, of at most {_MOST_VALUES:,} values; "
                f"got {tuple(event_shape)}."
            )
        _check_scale(scale, None)
        other = cls.__new__(cls)
        other.plate, other.value_range = plate, (float("inf"), float("-inf"))
        # Expanded: it takes up no memory, however large events are.
        values = torch.zeros((), dtype=dtype).expand(1, *event_shape)
        other.point = Point(values, scale, missing=torch.ones(1, dtype=torch.bool))
        return other

    def absent(self, n: int) -> Observation:
        """An observation of the same kind of which `n` rows are all missing."""
        other = Observation.__new__(Observation)
        other.plate, other.value_range, other.point = self.plate, self.value_range, self.point.blank(n)
        return other

    def part(self, rows: slice) -> Observation:
        """Some of the rows, which are looked at and not copied; the range of values stays that of all."""
        other = Observation.__new__(Observation)
        other.plate, other.value_range, other.point = self.plate, self.value_range, self.point[rows]
        return other

    def _take(self, point: Point | SparsePoint, missing: Values | None, scale: float, name: str | None) -> None:
        _check_scale(scale, name)
        if not len(point) or not math.prod(point.event_shape):
            raise DataError(
                f"Expected at least one row and one column of values {_where(name)}; "
                f"got shape {(len(point), *point.event_shape)}.",
                name,
            )
        mask = None if missing is None else _as_mask(missing, len(point), name)
        low, high, bad = stored_range(point, mask) if isinstance(point, SparsePoint) else _range(point.value, mask)
        if bad:
            raise _not_finite(bad, len(point), name)
        self.value_range = low * scale, high * scale
        self.point = replace(point, scale=scale, missing=None if mask is None else mask.to(point.device))


def _where(name: str | None) -> str:
    return "for an Observation" if name is None else f"for observation {name!r}"


def _check_scale(scale: float, name: str | None) -> None:
    if not (scale > 0 and np.isfinite(scale)):
        raise DataError(f"Expected a positive, finite scale {_where(name)}; got {scale}.", name)


def _as_point(values: Values | SparseMatrix, name: str | None) -> Point | SparsePoint:
    if is_sparse(values):
        return sparse_point(values, _where(name), name)
    tensor = _as_tensor(values, name)
    if not tensor.ndim:
        raise DataError(f"Expected at least one row and one column of values {_where(name)}; got shape ().", name)
    return Point(tensor)


def _as_tensor(values: Values | SparseMatrix, name: str | None) -> Tensor:
    """A tensor that shares memory with `values` where their layout and type allow it."""
    if isinstance(values, Tensor):
        if values.is_complex():
            raise DataError(f"Expected real values {_where(name)}; got {values.dtype}, {values.layout}.", name)
        return values.detach()
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise DataError(
            f"Expected real numbers {_where(name)}; got an array of {array.dtype}. "
            "Turn words or categories into numbers first.",
            name,
        )
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    if array.dtype.kind == "u" and array.dtype.itemsize > 1:
        array = array.astype(np.int64)  # torch has no arithmetic on wider unsigned integers
    if any(stride < 0 for stride in array.strides):
        array = np.ascontiguousarray(array)
    with warnings.catch_warnings():
        # torch warns that it could write to a read-only array; nothing here writes to data.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)


def _as_mask(missing: Values, n: int, name: str | None) -> Tensor:
    mask = torch.as_tensor(np.asarray(missing.cpu() if isinstance(missing, Tensor) else missing))
    if mask.shape != (n,) or mask.dtype != torch.bool:
        raise DataError(
            f"Expected `missing` {_where(name)} as {n} booleans; got {tuple(mask.shape)} {mask.dtype}.", name
        )
    if mask.all():
        raise DataError(f"Expected at least one row {_where(name)} that is not missing; all {n} are.", name)
    return mask.clone()


def _as_lengths(sequences: Values, n: int) -> Tensor:
    """How many rows each sequence has; raises where the rows of one do not lie one after another."""
    ids = np.asarray(sequences.cpu() if isinstance(sequences, Tensor) else sequences)
    if ids.shape != (n,) or ids.dtype.kind not in "biuUS":
        raise DataError(
            f"Expected `sequences` for an Observation as {n} ids, integers or words; got {ids.dtype} of shape "
            f"{ids.shape}."
        )
    begins = np.flatnonzero(np.concatenate([[True], ids[1:] != ids[:-1]]))
    first = np.unique(ids[begins], return_index=True)[1]
    again = np.setdiff1d(np.arange(len(begins)), first)
    if len(again):
        row = int(begins[again[0]])
        raise DataError(
            f"Expected the rows of a sequence one after another; {ids[row].item()!r} begins again at row {row}. "
            "Sort the rows by sequence, and by time within it.",
            rows=(row,),
        )
    return torch.from_numpy(np.diff(np.append(begins, n))).long()


def _as_groups(name: str, groups: Values, plate: str, n: int) -> Tensor:
    """The group that each row belongs to, (N,) int64."""
    ids = np.asarray(groups.cpu() if isinstance(groups, Tensor) else groups)
    if ids.shape != (n,) or ids.dtype.kind not in "iu":
        words = ids.shape == (n,) and ids.dtype.kind in "USO"
        raise DataError(
            f"Expected groups[{name!r}] for an Observation as {n} integers, the row on the plate {name!r} that each "
            f"belongs to; got {ids.dtype} of shape {ids.shape}."
            + (" Number the words: names, ids = np.unique(words, return_inverse=True)." if words else "")
        )
    if name == plate:
        raise DataError(f"Expected groups on another plate than the rows' own; got {name!r}, which they lie on.")
    below = np.flatnonzero(ids < 0)
    if len(below):
        row = int(below[0])
        raise DataError(
            f"Expected groups[{name!r}] from 0 on; got {int(ids[row])} at row {row}. A row that belongs nowhere can be "
            "left out of the data.",
            rows=(row,),
        )
    return torch.from_numpy(ids.astype(np.int64))


def _range(tensor: Tensor, mask: Tensor | None) -> tuple[float, float, list[int]]:
    """Smallest and largest value, read piece by piece, and the rows where one is NaN or infinite."""
    low, high = float("inf"), float("-inf")
    bad: list[int] = []
    at_once = max(1, min(_ROWS_AT_ONCE, _VALUES_AT_ONCE // math.prod(tensor.shape[1:])))
    for begin in range(0, len(tensor), at_once):
        piece = tensor[begin : begin + at_once]
        rows = torch.arange(begin, begin + len(piece))
        if mask is not None:
            present = ~mask[begin : begin + at_once]
            piece, rows = piece[present.to(piece.device)], rows[present]
        if len(piece) == 0:
            continue
        smallest, largest = (float(bound) for bound in piece.aminmax())
        if not (np.isfinite(smallest) and np.isfinite(largest)):
            broken = ~torch.isfinite(piece.reshape(len(piece), -1)).all(1)
            bad.extend(rows[broken.cpu()].tolist())
        low, high = min(low, smallest), max(high, largest)
    return low, high, bad


def _not_finite(rows: list[int], n: int, name: str | None) -> DataError:
    listed = ", ".join(map(str, rows[:10])) + (", ..." if len(rows) > 10 else "")
    return DataError(
        f"Expected finite values {_where(name)}; got NaN or infinity in {len(rows)} of {n} rows: "
        f"{listed}. Mend them, or mark the rows with `missing=`.",
        name,
        tuple(rows),
    )
