"""What an update over a stream learns from besides new items: the past, as sums or as items that are shown again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from torch import Tensor

Statistics: TypeAlias = Tensor | Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class Past:
    """The past of one module, as it enters an update.

    Attributes:
        sums: the statistics of earlier chunks, weighted already; None where there are none.
        replayed: how many of the last rows of the plate are old items.
        weight: how often the statistics of each of them count; with 0 gradient steps alone see them.
    """

    sums: Statistics | None = None
    replayed: int = 0
    weight: float = 0.0

    @property
    def counts(self) -> bool:
        """Whether statistics hold more than what the new items say."""
        return self.sums is not None or (self.replayed > 0 and self.weight > 0)


def added(one: Statistics, other: Statistics | None) -> Statistics:
    """The sum of statistics of one kind."""
    if other is None:
        return one
    if isinstance(one, Tensor):
        assert isinstance(other, Tensor)
        return one + other
    assert not isinstance(other, Tensor)
    return {name: one[name] + other[name] for name in one}


def scaled(total: Statistics, factor: float) -> Statistics:
    """Statistics that count several times, or in part."""
    if isinstance(total, Tensor):
        return total * factor
    return {name: value * factor for name, value in total.items()}


def kind(total: Statistics) -> dict[str, tuple[int, ...]]:
    """What statistics are: their shapes by name."""
    if isinstance(total, Tensor):
        return {"": tuple(total.shape)}
    return {name: tuple(value.shape) for name, value in total.items()}
