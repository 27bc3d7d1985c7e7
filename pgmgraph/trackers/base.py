"""What every tracker does: gathers a row a round from events, and never stands in the way of learning."""

from __future__ import annotations

import textwrap
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import ParamSpec, TypeAlias

from pgmgraph import events
from pgmgraph.events import Event
from pgmgraph.graph import ModelGraph
from pgmgraph.messages import Message

Row: TypeAlias = Mapping[str, float]

# MLflow's errors quote whole statements and stacks.
LONGEST_CAUSE = 300

P = ParamSpec("P")


class Tracker(ABC):
    """A callback that writes the course of learning somewhere. Give it to `fit` among the callbacks.

    The row of a round holds F (once it is known), the seconds, the scores under the names of their columns, the last of
    each value that a module reported in the round (`vae/loss`), and the seconds of each module (`seconds/vae`).

    With restarts, rows of beginning 2 are written under `beginning 2/`; when all have run, those of the best one are
    written again, without that, since learning goes on from there.

    Whatever goes wrong in a tracker is warned of once. It then keeps silent, and learning goes on.

    A subclass says what to do at the start, with a row, and at the end; it may look at beliefs as well.
    """

    def __init__(self) -> None:
        self._failed = False
        self._beginning: events.BeginningStarted | None = None
        self._best: float | None = None
        self._best_rows: dict[int, Row] = {}
        self._rows: dict[int, Row] = {}
        self._reported: dict[str, float] = {}

    @abstractmethod
    def start(self, event: events.FitStarted) -> None:
        """Open what is written to."""

    @abstractmethod
    def write(self, round: int, row: Row) -> None:
        """Write the row of a round."""

    @abstractmethod
    def end(self, event: events.FitEnded) -> None:
        """Write what is left; a tracker that failed is not asked to."""

    def look(self, graph: ModelGraph, beliefs: Mapping[str, Message]) -> None:  # noqa: B027  # not all of them look
        """Look at the beliefs at the end of a round of the main course; by default it does not."""

    def __call__(self, event: Event) -> None:
        """Hear of an event."""
        self._unless_failed(self._hear, event)

    def score(self, graph: ModelGraph, beliefs: Mapping[str, Message]) -> Row:
        """See `Scorer.score`: gives no columns."""
        if self._beginning is None:
            self._unless_failed(self.look, graph, beliefs)
        return {}

    def _hear(self, event: Event) -> None:
        match event:
            case events.FitStarted():
                self._beginning, self._best = None, None
                self.start(event)
            case events.BeginningStarted():
                self._beginning, self._rows = event, {}
            case events.BeginningEnded():
                self._end_beginning(event)
            case events.RoundStarted():
                self._reported = {}
            case events.Progress():
                self._reported |= {f"{event.module}/{name}": value for name, value in event.values.items()}
            case events.ModuleUpdated():
                name = f"seconds/{event.module}"
                self._reported[name] = self._reported.get(name, 0.0) + event.seconds
            case events.RoundEnded():
                self._end_round(event)
            case events.FitEnded():
                self.end(event)
            case _:
                pass

    def _end_round(self, event: events.RoundEnded) -> None:
        objective = {} if event.F is None else {"F": event.F}
        row = {**self._reported, **objective, "seconds": event.seconds, **event.scores}
        if self._beginning is None:
            self.write(event.round, row)
            return
        self._rows[event.round] = row
        prefix = f"beginning {self._beginning.number + 1}/"
        self.write(event.round, {f"{prefix}{name}": value for name, value in row.items()})

    def _end_beginning(self, event: events.BeginningEnded) -> None:
        if event.F is not None and (self._best is None or self._best < event.F):
            self._best, self._best_rows = event.F, self._rows
        if self._beginning is not None and event.number == self._beginning.beginnings - 1:
            self._beginning = None
            for round, row in self._best_rows.items():
                self.write(round, row)

    def _unless_failed(self, action: Callable[P, None], *arguments: P.args, **named: P.kwargs) -> None:
        if self._failed:
            return
        try:
            action(*arguments, **named)
        # Disks fill, servers go away, and what writes to them raises anything: none of it must reach learning.
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            self._failed = True
            warnings.warn(
                f"{type(self).__name__} failed and keeps silent from here on; learning goes on without it. "
                f"{type(error).__name__}: {textwrap.shorten(str(error), LONGEST_CAUSE)}",
                stacklevel=4,
            )
