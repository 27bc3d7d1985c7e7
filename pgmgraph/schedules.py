"""Schedules: in which order the modules of a graph are updated within a round."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from pgmgraph.errors import ScheduleError, suggestion
from pgmgraph.graph import ModelGraph
from pgmgraph.wires import Wire

Stage: TypeAlias = str | tuple[str, ...]
"""One module, or several that are updated from the same mail."""


@dataclass(frozen=True)
class View:
    """What a schedule may look at.

    Attributes:
        graph: the graph; for its wires and its order.
        modules: the names of the modules, in the order of adding.
        frozen: those of them that only send.
        F: the objective at the end of each round so far; None where it was not known.
        residuals: call it to learn how much the mail of each module that could be updated now has changed since its
            last update, a number from 0 on; 1 for one that was never updated.
    """

    graph: ModelGraph
    modules: tuple[str, ...]
    frozen: frozenset[str] = frozenset()
    F: tuple[float | None, ...] = ()
    residuals: Callable[[], Mapping[str, float]] = dict

    @property
    def wires(self) -> list[Wire]:
        """See `ModelGraph.wires`."""
        return self.graph.wires

    @property
    def bottom_up(self) -> tuple[str, ...]:
        """The modules in topological order, children first."""
        return self.graph.bottom_up()


ScheduleFunction: TypeAlias = Callable[[View, int], Iterable[Stage]]
Schedule: TypeAlias = str | Sequence[Stage] | ScheduleFunction
"""A name of `NAMED`, a list of stages, or a function (view, round) -> stages without state of its own."""


def bottom_up(view: View, round: int) -> Iterator[Stage]:
    """Every module once, children before their parents. The default."""
    yield from view.bottom_up


def up_down(view: View, round: int) -> Iterator[Stage]:
    """Children before parents, then back down again; the topmost once."""
    order = view.bottom_up
    yield from order
    yield from reversed(order[:-1])


def residual(view: View, round: int) -> Iterator[Stage]:
    """Every module once; next comes always the one whose mail has changed most since its last update.

    As in residual belief propagation (Elidan, McGraw and Koller, 2006), but no module is passed over in a round:
    one that learns by steps has more to learn from the same mail. Cycles of wires need no other schedule.
    """
    waiting = list(view.modules if view.graph.cycle() else view.bottom_up)
    while waiting:
        residuals = view.residuals()
        ready = [name for name in waiting if name in residuals]
        if not ready:
            raise ScheduleError(
                f"{', '.join(waiting)} wait for one another's first message. Say who begins: schedule=[...].", *waiting
            )
        most = max(ready, key=residuals.__getitem__)
        waiting.remove(most)
        yield most


NAMED: dict[str, ScheduleFunction] = {"bottom_up": bottom_up, "up_down": up_down, "residual": residual}
_BY_ORDER = ("bottom_up", "up_down")


def schedule_function(schedule: Schedule, view: View) -> ScheduleFunction:
    """A schedule in any of its forms as a function, checked as far as it can be before it runs.

    Raises:
        ScheduleError: an unknown schedule, a name that is no module, or a module that is forgotten.
        CycleError: a named schedule needs a topological order, and there is none.
    """
    if isinstance(schedule, str):
        if schedule not in NAMED:
            raise ScheduleError(
                f"No schedule named {schedule!r}.{suggestion(schedule, NAMED)} There are: {', '.join(NAMED)}; "
                "or give a list of module names, or a function.",
                schedule,
            )
        if schedule in _BY_ORDER:
            view.graph.bottom_up()
        return NAMED[schedule]
    if callable(schedule):
        return schedule
    stages = [as_stage(stage, view) for stage in schedule]
    named = {name for stage in stages for name in stage}
    forgotten = [name for name in view.modules if name not in named | view.frozen]
    if forgotten:
        raise ScheduleError(
            f"The schedule forgets {', '.join(forgotten)}. Name every module, or freeze it: frozen=[{forgotten[0]!r}].",
            *forgotten,
        )
    return lambda view, round: stages


def as_stage(stage: Stage, view: View) -> tuple[str, ...]:
    """A stage as a tuple of names.

    Raises:
        ScheduleError: a name is no module that can be updated, or stands twice in one stage.
    """
    names = (stage,) if isinstance(stage, str) else tuple(stage)
    for name in names:
        if name in view.modules:
            continue
        if name in view.graph.observations:
            why = f"The schedule names the observation {name!r}, which is never updated."
        else:
            why = f"The schedule names {name!r}, which is no module of the graph.{suggestion(name, view.modules)}"
        raise ScheduleError(f"{why} It may name: {', '.join(view.modules)}.", name)
    if not names or len(set(names)) < len(names):
        raise ScheduleError(f"Expected a stage of different modules; got {names}.", *names)
    return names
