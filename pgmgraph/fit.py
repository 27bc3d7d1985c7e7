"""Learning: rounds of updates, in the order of a schedule."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeAlias, runtime_checkable

from pgmgraph.engine import Data, Engine, fitted
from pgmgraph.errors import DataError, ScheduleError
from pgmgraph.events import Callback, Event, FitEnded, FitStarted, ModuleUpdated, Progress, RoundEnded, RoundStarted
from pgmgraph.executors import Executor
from pgmgraph.graph import ModelGraph
from pgmgraph.ledger import Entry, Ledger
from pgmgraph.messages import Message
from pgmgraph.schedules import Schedule, Stage, View, as_stage, schedule_function
from pgmgraph.scores import Scores
from pgmgraph.variables import Beliefs


@runtime_checkable
class Scorer(Protocol):
    """Adds columns to the history: looks at the beliefs at the end of each round. See `Scores`."""

    def score(self, graph: ModelGraph, beliefs: Mapping[str, Message]) -> Mapping[str, float]:
        """A value for each column."""


Watcher: TypeAlias = Callback | Scorer


@dataclass
class FitResult:
    """What came of `fit`.

    Attributes:
        beliefs: q(v) of every latent variable, by name: `beliefs["gmm.c"]`.
        history: columns by name with one entry a round: "F" (None while unknown), "seconds", scores.
        trace: a row for each stage, with F and each module's own terms; empty with objective=False.
        reason: why it stopped: "rounds" or "converged".
        rounds: how many rounds this call ran.
    """

    beliefs: Beliefs
    history: dict[str, list[float | None]]
    trace: list[Entry]
    reason: str
    rounds: int
    seconds: float = field(default=0.0)


def fit(
    graph: ModelGraph,
    data: Data | None = None,
    *,
    rounds: int = 1,
    tol: float | None = None,
    patience: int = 3,
    schedule: Schedule = "bottom_up",
    seed: int = 0,
    callbacks: Sequence[Watcher] = (),
    frozen: Sequence[str] = (),
    strict: bool = False,
    objective: bool = True,
    executor: Executor | None = None,
    device: str = "auto",
) -> FitResult:
    """Let the modules of a graph learn together. A second call goes on where the first one stopped.

    Args:
        graph: modules and observations, wired.
        data: values in the place of observations, by name, of any N; the model goes on learning from them.
        rounds: how many rounds to run at most.
        tol: stop when F changes by less than this share of itself for `patience` rounds. A fall, a NaN
            or a module without a guarantee is never convergence.
        patience: see `tol`.
        schedule: the order within a round. See `pgmgraph.schedules`.
        seed: what all randomness follows from.
        callbacks: functions that receive events, and scorers such as `Scores`.
        frozen: modules that send but do not learn.
        strict: raise, instead of warn, where an update that is declared exact lowers F.
        objective: whether F is computed after each stage.
        executor: where modules run; in this process by default.
        device: "auto", "cpu", "cuda", "cuda:1" ...; for modules that are not set up yet.

    Returns:
        Beliefs, history and trace.

    Raises:
        WiringError, ScheduleError, DataError: before anything is computed.
        LearningError: an update went wrong.
    """
    for name, number in {"rounds": rounds, "patience": patience}.items():
        if number < 1:
            raise ScheduleError(f"Expected {name} of at least 1; got {number}.")
    if tol is not None and not (tol > 0 and objective):
        raise ScheduleError(f"Expected a positive tol, and objective=True to watch F; got {tol} and {objective}.")
    return _Fit(graph, data, schedule, seed, callbacks, frozen, strict, objective, executor, device).run(
        rounds, _Convergence(tol, patience)
    )


_ROUNDING = 1e-9


class _Convergence:
    """Watches F for a standstill."""

    def __init__(self, tol: float | None, patience: int) -> None:
        self._tol, self._patience = tol, patience
        self._still = 0
        self._last: float | None = None

    def reached(self, value: float | None, guaranteed: bool) -> bool:
        """Whether F, `value` after this round, has stood still for long enough."""
        last, self._last = self._last, value
        if self._tol is None or value is None or last is None or not math.isfinite(value):
            return False
        rise = value - last
        # A fall is no convergence, but one in the last digits is no fall.
        still = guaranteed and -_ROUNDING * abs(value) <= rise <= self._tol * abs(value)
        self._still = self._still + 1 if still else 0
        return self._still >= self._patience


class _Fit:
    """One call of `fit`."""

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
        self.callbacks: list[Callable[[Event], None]] = [one for one in callbacks if not isinstance(one, Scorer)]
        self.scorers = [one for one in callbacks if isinstance(one, Scorer)]
        self.view = View(graph, tuple(graph.modules), frozenset(frozen))
        self.stages_of = schedule_function(schedule, self.view)
        self.engine = Engine(
            graph, data, seed=seed, device=device, executor=executor, watcher=self._progress, frozen=frozen
        )
        for remark in self.engine.checked.remarks:
            warnings.warn(remark, stacklevel=4)
        for scorer in self.scorers:
            if isinstance(scorer, Scores):
                scorer.check(graph, self.engine.items)
        sent = self._fill_mail()
        self.ledger = Ledger(self.engine, sent, strict) if objective else None
        self.history: dict[str, list[float | None]] = {}
        self.trace: list[Entry] = []
        self.guarantees: dict[str, str] = {}

    def run(self, rounds: int, convergence: _Convergence) -> FitResult:
        begin = time.perf_counter()
        self._emit(FitStarted(tuple(self.graph.modules), rounds, self.graph.rounds_done, self.seed))
        done, reason = 0, "failed"
        try:
            while done < rounds and reason != "converged":
                view = replace(self.view, F=tuple(self.history.get("F", [])))
                self._round(self.stages_of(view, self.graph.rounds_done))
                done += 1
                guaranteed = "none" not in self.guarantees.values() and not self.engine.checked.remarks
                if convergence.reached(self.ledger.F if self.ledger else None, guaranteed):
                    reason = "converged"
            reason = "converged" if reason == "converged" else "rounds"
        finally:
            # Whoever watches hears of the end however it came: a display must let go of the terminal.
            self._emit(FitEnded(done, reason))
        for name in self.view.modules:
            if name not in fitted(self.graph) and name not in self.view.frozen:
                warnings.warn(f"The schedule never updated {name}.", stacklevel=3)
        return FitResult(self.engine.mail.beliefs, self.history, self.trace, reason, done, time.perf_counter() - begin)

    def _fill_mail(self) -> list[str]:
        """What modules that have learnt before think of this data, so that learning goes on from there."""
        known = {*fitted(self.graph), *self.view.frozen}
        sent = []
        for name in self.engine.order():
            if name in known and self.engine.mail.ready(name):
                self.engine.send(name)
                sent.append(name)
        return sent

    def _round(self, stages: Iterable[Stage]) -> None:
        begin = time.perf_counter()
        round = self.graph.rounds_done
        self._emit(RoundStarted(round))
        empty = True
        if isinstance(stages, str) or not isinstance(stages, Iterable):
            raise ScheduleError(f"Expected stages from the schedule, as in ['vae', 'gmm']; got {stages!r}.")
        for stage in stages:
            self._stage(as_stage(stage, self.view))
            empty = False
        if empty:
            raise ScheduleError(f"The schedule names no module in round {round}. Yield at least one stage.")
        seconds = time.perf_counter() - begin
        scores: dict[str, float] = {}
        for scorer in self.scorers:
            columns = scorer.score(self.graph, self.engine.mail.beliefs)
            twice = scores.keys() & columns.keys()
            if twice:
                raise DataError(
                    f"Two scorers give a column {min(twice)!r}. Give one of them a prefix: Scores(..., prefix='gmm ')."
                )
            scores |= columns
        objective = self.ledger.F if self.ledger else None
        self._record({"F": objective, "seconds": seconds, **scores})
        self.graph.rounds_done += 1
        self._emit(RoundEnded(round, objective, seconds, scores))

    def _stage(self, names: tuple[str, ...]) -> None:
        reports, changed = self.engine.update(names)
        for report in reports:
            self.guarantees[report.module] = report.guarantee
            self._emit(ModuleUpdated(self.graph.rounds_done, report.module, report.seconds))
        if self.ledger:
            self.trace.append(self.ledger.enter(reports, changed))

    def _record(self, row: Mapping[str, float | None]) -> None:
        rounds = max((len(column) for column in self.history.values()), default=0)
        for name in row:
            self.history.setdefault(name, [None] * rounds)
        for name, column in self.history.items():
            column.append(row.get(name))

    def _progress(self, module: str, done: int, total: int, values: Mapping[str, float]) -> None:
        self._emit(Progress(self.graph.rounds_done, module, done, total, dict(values)))

    def _emit(self, event: Event) -> None:
        for callback in self.callbacks:
            callback(event)
