"""Restarts: several beginnings of one model, of which the one with the best objective goes on."""

from __future__ import annotations

import math
import warnings

from pgmgraph.errors import DivergedError, ScheduleError
from pgmgraph.events import BeginningEnded, BeginningStarted
from pgmgraph.learning import Learning, Saved
from pgmgraph.module import has

_COMPARED_ROUNDS = 3
_DRAWS = 4


class Beginnings:
    """Beginnings of a model that share what is learnt before the first module that starts from data.

    They differ by the randomness of modules that start from data; minibatches and noise of all others are the same.
    They are compared by F, averaged over their last rounds, which evens out the noise of gradient steps, and
    over several subsets and draws of noise, the same ones for every beginning.

    Args:
        learning: where all of them begin; in the end it is the best one's.
        number: of beginnings.
        rounds: of each.

    Raises:
        ScheduleError: every module has learnt already, or none starts from data, so that all would begin alike.
    """

    def __init__(self, learning: Learning, number: int, rounds: int) -> None:
        graph = learning.graph
        starting = [name for name, module in graph.modules.items() if has(module, "start")]
        self._starting = {name for name in starting if not graph.calls[name]}
        if not self._starting:
            why = f"{', '.join(starting)} learnt before" if starting else "no module of this graph starts from data"
            raise ScheduleError(
                f"Expected a module to start from data, for restarts to differ by; {why}. "
                "Leave restarts out, or begin with a new graph."
            )
        self._learning = learning
        self._number = number
        self._rounds = rounds
        self._shared: list[tuple[tuple[str, ...], Saved]] = []
        self._stages = 0

    def run(self) -> list[float]:
        """Run them all, and leave the best one in place.

        Returns:
            What they were compared by, minus infinity for a beginning that diverged.

        Raises:
            DivergedError: all of them diverged.
        """
        learning, origin = self._learning, self._learning.save()
        objectives: list[float] = []
        best: Saved | None = None
        for number in range(self._number):
            learning.restore(origin)
            learning.engine.beginning = number
            learning.emit(BeginningStarted(number, self._number))
            try:
                objective = self._one()
            except DivergedError as error:
                if number == self._number - 1 and best is None:
                    raise
                warnings.warn(f"Beginning {number} of {self._number} is out: {error}", stacklevel=4)
                objective = -math.inf
            learning.emit(BeginningEnded(number, objective if math.isfinite(objective) else None))
            if objective > max(objectives, default=-math.inf):
                best = learning.save()
            objectives.append(objective)
        assert best is not None
        learning.restore(best)
        if not learning.guaranteed:
            warnings.warn(
                "Restarts were compared by F while a module climbed something else or guaranteed nothing. "
                "Where a weight rises over rounds, give restart_rounds enough of them.",
                stacklevel=4,
            )
        return objectives

    def _one(self) -> float:
        """Run one beginning; the mean of F over its last rounds."""
        self._stages = 0
        values = []
        for _ in range(self._rounds):
            self._learning.round(self._stage)
            value = self._learning.ledger.averaged(_DRAWS) if self._learning.ledger else None
            if value is None:
                raise ScheduleError(
                    "Restarts are compared by F, and F is not known after a round: "
                    "every module must be updated in it, and have an `elbo`."
                )
            values.append(value)
        compared = values[-_COMPARED_ROUNDS:]
        return sum(compared) / len(compared)

    def _stage(self, names: tuple[str, ...]) -> None:
        """A stage; one that comes before any beginning differs is run once, and brought back for the others."""
        number, self._stages = self._stages, self._stages + 1
        if number < len(self._shared):
            known, saved = self._shared[number]
            assert known == names, "a schedule is a function of the view and the round"
            beginning = self._learning.engine.beginning
            self._learning.restore(saved)
            self._learning.engine.beginning = beginning
            return
        alike = self._learning.engine.beginning == 0 and len(self._shared) == number
        self._learning.stage(names)
        if alike and not self._starting.intersection(names):
            self._shared.append((names, self._learning.save()))
