"""What happens during `fit`, as frozen records of plain values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True)
class FitStarted:
    """Learning begins; `modules` are those that the graph has, in the order of adding.

    `rounds` is 0 for a stream of which nobody knows the end.
    """

    modules: tuple[str, ...]
    rounds: int
    first_round: int
    seed: int


@dataclass(frozen=True)
class BeginningStarted:
    """Beginning `number` of `beginnings`, counted from 0, starts from where the others started."""

    number: int
    beginnings: int


@dataclass(frozen=True)
class BeginningEnded:
    """A beginning has run its rounds; F is what beginnings are compared by, None where it diverged."""

    number: int
    F: float | None


@dataclass(frozen=True)
class RoundStarted:
    """Round `round`, counted from 0 over all calls of `fit`, begins."""

    round: int


@dataclass(frozen=True)
class Progress:
    """A module is `done` of `total` through its update; `values` are what it reports, such as a loss."""

    round: int
    module: str
    done: int
    total: int
    values: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class ModuleUpdated:
    """A module has been updated, and its messages are in the mail."""

    round: int
    module: str
    seconds: float


@dataclass(frozen=True)
class RoundEnded:
    """A round is over: F (None while it is not known), seconds, and a value for each column of scores."""

    round: int
    F: float | None  # the field's own symbol for the objective
    seconds: float
    scores: Mapping[str, float]


@dataclass(frozen=True)
class CheckpointSaved:
    """What had been learnt after `rounds` rounds is on disk, in the folder `path`."""

    rounds: int
    path: str


@dataclass(frozen=True)
class InterruptNoted:
    """An interrupt came: learning ends when the modules in hand are done, and a second interrupt ends it at once."""


@dataclass(frozen=True)
class FitEnded:
    """Learning is over; `reason` is "rounds", "converged", "interrupted", or "failed" where an error ended it.

    Of a stream it is "ended", or "left" where whoever iterated over it stopped.
    """

    rounds: int
    reason: str


Event: TypeAlias = (
    FitStarted
    | BeginningStarted
    | BeginningEnded
    | RoundStarted
    | Progress
    | ModuleUpdated
    | RoundEnded
    | CheckpointSaved
    | InterruptNoted
    | FitEnded
)
Callback: TypeAlias = Callable[[Event], None]
