"""Observed values that are mostly zero."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
from torch import Tensor

from pgmgraph.errors import MessageError
from pgmgraph.messages.base import Message, expect_shape
from pgmgraph.messages.point import Point


@dataclass(frozen=True, eq=False)
class SparsePoint(Message):
    """A known vector for each item, of which only what is not zero is kept.

    Row n has values[begins[n] : ends[n]] in the columns of the same places; no column comes twice in a row. The rows
    share one pool of entries, so a part of the plate is a view of it, and costs nothing before it is moved or cast.

    Attributes:
        begins, ends: (N,) int64, where the entries of each row lie.
        columns: (entries,) integers, each from 0 to width - 1.
        values: (entries,), of any dtype and, like the columns, possibly a view of a memory-mapped file.
        width: V; events have shape (V,).
        scale: what values are multiplied by when they are cast.
    """

    per_item: ClassVar[tuple[str, ...]] = ("begins", "ends")
    shared: ClassVar[tuple[str, ...]] = ("columns", "values")

    begins: Tensor
    ends: Tensor
    columns: Tensor
    values: Tensor
    width: int
    scale: float = 1.0

    @classmethod
    def of(cls, point: Point) -> SparsePoint:
        """The same vectors, as they are stored, without their zeros.

        Raises:
            MessageError: the events of the point are not vectors.
        """
        if point.value.ndim != 2:
            raise MessageError(f"Expected vectors (V,) to be kept sparse; got events of shape {point.event_shape}.")
        rows, columns = point.value.nonzero(as_tuple=True)
        lengths = torch.bincount(rows, minlength=len(point))
        ends = lengths.cumsum(0)
        return cls(
            ends - lengths,
            ends,
            columns,
            point.value[rows, columns],
            point.event_shape[0],
            point.scale,
            missing=point.missing,
        )

    @property
    def event_shape(self) -> tuple[int, ...]:
        """(V,)."""
        return (self.width,)

    @property
    def dtype(self) -> torch.dtype:
        """Of the values as they are stored."""
        return self.values.dtype

    @property
    def lengths(self) -> Tensor:
        """How many entries each row has, (N,) int64."""
        return self.ends - self.begins

    def _check_shapes(self) -> None:
        expect_shape(self, "ends", (len(self),))
        if self.columns.ndim != 1 or self.columns.shape != self.values.shape:
            raise MessageError(
                "Expected SparsePoint.columns and .values of one shape (entries,); "
                f"got {tuple(self.columns.shape)} and {tuple(self.values.shape)}."
            )

    def blank(self, n: int) -> Self:
        """See `Message.blank`; rows without entries."""
        nothing = self.begins.new_zeros(n)
        missing = torch.ones(n, dtype=torch.bool, device=self.device)
        return replace(self, begins=nothing, ends=nothing, missing=missing)

    def rows(self) -> Tensor:
        """The row of each entry, (entries of these rows,) int64, row after row."""
        return torch.arange(len(self), device=self.device).repeat_interleave(self.lengths)

    def compact(self) -> Self:
        """The same rows with a pool of entries of their own, one row after another."""
        lengths = self.lengths
        ends = lengths.cumsum(0)
        begins = ends - lengths
        places = torch.arange(int(lengths.sum()), device=self.device) + (self.begins - begins)[self.rows()]
        columns, values = self.columns[places.to(self.columns.device)], self.values[places.to(self.values.device)]
        return replace(self, begins=begins, ends=ends, columns=columns, values=values)

    def to(self, device: torch.device | None = None, dtype: torch.dtype | None = None) -> Self:
        """The same rows on `device`; with a `dtype`, compact, cast and scaled, missing rows without entries."""
        if dtype is None:
            return self if device in {None, self.device} else Message.to(self.compact(), device)
        kept = self if self.missing is None else replace(self, ends=torch.where(self.missing, self.begins, self.ends))
        moved = Message.to(kept.compact(), device)
        values = moved.values.to(dtype)
        return replace(moved, values=values if self.scale == 1.0 else values * self.scale, scale=1.0)

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """See `Message.concatenate`; compact, since each part may have a pool of its own."""
        if len(parts) == 1:
            return parts[0]
        own = [part.compact() for part in parts]
        ends = torch.cat([part.lengths for part in own]).cumsum(0)
        flagged = any(part.missing is not None for part in own)
        return replace(
            own[0],
            begins=ends - torch.cat([part.lengths for part in own]),
            ends=ends,
            columns=torch.cat([part.columns for part in own]),
            values=torch.cat([part.values for part in own]),
            missing=torch.cat([part.missing_rows() for part in own]) if flagged else None,
        )

    def dense(self) -> Point:
        """The same vectors with their zeros, (N, V): for minibatches."""
        own = self.compact()
        value = own.values.new_zeros(len(own), own.width)
        value[own.rows(), own.columns.long()] = own.values
        return Point(value, own.scale, missing=own.missing)
