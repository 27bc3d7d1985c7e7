"""Chunks: the rows of a source, so many at a time, checked as an observation checks them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from pgmgraph.errors import DataError, ShapeError, UnknownNameError, suggestion
from pgmgraph.matrices import SparseMatrix, is_sparse
from pgmgraph.messages import Point
from pgmgraph.observation import Observation, Values
from pgmgraph.streams.pieces import dense, joined, observed, of_state, state_of
from pgmgraph.streams.source import Block, Source

Chunk = Mapping[str, Observation]


class Chunks:
    """The chunks of a source, of `size` rows each but for the last.

    Nothing is read ahead of what is asked for: a source is held up while others learn.

    Args:
        observations: those of the graph, whose plates, scales and shapes the rows have.
        source: blocks of rows.
        size: rows in a chunk; None takes each block for a chunk, as it is.
        first: rows in the first one; None for as many as in the others.
        wait: how many seconds a chunk may wait for rows, once it has one, where its source says that it has nothing.
        heed: called while nothing comes; it may raise, to end the waiting.
        most: how many rows are taken in all.

    Raises:
        DataError: while it is read: rows that are none of these observations, or do not lie side by side.
    """

    def __init__(
        self,
        observations: Mapping[str, Observation],
        source: Source,
        size: int | None,
        first: int | None = None,
        wait: float | None = None,
        heed: Callable[[], None] = lambda: None,
        most: int | None = None,
    ) -> None:
        self._observations = observations
        self._source = source
        self._whole = size is None
        self._size, self._next = size or 1, first or size or 1
        self._wait = wait
        self._heed = heed
        self._left = most
        self._waiting: list[dict[str, Point]] = []
        self._rows = 0

    def state(self) -> dict[str, object]:
        """The rows that came after the last chunk, as tensors and plain values."""
        # Copied, since a slice would drag all that was read with it into a checkpoint.
        return state_of({name: one[torch.arange(len(one))] for name, one in self._gathered().items()})

    def restore(self, state: object) -> None:
        """Take such rows back."""
        rows = of_state(state)
        self._waiting, self._rows = [rows] if rows else [], len(next(iter(rows.values()))) if rows else 0

    def __iter__(self) -> Iterator[Chunk]:
        since = time.monotonic()
        blocks = iter(self._source)
        while self._left != 0:
            if self._rows >= self._next:
                yield self._cut(self._next)
                since = time.monotonic()
                continue
            self._heed()
            try:
                block = next(blocks)
            except StopIteration:
                break
            if block is None:
                if self._wait is not None and self._rows and time.monotonic() - since >= self._wait:
                    yield self._cut(self._rows)
                    since = time.monotonic()
                continue
            chunk = self._read(block)
            if self._whole:
                self._count(max(len(one) for one in chunk.values()))
                yield chunk
                continue
            since = since if self._rows else time.monotonic()
            self._keep(chunk)
        if self._rows and self._left != 0:
            yield self._cut(self._rows)

    def _count(self, rows: int) -> None:
        if self._left is not None:
            self._left = max(0, self._left - rows)

    def _gathered(self) -> dict[str, Point]:
        """All rows that wait."""
        if not self._waiting:
            return {}
        return {name: joined([piece[name] for piece in self._waiting]) for name in self._observations}

    def _cut(self, rows: int) -> Chunk:
        rows = rows if self._left is None else min(rows, self._left)
        waiting = self._gathered()
        self._rows -= rows
        self._waiting = [{name: one[rows:] for name, one in waiting.items()}] if self._rows else []
        self._count(rows)
        self._next = self._size
        return {name: observed(one[:rows], self._observations[name].plate) for name, one in waiting.items()}

    def _keep(self, block: Chunk) -> None:
        for name, one in block.items():
            if one.lengths is not None or one.groups:
                raise DataError(
                    f"Expected rows that can be cut apart for {name!r}; got sequences or groups. Give chunk=None, and "
                    "whole ones at a time: each block is then a chunk.",
                    name,
                )
        self._waiting.append({name: dense(one) for name, one in block.items()})
        self._rows += len(next(iter(block.values())))

    def _read(self, block: Block) -> Chunk:
        """A block as observations of as many rows each."""
        names = list(self._observations)
        given = block if isinstance(block, Mapping) else {names[0]: block}
        if len(names) > 1 and not isinstance(block, Mapping):
            raise DataError(
                f"Expected rows by the name of an observation from the source, {{{names[0]!r}: ..., {names[1]!r}: "
                f"...}}; got {type(block).__name__}."
            )
        for name in [*given, *names]:
            if name not in self._observations:
                raise UnknownNameError(f"No observation named {name!r}.{suggestion(name, names)}", name)
            if name not in given:
                raise DataError(
                    f"Expected rows for {name!r} too from the source; got {', '.join(given)}. Where a part was not "
                    f"observed, give Observation(values, missing=mask).",
                    name,
                )
        whole = {name: self._as_rows(name, values) for name, values in given.items()}
        sizes = {name: len(one) for name, one in whole.items()}
        if len(set(sizes.values())) > 1 and not self._whole:
            listed = ", ".join(f"{rows} of {name}" for name, rows in sizes.items())
            raise DataError(f"Expected as many rows of each observation at a time; got {listed}.")
        return whole

    def _as_rows(self, name: str, values: Values | SparseMatrix | Observation | None) -> Observation:
        known = self._observations[name]
        event = known.point.event_shape
        if values is None:
            raise DataError(f"Expected values for {name!r} from the source; got None beside others.", name)
        if not isinstance(values, Observation) and not is_sparse(values):
            rows = values if isinstance(values, Tensor) else np.asarray(values)
            values = rows[None] if tuple(rows.shape) == event else rows
        one = known.replaced(values, name)
        if one.point.event_shape != event:
            raise ShapeError(
                f"Expected rows of shape {event} for {name!r} from the source, or one; got values of shape "
                f"{(len(one), *one.point.event_shape)}.",
                name,
            )
        return one
