"""The course of a stream: chunk after chunk is learnt, remembered and let go."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import chain
from typing import Any

from pgmgraph.engine import Data, fitted
from pgmgraph.errors import DataError
from pgmgraph.events import FitEnded, FitStarted
from pgmgraph.graph import ModelGraph
from pgmgraph.learning import Learning, Watcher
from pgmgraph.messages import Message
from pgmgraph.recording import Recording
from pgmgraph.streams.chunks import Chunk, Chunks
from pgmgraph.streams.memory import Memory
from pgmgraph.streams.pieces import dense, joined, observed
from pgmgraph.streams.source import Resumable, Source
from pgmgraph.variables import Beliefs


@dataclass(frozen=True, eq=False)
class ChunkLearnt:
    """A chunk has been learnt.

    Attributes:
        number: of the chunk, from 0.
        items: how many rows it had.
        total: how many rows have come so far.
        foretold: the bound on the evidence of an item, in nats, before anything was learnt from the chunk: the terms of
            F that belong to items, under the model of the chunks before. None for the first chunk, or where F is not
            known. Where it falls the world changes, and the model no longer fits.
        learnt: the same after the chunk was learnt; with `keep`, of the old items that were shown again as well.
        beliefs: about the chunk's items.
        seconds: that it took.
    """

    number: int
    items: int
    total: int
    foretold: float | None
    learnt: float | None
    beliefs: Beliefs
    seconds: float


@dataclass(frozen=True)
class Limits:
    """How much is taken at a time, and in all; see `fit_stream`."""

    first: int | None
    chunk: int | None
    rounds: int
    max_items: int | None
    wait: float | None


class Course:
    """A stream that is learnt.

    Args:
        begin: makes what learns, given the first chunk and who watches besides.
        source: blocks of rows.
        memory: of earlier chunks.
        limits: see `Limits`.
    """

    def __init__(
        self, begin: Callable[[Data, Sequence[Watcher]], Learning], source: Source, memory: Memory, limits: Limits
    ) -> None:
        self._begin = begin
        self._source = source
        self._memory = memory
        self._limits = limits
        self._number = self._total = 0

    def run(
        self,
        graph: ModelGraph,
        recording: Recording | None,
        arguments: Mapping[str, object],
        notes: Mapping[str, Any],
    ) -> Iterator[ChunkLearnt]:
        """Learn chunk after chunk, for as long as there are any.

        Args:
            graph: what learns.
            recording: the run directory, if there is one.
            arguments: of `fit_stream`, for the record.
            notes: see `fit`.

        Yields:
            What came of each chunk.
        """
        with recording or nullcontext():
            resumed = recording.resumed if recording else None
            remembered = resumed.snapshot.memory if resumed else graph.memory
            if remembered:
                self._memory.restore(remembered)
            if recording and resumed:
                self._go_back(recording.progress)
            chunks = self._chunks(graph, recording, remembered)
            own = [] if remembered else _own(graph)
            learning: Learning | None = None
            reason = "failed"
            try:
                for data in chain(own, chunks):
                    if learning is None:
                        learning = self._begin(data, [self])
                        if recording:
                            recording.begin(learning, arguments, notes, data=_kinds(graph))
                        self._announce(learning)
                    learning.turn_to(data)
                    learnt = self._learn(learning, data)
                    graph.memory = {**self._memory.state(), "waiting": chunks.state()}
                    if recording:
                        recording.round_ended(self._progress())
                    yield learnt
                if learning is None and not resumed:
                    raise DataError("Expected rows from the source; it ended before it gave any.")
                reason = "ended"
            except KeyboardInterrupt:
                reason = "interrupted"
                raise
            except GeneratorExit:
                reason = "left"  # whoever iterates has had enough: that is no failure
            finally:
                if learning is not None:
                    learning.emit(FitEnded(learning.rounds, reason))
            if recording and learning is not None:
                recording.finish(reason)

    def score(self, graph: ModelGraph, beliefs: Mapping[str, Message]) -> dict[str, float]:
        """A column for the history: how many rows have come, those at hand included. See `Scorer.score`."""
        return {"items": float(self._total)}

    def _chunks(self, graph: ModelGraph, recording: Recording | None, remembered: Mapping[str, object]) -> Chunks:
        limits, heed = self._limits, recording.heed if recording else lambda: None
        most = None if limits.max_items is None else limits.max_items - self._total
        first = limits.chunk if self._number or limits.chunk is None else limits.first
        chunks = Chunks(graph.observations, self._source, limits.chunk, first, limits.wait, heed, most)
        if remembered:
            chunks.restore(remembered["waiting"])
        return chunks

    def _go_back(self, progress: Mapping[str, Any]) -> None:
        """Take up counting, and the source, where the checkpoint was written; it may be older than the first chunk."""
        self._number, self._total = progress.get("chunks", 0), progress.get("items", 0)
        position = progress.get("position")
        if position is not None and isinstance(self._source, Resumable):
            self._source.resume(position)

    def _announce(self, learning: Learning) -> None:
        limits, graph = self._limits, learning.graph
        rounds = 0
        if limits.max_items is not None and limits.chunk is not None:
            rounds = math.ceil(limits.max_items / limits.chunk) * limits.rounds
        learning.emit(FitStarted(tuple(graph.modules), rounds, graph.rounds_done - learning.rounds, learning.seed))

    def _progress(self) -> dict[str, Any]:
        position = self._source.position() if isinstance(self._source, Resumable) else None
        return {"chunks": self._number, "items": self._total, "position": position}

    def _learn(self, learning: Learning, data: Chunk) -> ChunkLearnt:
        """Learn one chunk, and remember it."""
        begin = time.perf_counter()
        items = {name: dense(one) for name, one in data.items()}
        rows = len(next(iter(items.values())))
        foretold = _of_an_item(learning)
        old = self._memory.reservoir.rows
        if old:
            learning.turn_to(
                {name: observed(joined([items[name], old[name]]), one.plate) for name, one in data.items()}
            )
        learning.engine.past = self._memory.past(learning.graph.modules)
        self._total += rows
        for _ in range(self._limits.rounds):
            learning.round()
        self._memory.add(items, learning.engine.totals)
        beliefs = learning.engine.mail.beliefs
        if old:
            beliefs = Beliefs({name: one[:rows] for name, one in beliefs.items()})
        number, self._number = self._number, self._number + 1
        seconds = time.perf_counter() - begin
        return ChunkLearnt(number, rows, self._total, foretold, _of_an_item(learning), beliefs, seconds)


def _own(graph: ModelGraph) -> list[Chunk]:
    """What the observations of a graph hold, as a first chunk; nothing where they are placeholders."""
    observations = dict(graph.observations)
    if not any(one.point.missing_rows().all() for one in observations.values()):
        return [observations]
    if graph.modules.keys() & {name for name in fitted(graph) if graph.calls[name]}:
        warnings.warn(
            "The graph has learnt, from data that it does not hold: statistics of them are unknown, and what follows "
            "from statistics will be forgotten. Give it the data, or learn from them by fit_stream too.",
            stacklevel=4,
        )
    return []


def _kinds(graph: ModelGraph) -> dict[str, Any]:
    """What a configuration says of data that are not there yet."""
    return {name: {"event_shape": list(one.point.event_shape)} for name, one in graph.observations.items()}


def _of_an_item(learning: Learning) -> float | None:
    """The terms of F that belong to items, for one of them."""
    evidence = learning.ledger.evidence if learning.ledger else None
    return None if evidence is None else evidence / max(len(one) for one in learning.engine.observations.values())
