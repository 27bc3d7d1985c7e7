"""Stages: asked for one after another, and where an executor allows it ahead of one another; waited for in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pgmgraph.engine import Engine, ModuleReport, Running
from pgmgraph.errors import WorkerLostError
from pgmgraph.ledger import Asked, Entry, Ledger


@dataclass
class _Asked:
    """A stage that was asked for; `reports` once it is done."""

    names: tuple[str, ...]
    running: Running
    about: Asked | None = None
    reports: list[ModuleReport] | None = None


def run(
    stages: Sequence[tuple[str, ...]],
    engine: Engine,
    ledger: Ledger | None,
    before_each: Callable[[], None],
    after_each: Callable[[list[ModuleReport], Entry | None], None],
) -> None:
    """Run stages, as far ahead of one another as the executor allows.

    Where modules run elsewhere all stages are asked for at once. Each call waits for the messages that it needs and
    for nothing else, so that a slow module holds up only those that need something from it. A worker that is lost
    takes with it the stages that have not been waited for: they are asked for again, from where the last one ended.

    Args:
        stages: the names of the modules of each.
        engine: what runs them.
        ledger: what knows F; None where nobody asks.
        before_each: called before each stage is waited for; it may raise, to end where the stage before it is done.
        after_each: told, for each in its turn, how its modules went and what the ledger makes of it.
    """
    left, asked = deque(stages), deque[_Asked]()
    try:
        while left or asked:
            before_each()
            try:
                while left and (engine.ahead or not asked):
                    _ask(left[0], asked, engine, ledger)
                    left.popleft()
                reports, entry = _wait(asked, engine, ledger)
            except WorkerLostError:
                left.extendleft(reversed(_go_back(asked, engine, ledger)))
                continue
            after_each(reports, entry)
    finally:
        if engine.ahead:
            _go_back(asked, engine, ledger)


def _ask(names: tuple[str, ...], asked: deque[_Asked], engine: Engine, ledger: Ledger | None) -> None:
    asked.append(_Asked(names, engine.update(names)))
    if ledger:
        asked[-1].about = ledger.ask(names, asked[-1].running.changed)


def _wait(asked: deque[_Asked], engine: Engine, ledger: Ledger | None) -> tuple[list[ModuleReport], Entry | None]:
    first = asked[0]
    if first.reports is None:
        first.reports = engine.wait(first.running)
    if ledger is None or first.about is None:
        asked.popleft()
        return first.reports, None
    terms = first.about.terms()
    asked.popleft()  # the update stands, whatever the ledger has to say of it
    return first.reports, ledger.enter(first.reports, first.about, terms)


def _go_back(asked: deque[_Asked], engine: Engine, ledger: Ledger | None) -> list[tuple[str, ...]]:
    """Undo the stages that were asked for and are not done; their names, to be asked for again."""
    undone = list(asked)
    asked.clear()
    done = undone.pop(0) if undone and undone[0].reports is not None else None
    if undone or done:
        engine.rewind(undone[0].running if undone else None)
    if undone and ledger and undone[0].about:
        ledger.forget(undone[0].about)
    if done:
        if ledger and done.about:
            done.about = ledger.ask_again(done.about)
        asked.append(done)
    return [one.names for one in undone]
