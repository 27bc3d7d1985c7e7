"""What came of each run, one file a run, so that nothing is lost when the next one is interrupted."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.report import write_json
from benchmarks.schemes import Plan


@dataclass(frozen=True)
class Scored:
    """How well clusters agree with labels.

    Attributes:
        accuracy: under the best one-to-one matching of clusters and classes.
        nmi: normalised mutual information.
    """

    accuracy: float
    nmi: float


@dataclass(frozen=True)
class Peer:
    """scikit-learn's mixture on the same final latents."""

    training: Scored
    test: Scored
    seconds: float


@dataclass(frozen=True)
class Outcome:
    """What came of a run.

    Attributes:
        training, test: scores on the images that were learnt from, and on those that never were.
        F: the objective at the end, in nats over the whole plate; None where it is not known.
        standard_error: of F.
        active: how many components of the mixture hold an item or more.
        seconds, cpu_seconds: of learning, the first learning included.
        peer: see `Peer`; None where there was none.
        beginnings: F of each beginning, None where it diverged; empty without restarts.
        history: columns by name with one entry a round.
    """

    training: Scored
    test: Scored
    F: float | None
    standard_error: float
    active: int
    seconds: float
    cpu_seconds: float
    peer: Peer | None
    beginnings: list[float | None]
    history: dict[str, list[float | None]]


@dataclass(frozen=True)
class Record:
    """A run that is done.

    Attributes:
        plan: as `Plan.recorded` gives it.
        machine: that it ran on.
        outcome: what came of it.
    """

    plan: Mapping[str, Any]  # Any: what JSON holds
    machine: Mapping[str, str | int]
    outcome: Outcome


class Records:
    """The runs of one setting that lie in a folder.

    Args:
        folder: made when the first record is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __iter__(self) -> Iterator[Record]:
        return (_read(path) for path in sorted(self.folder.glob("*.json")))

    def find(self, plan: Plan) -> Record | None:
        """The record under the plan's name, whatever its arguments were."""
        path = self._path(plan)
        return _read(path) if path.exists() else None

    def write(self, plan: Plan, machine: Mapping[str, str | int], outcome: Outcome) -> Record:
        """Keep what came of a run, in the place of an older record of its name."""
        record = Record(plan.recorded(), machine, outcome)
        write_json(self._path(plan), asdict(record))
        return record

    def _path(self, plan: Plan) -> Path:
        return self.folder / f"{plan.name}.json"


def _read(path: Path) -> Record:
    content = json.loads(path.read_text(encoding="utf-8"))
    outcome = content["outcome"]
    outcome["training"], outcome["test"] = Scored(**outcome["training"]), Scored(**outcome["test"])
    if outcome["peer"] is not None:
        peer = outcome["peer"]
        outcome["peer"] = Peer(Scored(**peer["training"]), Scored(**peer["test"]), peer["seconds"])
    return Record(content["plan"], content["machine"], Outcome(**outcome))
