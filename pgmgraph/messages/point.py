"""Observed or deterministic values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
from torch import Tensor

from pgmgraph.messages.base import Message, moved


@dataclass(frozen=True, eq=False)
class Point(Message):
    """A known value for each item.

    Attributes:
        value: (N, *event), of any dtype and possibly a view of a memory-mapped file. It is cast by
            `to(dtype=...)`, after slicing, so that a plate of bytes stays a plate of bytes.
        scale: what the stored values are multiplied by when they are cast (1/255 for 8-bit images).
    """

    per_item: ClassVar[tuple[str, ...]] = ("value",)

    value: Tensor
    scale: float = 1.0

    @property
    def event_shape(self) -> tuple[int, ...]:
        """The shape of one item."""
        return tuple(self.value.shape[1:])

    @property
    def dtype(self) -> torch.dtype:
        """Of the values as they are stored."""
        return self.value.dtype

    def _check_shapes(self) -> None:
        """Any event shape is a point."""

    def blank(self, n: int) -> Self:
        """See `Message.blank`."""
        missing = torch.ones(n, dtype=torch.bool, device=self.value.device)
        return replace(self, value=self.value.new_zeros(n, *self.event_shape), missing=missing)

    def to(self, device: torch.device | None = None, dtype: torch.dtype | None = None) -> Self:
        """The same values on `device`; with a `dtype`, cast and scaled, missing rows zero."""
        value = moved(self.value, device)
        missing = None if self.missing is None else moved(self.missing, device)
        if dtype is None:
            return self if value is self.value else replace(self, value=value, missing=missing)
        cast = value.to(dtype)
        if self.scale != 1.0:
            cast = cast * self.scale if cast is value else cast.mul_(self.scale)
        if missing is not None:
            rows = missing.reshape(-1, *[1] * len(self.event_shape))
            cast = cast.masked_fill(rows, 0.0)
        return self if cast is self.value else replace(self, value=cast, scale=1.0, missing=missing)
