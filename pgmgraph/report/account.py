"""The account of a run: how it went, in plain values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from pgmgraph.config import config_text
from pgmgraph.ledger import Entry
from pgmgraph.runs import Run

History: TypeAlias = Mapping[str, Sequence[float | None]]

_REASONS = {"rounds": "all that were asked for", "converged": "it converged"}


@dataclass(frozen=True)
class Account:
    """How a run went; whatever is not known may be left out.

    Attributes:
        title: the headline.
        history: columns by name with one entry a round, as `FitResult.history`.
        trace: a row for each stage, as `FitResult.trace`.
        others: histories of other runs by name, such as the control without messages, to be drawn beside.
        name: what this run is called beside others.
        warnings: what was warned about, in the order of time.
        configuration: the graph and the options, as YAML.
        environment: versions, seed, machine: what by name.
        status: why it stopped, in a few words.
    """

    title: str
    history: History = field(default_factory=dict)
    trace: Sequence[Entry] = ()
    others: Mapping[str, History] = field(default_factory=dict)
    name: str = "this run"
    warnings: Sequence[str] = ()
    configuration: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    status: str = ""

    @classmethod
    def of(cls, run: Run, others: Iterable[Run] = ()) -> Account:
        """What a run directory tells, with other runs beside it, each called after its folder.

        Raises:
            RunError: a file of a run was altered.
        """
        name = run.path.resolve().name
        status = run.status
        reason = _REASONS.get(str(status.get("reason", "")), str(status.get("reason", "")))
        state = str(status.get("state", ""))
        return cls(
            title=name,
            history=run.history,
            trace=run.trace,
            others={one.path.resolve().name: one.history for one in others},
            name=name,
            warnings=run.warnings,
            configuration=config_text(run.config),
            environment=_in_words({**run.environment, "seed": run.config["fit"].get("seed")}),
            status=reason if state == "finished" else ": ".join(part for part in (state, reason) if part),
        )

    @property
    def rounds(self) -> int:
        """How many rounds it ran."""
        return max((len(column) for column in self.history.values()), default=0)

    @property
    def scores(self) -> tuple[str, ...]:
        """The columns of the history that are scores."""
        return tuple(name for name in self.history if name not in ("F", "seconds"))

    @property
    def seconds(self) -> dict[str, list[float]]:
        """How long the updates of each module took, one entry a round that is in the trace."""
        rounds = {round: place for place, round in enumerate(dict.fromkeys(entry.round for entry in self.trace))}
        columns: dict[str, list[float]] = {}
        for entry in self.trace:
            for module, seconds in entry.seconds.items():
                columns.setdefault(module, [0.0] * len(rounds))[rounds[entry.round]] += seconds
        return columns


def _in_words(environment: Mapping[str, object]) -> dict[str, str]:
    """An environment as text; what holds several things is listed, and what is not there is left out."""
    words = {}
    for name, value in environment.items():
        match value:
            case None:
                continue
            case Mapping():
                words[name] = ", ".join(f"{key} {one}" for key, one in value.items())
            case list() | tuple():
                words[name] = " ".join(map(str, value))
            case _:
                words[name] = str(value)
    return words
