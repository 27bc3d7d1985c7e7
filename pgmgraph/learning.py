"""Rounds of updates in the order of a schedule, and what comes of them."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol, TypeAlias, runtime_checkable

from pgmgraph.engine import Data, Engine, ModuleReport, fitted
from pgmgraph.errors import DataError, ScheduleError
from pgmgraph.events import Callback, Event, ModuleUpdated, Progress, RoundEnded, RoundStarted
from pgmgraph.executors import Executor
from pgmgraph.graph import ModelGraph
from pgmgraph.ledger import Entry, Ledger, LedgerState
from pgmgraph.messages import Message
from pgmgraph.schedules import Schedule, Stage, View, as_stage, schedule_function
from pgmgraph.scores import Scores
from pgmgraph.snapshots import Snapshot
from pgmgraph.stages import Names, Stages


@runtime_checkable
class Scorer(Protocol):
    """Adds columns to the history: looks at the beliefs at the end of each round. See `Scores`."""

    def score(self, graph: ModelGraph, beliefs: Mapping[str, Message]) -> Mapping[str, float]:
        """A value for each column."""


Watcher: TypeAlias = Callback | Scorer


@dataclass(frozen=True, eq=False)
class Saved:
    """What had come of learning at one moment."""

    snapshot: Snapshot
    known: LedgerState | None
    history: Mapping[str, list[float | None]]
    trace: Sequence[Entry]
    guarantees: Mapping[str, str]


class Learning:
    """Rounds of updates of one graph on one set of data; its arguments are those of `fit`.

    Attributes:
        engine: runs the modules.
        view: what schedules may look at.
        ledger: F; None with objective=False.
        history: columns by name with one entry a round.
        trace: a row for each stage.
        before_stage: called before each stage; it may raise, to end learning where the stage before it is done.
    """

    def __init__(
        self,
        graph: ModelGraph,
        data: Data | None,
        schedule: Schedule,
        seed: int,
        callbacks: Sequence[Watcher],
        frozen: Sequence[str],
        strict: bool,
        objective: bool,
        executor: Executor | None,
        device: str,
    ) -> None:
        self.graph = graph
        self.seed = seed
        # A tracker hears events and looks as a scorer does. What is neither fails where it is first called.
        self._callbacks: list[Callable[[Event], None]] = [
            one for one in callbacks if callable(one) or not isinstance(one, Scorer)
        ]
        self._scorers = [one for one in callbacks if isinstance(one, Scorer)]
        self.view = View(graph, tuple(graph.modules), frozenset(frozen), residuals=lambda: self.engine.mail.residuals())
        self._stages_of = schedule_function(schedule, self.view)
        self._engine_on = partial(
            Engine,
            graph,
            seed=seed,
            device=device,
            executor=executor,
            watcher=self._progress,
            frozen=frozen,
            learns=True,
        )
        # Whoever looks at what has come so far is not asked for the next stage before this one is done.
        self._foreseeable = not callable(schedule) and schedule != "residual"
        self._strict, self._objective = strict, objective
        self.turn_to(data)
        for remark in self.engine.checked.remarks:
            warnings.warn(remark, stacklevel=3)
        self.history: dict[str, list[float | None]] = {}
        self.trace: list[Entry] = []
        self.before_stage: Callable[[], None] = lambda: None
        self._guarantees: dict[str, str] = {}

    def turn_to(self, data: Data | None) -> None:
        """Go on with these data: what was learnt and the history stay, the messages are those about the new data."""
        self.engine = self._engine_on(data)
        if not self._foreseeable:
            self.engine.mail.watch()
        for name, observation in self.engine.observations.items():
            if observation.point.missing_rows().all():
                raise DataError(
                    f"Expected data for {name!r} to learn from; it is a placeholder, of which every row is missing. "
                    f"Give them: fit(graph, {{{name!r}: values}}).",
                    name,
                )
        for scorer in self._scorers:
            if isinstance(scorer, Scores):
                scorer.check(self.graph, self.engine.items)
        sent = self._fill_mail()
        self.ledger = Ledger(self.engine, sent, self._strict) if self._objective else None
        self._stages = Stages(self.engine, self.ledger)

    @property
    def rounds(self) -> int:
        """How many rounds the history has."""
        return max((len(column) for column in self.history.values()), default=0)

    @property
    def guaranteed(self) -> bool:
        """Whether every module that was updated guarantees something about F."""
        return "none" not in self._guarantees.values() and not self.engine.checked.remarks

    def save(self) -> Saved:
        """All that has come of it so far, as a copy."""
        history = {name: list(column) for name, column in self.history.items()}
        known = self.ledger.saved() if self.ledger else None
        return Saved(self.engine.snapshot(), known, history, list(self.trace), dict(self._guarantees))

    def restore(self, saved: Saved) -> None:
        """Go back to what was saved, which stays whole."""
        self.engine.restore(saved.snapshot)
        if self.ledger and saved.known:
            self.ledger.restore(saved.known)
        self.history = {name: list(column) for name, column in saved.history.items()}
        self.trace = list(saved.trace)
        self._guarantees = dict(saved.guarantees)

    def _fill_mail(self) -> list[str]:
        """What modules that have learnt before think of this data, so that learning goes on from there."""
        known = {*fitted(self.graph), *self.view.frozen}
        sent = []
        for name in self.engine.order():
            if name in known and self.engine.mail.ready(name):
                self.engine.send(name)
                sent.append(name)
        return sent

    def round(self, of_stage: Callable[[Names], None] | None = None, *, last: bool = True) -> None:
        """Run the stages of one round, by `of_stage` in the place of `stage`, and put down what came of it.

        Where it is not the last one, stages of the next may be under way when it is done. See `Stages`.
        """
        begin = time.perf_counter()
        round = self.graph.rounds_done
        stages = self._asked_of_schedule(round)
        self.emit(RoundStarted(round))
        empty = True
        if of_stage is None and self.engine.ahead and self._foreseeable:
            foreseen = [as_stage(stage, self.view) for stage in stages]
            # Before F is known, it matters who has been heard of.
            known = self.ledger is None or self.ledger.F is not None
            following = self._asked_of_schedule(round + 1) if known and not last else ()
            self._run(foreseen, [as_stage(stage, self.view) for stage in following])
            empty = not foreseen
        else:
            for stage in stages:
                (of_stage or self.stage)(as_stage(stage, self.view))
                empty = False
        if empty:
            raise ScheduleError(f"The schedule names no module in round {round}. Yield at least one stage.")
        seconds = time.perf_counter() - begin
        scores: dict[str, float] = {}
        for scorer in self._scorers:
            columns = scorer.score(self.graph, self.engine.beliefs)
            twice = scores.keys() & columns.keys()
            if twice:
                raise DataError(
                    f"Two scorers give a column {min(twice)!r}. Give one of them a prefix: Scores(..., prefix='gmm ')."
                )
            scores |= columns
        objective = self.ledger.F if self.ledger else None
        self._record({"F": objective, "seconds": seconds, **scores})
        self.graph.rounds_done += 1
        self.emit(RoundEnded(round, objective, seconds, scores))

    def stage(self, names: Names) -> None:
        """Update the modules of one stage, and enter what came of it into the ledger."""
        self._run([names])

    def drop(self) -> None:
        """Undo what is under way: nothing comes after the last round that is done."""
        self._stages.drop()

    def _asked_of_schedule(self, round: int) -> Iterable[Stage]:
        stages = self._stages_of(replace(self.view, F=tuple(self.history.get("F", []))), round)
        if isinstance(stages, str) or not isinstance(stages, Iterable):
            raise ScheduleError(f"Expected stages from the schedule, as in ['vae', 'gmm']; got {stages!r}.")
        return stages

    def _run(self, stages: Sequence[Names], following: Sequence[Names] = ()) -> None:
        # `before_stage` is looked up each time, since it may be set while learning goes on.
        self._stages.run(stages, following, lambda: self.before_stage(), self._enter)

    def _enter(self, reports: Sequence[ModuleReport], entry: Entry | None) -> None:
        for report in reports:
            self._guarantees[report.module] = report.guarantee
            self.emit(ModuleUpdated(self.graph.rounds_done, report.module, report.seconds))
        if entry:
            self.trace.append(entry)

    def _record(self, row: Mapping[str, float | None]) -> None:
        rounds = self.rounds
        for name in row:
            self.history.setdefault(name, [None] * rounds)
        for name, column in self.history.items():
            column.append(row.get(name))

    def _progress(self, module: str, done: int, total: int, values: Mapping[str, float]) -> None:
        self.emit(Progress(self.graph.rounds_done, module, done, total, dict(values)))

    def emit(self, event: Event) -> None:
        """Tell all callbacks."""
        for callback in self._callbacks:
            callback(event)
