"""Sequences of unequal length, laid out step by step: what runs along time takes all of them at once, unpadded."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class Steps:
    """The first rows of all sequences, then the second ones, and so on; in each step the longest sequence first.

    So those that go on after a step are the first rows of it, in the same order.

    Args:
        lengths: (S,) int64, above 0, of sequences that lie one after another.
    """

    def __init__(self, lengths: Tensor) -> None:
        ranks = lengths.argsort(descending=True, stable=True).argsort()
        steps = step_numbers(lengths)
        self._order = (steps * len(lengths) + ranks.repeat_interleave(lengths)).argsort()
        self._counts: list[int] = torch.bincount(steps).tolist()

    def split(self, rows: Tensor) -> list[Tensor]:
        """Rows as they lie, (N, ...), as those of each step, (running, ...): parts of one copy."""
        return list(rows[self._order].split(self._counts))

    def join(self, parts: Sequence[Tensor]) -> Tensor:
        """What `split` made parts of."""
        laid_out = torch.cat(list(parts))
        rows = torch.empty_like(laid_out)
        rows[self._order] = laid_out
        return rows


def step_numbers(lengths: Tensor) -> Tensor:
    """The place of each row in its sequence, from 0, (N,) int64."""
    begins = lengths.cumsum(0) - lengths
    return torch.arange(int(lengths.sum()), device=lengths.device) - begins.repeat_interleave(lengths)


def reach(seen: Tensor, lengths: Tensor) -> Tensor:
    """How many rows each sequence has up to the last one that was seen, (S,) int64; 0 where none was.

    Args:
        seen: (N,) bool.
        lengths: (S,) int64.
    """
    numbers = torch.arange(len(lengths), device=lengths.device).repeat_interleave(lengths)
    ends = torch.where(seen, step_numbers(lengths) + 1, 0)
    return torch.zeros_like(lengths).scatter_reduce(0, numbers, ends, "amax")
