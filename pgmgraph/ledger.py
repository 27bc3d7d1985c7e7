"""The ledger of F: every module's own terms under the beliefs as they were last sent."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pgmgraph.engine import Engine, ModuleReport
from pgmgraph.errors import BoundDecreased, BoundDecreasedError
from pgmgraph.executors import OwnTerms
from pgmgraph.graph import ModelGraph
from pgmgraph.module import has

_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Entry:
    """One stage: F after it, and each module's own terms.

    Attributes:
        round: the round, counted over all calls of `fit`.
        modules: the modules that were updated in it.
        F: the objective; None until every module has been updated, or where a module has no terms.
        standard_error: of F, where modules evaluate part of the plate.
        terms: by module, each term in nats.
        seconds: what the update of each module in it took.
    """

    round: int
    modules: tuple[str, ...]
    F: float | None
    standard_error: float
    terms: Mapping[str, Mapping[str, float]] = field(repr=False)
    seconds: Mapping[str, float] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True)
class LedgerState:
    """The terms that a ledger knows, and the modules that have sent something."""

    terms: Mapping[str, OwnTerms | None]
    updated: frozenset[str]


@dataclass(frozen=True, eq=False)
class Asked:
    """What was asked about a stage.

    Attributes:
        affected: the modules whose terms it changes.
        policed: whether F was known before it.
        terms: waits for those that modules compute when they are asked.
        updated_before: the modules that had sent something before it.
    """

    affected: tuple[str, ...]
    policed: bool
    terms: Callable[[], Mapping[str, OwnTerms | None]]
    updated_before: frozenset[str]


class Ledger:
    """Keeps the terms of F, recomputes those that a stage changed, and polices exact modules.

    Args:
        engine: what evaluates the terms.
        sent: the modules whose messages lie in the mail already.
        strict: whether a fall of F raises instead of warning.
    """

    def __init__(self, engine: Engine, sent: Iterable[str], strict: bool) -> None:
        self._engine = engine
        self._strict = strict
        self._terms: dict[str, OwnTerms | None] = {}
        self._updated: set[str] = set(sent)
        if self._complete:
            self._terms.update(engine.evaluate(list(engine.graph.modules))())

    @property
    def F(self) -> float | None:  # noqa: N802  # the field's own symbol for the objective
        """The objective under the beliefs as they were last sent, or None while it is not known."""
        totals = [terms.total if terms else None for terms in self._terms.values()]
        known = [total for total in totals if total is not None]
        return sum(known) if self._complete and known and len(known) == len(totals) else None

    @property
    def evidence(self) -> float | None:
        """The part of F that belongs to items: what it says of them given the parameters; None as `F` is."""
        return None if self.F is None else sum(terms.of_items for terms in self._terms.values() if terms)

    def averaged(self, draws: int) -> float | None:
        """F averaged over several subsets and draws of noise, where modules evaluate theirs by such; None as `F` is."""
        if self.F is None:
            return None
        drawing = {name for name, module in self._engine.graph.modules.items() if has(module, "elbo")}
        sampled = [name for name, terms in self._terms.items() if terms and not terms.exact and name in drawing]
        fixed = sum(terms.total for name, terms in self._terms.items() if terms and name not in sampled)
        asked = [self._engine.evaluate(sampled, draw) for draw in range(draws)]
        drawn = [terms() for terms in asked]
        return fixed + sum(terms.total for one in drawn for terms in one.values() if terms) / draws

    def saved(self) -> LedgerState:
        """What is known at this moment."""
        return LedgerState(dict(self._terms), frozenset(self._updated))

    def restore(self, state: LedgerState) -> None:
        """Go back to what was known."""
        self._terms, self._updated = dict(state.terms), set(state.updated)

    def ask(self, names: Sequence[str], changed: set[str]) -> Asked:
        """Ask for what a stage changes: the terms of modules that learn, and of those that see a new belief."""
        before, before_was_known = frozenset(self._updated), self._complete
        self._updated.update(names)
        if not self._complete:
            return Asked((), False, dict, before)
        affected = self._affected(names, changed) if before_was_known else list(self._engine.graph.modules)
        # A module that reports its terms as it sends has no `elbo` to ask, and they are not known until it sends again
        # where others have changed a belief that it sees.
        return Asked(tuple(affected), before_was_known, self._engine.evaluate(affected), before)

    def ask_again(self, asked: Asked) -> Asked:
        """Ask once more for what was lost on its way."""
        return replace(asked, terms=self._engine.evaluate(asked.affected))

    def forget(self, asked: Asked) -> None:
        """Go back to before a stage that was asked about, and of which nothing was entered."""
        self._updated = set(asked.updated_before)

    def enter(self, reports: Sequence[ModuleReport], asked: Asked, terms: Mapping[str, OwnTerms | None]) -> Entry:
        """Enter what came of a stage, now that it is done and has answered with these terms."""
        names = tuple(report.module for report in reports)
        before = {name: self._terms.get(name) for name in asked.affected}
        self._terms.update(terms)
        if asked.affected:
            self._terms.update({report.module: report.terms for report in reports if report.terms is not None})
        if asked.policed:
            self._police(reports, before)
        error = sum(terms.standard_error**2 for terms in self._terms.values() if terms) ** 0.5
        values = {name: terms.values for name, terms in self._terms.items() if terms}
        seconds = {report.module: report.seconds for report in reports}
        return Entry(self._engine.graph.rounds_done, names, self.F, error, values, seconds)

    @property
    def _complete(self) -> bool:
        return self._updated >= self._engine.graph.modules.keys()

    def _affected(self, names: Sequence[str], changed: set[str]) -> list[str]:
        graph = self._engine.graph
        sees_new = {end for wire in graph.wires if wire.variable in changed for end in (wire.child, wire.parent)}
        return [name for name in graph.modules if name in names or name in sees_new]

    def _police(self, reports: Sequence[ModuleReport], before: Mapping[str, OwnTerms | None]) -> None:
        after = [self._terms[name] for name in before]
        old = list(before.values())
        if any(terms is None or not terms.exact for terms in (*old, *after)):
            return
        if any(report.guarantee != "exact" for report in reports) or not _climbs(
            self._engine.graph, [report.module for report in reports], list(before)
        ):
            return
        rise = sum(terms.total for terms in after if terms) - sum(terms.total for terms in old if terms)
        size = sum(abs(value) for terms in after if terms for value in terms.values.values())
        if rise < -_TOLERANCE * size:
            self._alarm(", ".join(report.module for report in reports), -rise)

    def _alarm(self, modules: str, fall: float) -> None:
        round = self._engine.graph.rounds_done
        message = (
            f"Updating {modules} in round {round} lowered F by {fall:.6g}, and an exact update never does. "
            "Its learning, its messages or its `elbo` contradict one another."
        )
        if self._strict:
            raise BoundDecreasedError(message, modules, round, fall)
        warnings.warn(message, BoundDecreased, stacklevel=4)


def _climbs(graph: ModelGraph, updated: Sequence[str], affected: Sequence[str]) -> bool:
    """Whether the wiring lets exact updates of these modules raise F.

    No two of them share a wire, what they learn from are the beliefs that F is taken under, every prior from above
    arrives whole, no variable has a product of priors.
    """
    for wire in graph.wires:
        if wire.child in updated and wire.parent in updated:
            return False
        child = graph.modules.get(wire.child)
        if wire.parent in updated and child is not None and not child.candid:
            return False
        if wire.child not in affected:
            continue
        cut = wire.via is not None or (wire.back is not None and not wire.sends_back)
        rivals = [other for other in graph.wires_above(wire.child, wire.out) if other.owned_by_parent]
        if cut or len(rivals) > 1:
            return False
    return True
