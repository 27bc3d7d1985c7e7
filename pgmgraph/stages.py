"""Stages: asked for one after another, and where an executor allows it ahead of one another; waited for in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from pgmgraph.engine import Engine, ModuleReport, Running
from pgmgraph.errors import WorkerLostError
from pgmgraph.ledger import Asked, Entry, Ledger

Names: TypeAlias = tuple[str, ...]
"""The modules of a stage."""


@dataclass
class _Asked:
    """A stage that was asked for.

    Attributes:
        lead: how many rounds ahead of the present one.
        reports: how it went, once it is done.
        lost: whether what was asked about it has been lost.
    """

    names: Names
    lead: int
    running: Running
    about: Asked | None = None
    reports: list[ModuleReport] | None = None
    lost: bool = False


class Stages:
    """Stages of rounds on one set of data.

    Where modules run elsewhere all stages of a round are asked for at once, and those of the next one with them if they
    are known by then. Each call waits for the messages that it needs and for nothing else, so that a slow module
    holds up only those that need something from it. A worker that is lost takes with it the stages that have not
    been waited for: they are asked for again, from where the last one ended.

    Args:
        engine: what runs them.
        ledger: what knows F; None where nobody asks.
    """

    def __init__(self, engine: Engine, ledger: Ledger | None) -> None:
        self._engine, self._ledger = engine, ledger
        self._asked = deque[_Asked]()

    def run(
        self,
        stages: Sequence[Names],
        following: Sequence[Names],
        before_each: Callable[[], None],
        after_each: Callable[[list[ModuleReport], Entry | None], None],
    ) -> None:
        """Run the stages of a round.

        Args:
            stages: the names of the modules of each.
            following: those of the next round, to be asked for ahead; they are waited for when that one is run.
            before_each: called before each stage is waited for; it may raise, to end where the stage before it is done.
            after_each: told, for each in its turn, how its modules went and what the ledger makes of it.
        """
        for one in self._asked:
            one.lead -= 1
        plan = [(names, 0) for names in stages] + [(names, 1) for names in following]
        left = deque(plan[len(self._asked) :])
        try:
            for _ in stages:
                before_each()
                after_each(*self._next(left))
        except BaseException:
            self.drop()
            raise

    def drop(self) -> None:
        """Undo what was asked for and is not done."""
        undone = [one for one in self._asked if one.reports is None]
        self._asked.clear()
        if self._engine.ahead:
            self._undo(undone)

    def _next(self, left: deque[tuple[Names, int]]) -> tuple[list[ModuleReport], Entry | None]:
        """Ask for as many as may be asked for, and wait for the first one that is under way."""
        while True:
            try:
                self._ask_again()
                while left and (self._engine.ahead or not self._asked):
                    self._ask(*left[0])
                    left.popleft()
                return self._wait()
            except WorkerLostError:
                left.extendleft((one.names, one.lead) for one in reversed(self._go_back()))

    def _ask_again(self) -> None:
        """Where the first stage is done and what was asked about it is lost, ask before anything else is asked for."""
        first = self._asked[0] if self._asked else None
        if self._ledger and first and first.about and first.lost:
            first.about, first.lost = self._ledger.ask_again(first.about), False

    def _ask(self, names: Names, lead: int) -> None:
        self._engine.lead = lead
        try:
            self._asked.append(_Asked(names, lead, self._engine.update(names)))
            if self._ledger:
                self._asked[-1].about = self._ledger.ask(names, self._asked[-1].running.changed)
        finally:
            self._engine.lead = 0

    def _wait(self) -> tuple[list[ModuleReport], Entry | None]:
        first = self._asked[0]
        if first.reports is None:
            first.reports = self._engine.wait(first.running)
        if self._ledger is None or first.about is None:
            self._asked.popleft()
            return first.reports, None
        terms = first.about.terms()
        self._asked.popleft()  # the update stands, whatever the ledger has to say of it
        return first.reports, self._ledger.enter(first.reports, first.about, terms)

    def _go_back(self) -> list[_Asked]:
        """Undo the stages that were asked for and are not done, and return them, after something was lost."""
        undone = list(self._asked)
        self._asked.clear()
        if undone and undone[0].reports is not None:
            undone[0].lost = True
            self._asked.append(undone.pop(0))
        if not undone:
            self._engine.rewind(None)
        self._undo(undone)
        return undone

    def _undo(self, stages: Sequence[_Asked]) -> None:
        if stages:
            self._engine.rewind(stages[0].running)
            if self._ledger and stages[0].about:
                self._ledger.forget(stages[0].about)
