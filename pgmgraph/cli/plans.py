"""Plans: how a graph is to learn, by the section `fit` of its file and by options, which win."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from pgmgraph.checkpoints import Checkpoints
from pgmgraph.config.arguments import conform
from pgmgraph.config.problems import Problems
from pgmgraph.config.targets import resolve
from pgmgraph.config.text import parsed
from pgmgraph.errors import ConfigError, suggestion
from pgmgraph.schedules import NAMED, Schedule

Written = str | list[str | list[str]] | dict[str, str]
"""A schedule in plain values: a name, stages, or `{"import": target}`."""


@dataclass(frozen=True)
class Plan:
    """What `fit` is told; see there. Labels are files by the name of a variable."""

    rounds: int | None = None
    seed: int = 0
    schedule: Written = "bottom_up"
    tol: float | None = None
    patience: int = 3
    restarts: int = 1
    restart_rounds: int = 12
    frozen: list[str] = field(default_factory=list)
    strict: bool = False
    objective: bool = True
    device: str = "auto"
    checkpoint_rounds: int | None = None
    checkpoint_minutes: float | None = None
    keep: int = 2
    labels: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, section: Mapping[str, object], options: Mapping[str, object]) -> Self:
        """The plan of a section `fit` and of options, of which None was not given.

        Raises:
            ConfigError: everything that is wrong with either, at once.
        """
        hints = typing.get_type_hints(cls)
        problems = Problems()
        found: dict[str, Any] = {}
        for key in section:
            if key not in hints:
                problems.add(f"fit.{key}", f"No such key.{suggestion(key, hints)} There are: {', '.join(hints)}.")
        given = {name: value for name, value in options.items() if value is not None}
        for name, hint in hints.items():
            if name in given or name in section:
                with problems.noted(_option(name) if name in given else f"fit.{name}"):
                    found[name] = conform(given.get(name, section.get(name)), hint)
        problems.refuse()
        return cls(**found)

    @property
    def notes(self) -> dict[str, object]:
        """What a run directory is to keep of it, besides the arguments of `fit` that it keeps anyway."""
        kept = {name: getattr(self, name) for name in ("checkpoint_rounds", "checkpoint_minutes", "keep")}
        # A function is kept by the name that it can be found by again.
        by_function = isinstance(self.schedule, str) and ":" in self.schedule
        return {**kept, "schedule": self.schedule} if by_function else kept

    def arguments(self, folder: Path) -> dict[str, Any]:
        """The arguments of `fit`; a file of schedules lies in `folder`, or in the current one.

        Raises:
            ConfigError: the number of rounds is not given, or the schedule is none.
            ScheduleError: no checkpoint would ever be written.
        """
        if self.rounds is None:
            raise ConfigError("Expected how many rounds to learn, as --rounds 20, or fit: {rounds: 20} in the file.")
        apart = {"schedule", "checkpoint_rounds", "checkpoint_minutes", "keep", "labels"}
        arguments = {one.name: getattr(self, one.name) for one in dataclasses.fields(self) if one.name not in apart}
        # Every round, unless a number of rounds or minutes is given.
        every_round = 1 if self.checkpoint_minutes is None else None
        rounds = every_round if self.checkpoint_rounds is None else self.checkpoint_rounds
        policy = Checkpoints(rounds, self.checkpoint_minutes, self.keep)
        return {**arguments, "schedule": schedule_of(self.schedule, folder), "checkpoints": policy}


def schedule_of(written: Written, folder: Path) -> Schedule:
    """A schedule that `fit` takes.

    Raises:
        ConfigError: it is a function that cannot be found.
    """
    if isinstance(written, dict):
        if "import" not in written:
            raise ConfigError(
                f"The schedule was made in Python, as {written}; go on from there: fit(..., resume=True)."
            )
        return _function(written["import"], folder)
    if isinstance(written, str):
        return _function(written, folder) if ":" in written else written
    return [stage if isinstance(stage, str) else tuple(stage) for stage in written]


def written_schedule(text: str | None) -> object:
    """What an option says of the schedule: a name, `file.py:function`, or stages in brackets as YAML has them."""
    return parsed(text, "--schedule") if text is not None and text.startswith("[") else text


def _function(target: str, folder: Path) -> Schedule:
    found = resolve(target, [folder])
    if not callable(found):
        raise ConfigError(
            f"Expected a function (view, round) -> stages as {target}; got {found!r}. Named ones: {', '.join(NAMED)}."
        )
    schedule: Schedule = found
    return schedule


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
