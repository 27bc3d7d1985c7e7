"""Learning: rounds of updates, in the order of a schedule."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pgmgraph.checkpoints import Checkpoints
from pgmgraph.engine import Data, fitted
from pgmgraph.errors import PgmgraphError, ScheduleError
from pgmgraph.events import FitEnded, FitStarted
from pgmgraph.executors import Executor
from pgmgraph.graph import ModelGraph
from pgmgraph.learning import Learning, Watcher
from pgmgraph.ledger import Entry
from pgmgraph.observation import Values
from pgmgraph.recording import Recording
from pgmgraph.restarts import Beginnings
from pgmgraph.runs import Run
from pgmgraph.schedules import Schedule
from pgmgraph.scores import Scores
from pgmgraph.variables import Beliefs

EVERY_ROUND = Checkpoints()


@dataclass
class FitResult:
    """What came of `fit`.

    Attributes:
        beliefs: q(v) of every latent variable, by name: `beliefs["gmm.c"]`.
        history: columns by name with one entry a round: "F" (None while unknown), "seconds", scores.
        trace: a row for each stage, with F and each module's own terms; empty with objective=False.
        reason: why it stopped: "rounds" or "converged".
        rounds: how many rounds this call ran.
        beginnings: with restarts, F of each beginning as they were compared, minus infinity for one that diverged.
    """

    beliefs: Beliefs
    history: dict[str, list[float | None]]
    trace: list[Entry]
    reason: str
    rounds: int
    seconds: float = field(default=0.0)
    beginnings: list[float] = field(default_factory=list)


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
    restarts: int = 1,
    restart_rounds: int = 12,
    run_dir: str | Path | None = None,
    resume: bool | str = False,
    checkpoints: Checkpoints = EVERY_ROUND,
    report: bool = True,
    notes: Mapping[str, Any] | None = None,
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
        restarts: how many beginnings are tried. What is learnt before the first module that starts from data
            (a mixture, say) is learnt once; from there each beginning starts elsewhere and runs `restart_rounds`
            rounds, and the one with the best F goes on. F is averaged over the last rounds, and over several
            draws of noise and subsets, the same for all. A mixture that takes the best of many starts by itself
            begins alike each time: give it few.
        restart_rounds: see `restarts`. Where a weight rises over rounds, as a VAE's `Ramp` does, let it reach its end.
        run_dir: a folder of this run's own, for its configuration, history, checkpoints and report. Ctrl-C then ends
            learning where the module in hand is done, and what was learnt is kept.
        resume: go on with the run in `run_dir`, which an interrupt, an error or the end of a machine broke off, or
            which is to have more rounds: from its last checkpoint, or from the one of this name. The graph is a new
            one, the arguments are as they were, and the result is that of a run that was never interrupted.
        checkpoints: when they are written. See `Checkpoints`.
        report: whether the report of the run is written into `run_dir` at the end; it takes some seconds.
        notes: plain values that the run directory keeps beside its configuration, such as where the data came from;
            they decide nothing, and a resumed run keeps those it was begun with.
        executor: where modules run; in this process by default.
        device: "auto", "cpu", "cuda", "cuda:1" ...; for modules that are not set up yet.

    Returns:
        Beliefs, history and trace.

    Raises:
        WiringError, ScheduleError, DataError: before anything is computed.
        LearningError: an update went wrong.
        RunError: the folder is taken, or holds no run that can be resumed so.
        OutputError: the disk refuses.
        Interrupted: Ctrl-C, with a run_dir.
    """
    numbers = {"rounds": rounds, "patience": patience, "restarts": restarts, "restart_rounds": restart_rounds}
    for name, number in numbers.items():
        if number < 1:
            raise ScheduleError(f"Expected {name} of at least 1; got {number}.")
    if tol is not None and not (tol > 0 and objective):
        raise ScheduleError(f"Expected a positive tol, and objective=True to watch F; got {tol} and {objective}.")
    if restarts > 1 and not objective:
        raise ScheduleError("Expected objective=True with restarts, which are compared by F; got objective=False.")
    if run_dir is None and resume:
        raise ScheduleError("Expected the run_dir of a run to resume; got none.")
    if resume and (graph.rounds_done or graph.contexts):
        raise ScheduleError("Expected a new graph to resume a run with; got one that has learnt. Make it again.")
    arguments = {
        **numbers,
        "rounds": rounds,
        "tol": tol,
        "schedule": schedule,
        "seed": seed,
        "frozen": list(frozen),
        "strict": strict,
        "objective": objective,
        "device": device,
    }
    with Recording(run_dir, checkpoints, resume) if run_dir is not None else nullcontext() as recording:
        learning = Learning(graph, data, schedule, seed, callbacks, frozen, strict, objective, executor, device)
        convergence = _Convergence(tol, patience)
        beginnings = Beginnings(learning, restarts, min(rounds, restart_rounds)) if restarts > 1 else None
        if recording:
            recording.begin(learning, arguments, notes or {})
        try:
            result = _run(learning, rounds, convergence, beginnings, recording)
        finally:
            learning.engine.finish()
        if recording and report:
            labels = next((one.labels for one in callbacks if isinstance(one, Scores)), None)
            _report(recording.path, graph, result.beliefs, labels)
        return result


def _report(path: Path, graph: ModelGraph, beliefs: Beliefs, labels: Values | None) -> None:
    """Write the report of a run; what has been learnt is safe by now, so a failure is no more than a warning."""
    from pgmgraph.report import report_run  # matplotlib takes a second to import, and only a run needs it

    try:
        report_run(Run(path), graph, beliefs, labels=labels)
    except PgmgraphError as error:
        warnings.warn(f"There is no report of the run in {path}: {error}", stacklevel=4)


_ROUNDING = 1e-9


class _Convergence:
    """Watches F for a standstill.

    Attributes:
        reached: whether F has stood still for long enough.
    """

    def __init__(self, tol: float | None, patience: int) -> None:
        self._tol, self._patience = tol, patience
        self._still = 0
        self._last: float | None = None
        self.reached = False

    def watch(self, value: float | None, guaranteed: bool) -> None:
        """Take note of F, `value` after this round."""
        last, self._last = self._last, value
        if self._tol is None or value is None or last is None or not math.isfinite(value):
            return
        rise = value - last
        # A fall is no convergence, but one in the last digits is no fall.
        still = guaranteed and -_ROUNDING * abs(value) <= rise <= self._tol * abs(value)
        self._still = self._still + 1 if still else 0
        self.reached = self._still >= self._patience

    def saved(self) -> dict[str, float | None]:
        """What has been seen so far."""
        return {"still": self._still, "last": self._last}

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Go on from what had been seen."""
        self._still, self._last = saved["still"], saved["last"]
        self.reached = self._tol is not None and self._still >= self._patience


def _run(
    learning: Learning,
    rounds: int,
    convergence: _Convergence,
    beginnings: Beginnings | None,
    recording: Recording | None,
) -> FitResult:
    graph, begin = learning.graph, time.perf_counter()
    objectives: list[float] = []
    if recording and recording.progress:
        convergence.restore(recording.progress["convergence"])
        objectives = recording.progress["beginnings"]

    def record() -> None:
        if recording:
            recording.round_ended({"convergence": convergence.saved(), "beginnings": objectives})

    first, reason = graph.rounds_done - learning.rounds, "failed"
    learning.emit(FitStarted(tuple(graph.modules), rounds, first, learning.seed))
    try:
        if beginnings and not learning.rounds:
            objectives = beginnings.run()
            record()
        while learning.rounds < rounds and not convergence.reached:
            learning.round(last=learning.rounds == rounds - 1)
            convergence.watch(learning.ledger.F if learning.ledger else None, learning.guaranteed)
            record()
        reason = "converged" if convergence.reached else "rounds"
        if recording:
            recording.finish(reason)
    except KeyboardInterrupt:
        reason = "interrupted"
        raise
    finally:
        learning.drop()
        # Whoever watches hears of the end however it came: a display must let go of the terminal.
        learning.emit(FitEnded(learning.rounds, reason))
    for name in learning.view.modules:
        if name not in fitted(graph) and name not in learning.view.frozen:
            warnings.warn(f"The schedule never updated {name}.", stacklevel=3)
    seconds = time.perf_counter() - begin
    return FitResult(
        Beliefs(dict(learning.engine.mail.beliefs)),
        learning.history,
        learning.trace,
        reason,
        learning.rounds,
        seconds,
        objectives,
    )
