"""Everything that pgmgraph raises or warns of.

    PgmgraphError
    ├── DefinitionError          a Module subclass does not keep the contract
    ├── WiringError              the graph, its wires and its names
    │   ├── UnknownNameError     no such module, port or variable
    │   ├── MessageTypeError     one port sends what the other does not accept
    │   ├── ShapeError           event shapes differ
    │   ├── PlateError           plates differ in size or in their ids
    │   └── CycleError           the wires have no topological order
    ├── ScheduleError            a schedule names what is not there, or forgets what is
    ├── CapabilityError          a module lacks the method that was asked for
    ├── NotFittedError           inference asked of a graph that has learnt nothing
    ├── DataError                values that no model can take
    │   └── DataFileError        a file that cannot be read or is not what it should be
    ├── MessageError             a message that contradicts itself or is not finite
    ├── LearningError            an update that went wrong
    │   ├── DivergedError        a loss or message turned NaN or infinite
    │   └── BoundDecreasedError  an exact update lowered F, under strict=True
    ├── OutputError              a result that cannot be written
    ├── ConfigError              a configuration that makes no graph
    ├── RunError                 a run directory that cannot be used as asked
    │   └── CheckpointError      a checkpoint that is truncated, altered or not one's own
    ├── WorkerError              a module cannot run where it was to run
    │   └── WorkerLostError      the process that it ran in is gone
    └── PluginError              an entry point of the group pgmgraph.modules
        ├── UnknownPluginError
        ├── BrokenPluginError
        └── DuplicatePluginError

    BoundDecreased               the warning in place of BoundDecreasedError
    Interrupted                  a KeyboardInterrupt that left a run whole

Each keeps its culprits as attributes, so that a program can act on them.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

__all__ = [
    "BoundDecreased",
    "BoundDecreasedError",
    "BrokenPluginError",
    "CapabilityError",
    "CheckpointError",
    "ConfigError",
    "CycleError",
    "DataError",
    "DataFileError",
    "DefinitionError",
    "DivergedError",
    "DuplicatePluginError",
    "Interrupted",
    "LearningError",
    "MessageError",
    "MessageTypeError",
    "NotFittedError",
    "OutputError",
    "PgmgraphError",
    "PlateError",
    "PluginError",
    "RunError",
    "ScheduleError",
    "ShapeError",
    "UnknownNameError",
    "UnknownPluginError",
    "WiringError",
    "WorkerError",
    "WorkerLostError",
]


class PgmgraphError(Exception):
    """Base of every error that pgmgraph raises."""

    def __reduce__(self) -> tuple[Callable[..., PgmgraphError], tuple[object, ...]]:
        """As it was raised, whatever its constructor takes: errors travel from one process to another."""
        return _again, (type(self), self.args, vars(self))


class DefinitionError(PgmgraphError):
    """A Module subclass does not keep the contract of `Module`."""

    def __init__(self, message: str, module: type) -> None:
        super().__init__(message)
        self.module = module


class WiringError(PgmgraphError):
    """The graph cannot be built this way; `ports` are the full names of the ports concerned."""

    def __init__(self, message: str, *ports: str) -> None:
        super().__init__(message)
        self.ports = ports


class UnknownNameError(WiringError, KeyError):
    """No module, port or variable has this name; a KeyError too, so that `in` and `get` work on mappings."""

    __str__ = Exception.__str__  # a KeyError's own would put the message in quotes


class MessageTypeError(WiringError):
    """A port sends a type of message that the other port does not accept."""


class ShapeError(WiringError):
    """The event shape of a message is not the one that its receiver expects."""


class PlateError(WiringError):
    """One plate has two sizes, or a module was wired to several plates."""


class CycleError(WiringError):
    """The wires form a cycle, so there is no topological order; `cycle` lists its modules."""

    def __init__(self, message: str, cycle: tuple[str, ...]) -> None:
        super().__init__(message)
        self.cycle = cycle


class ScheduleError(PgmgraphError):
    """A schedule does not fit the graph; `modules` are the names concerned."""

    def __init__(self, message: str, *modules: str) -> None:
        super().__init__(message)
        self.modules = modules


class CapabilityError(PgmgraphError):
    """A module was asked for something that it has no method for."""

    def __init__(self, message: str, module: str, method: str) -> None:
        super().__init__(message)
        self.module = module
        self.method = method


class NotFittedError(PgmgraphError):
    """A graph was asked about data before it learnt; `module` has not been updated yet."""

    def __init__(self, message: str, module: str) -> None:
        super().__init__(message)
        self.module = module


class DataError(PgmgraphError):
    """Values that no model can take; `observation` and `rows` say where, as far as known."""

    def __init__(self, message: str, observation: str | None = None, rows: tuple[int, ...] = ()) -> None:
        super().__init__(message)
        self.observation = observation
        self.rows = rows


class DataFileError(DataError):
    """A data file is missing, truncated or not what it should be."""

    def __init__(self, message: str, path: Path) -> None:
        super().__init__(message)
        self.path = path


class MessageError(PgmgraphError):
    """A message contradicts itself or holds NaN or infinity; `rows` are the first culprits."""

    def __init__(self, message: str, rows: tuple[int, ...] = ()) -> None:
        super().__init__(message)
        self.rows = rows


class LearningError(PgmgraphError):
    """An update of `module` in `round` went wrong."""

    def __init__(self, message: str, module: str, round: int) -> None:
        super().__init__(message)
        self.module = module
        self.round = round


class DivergedError(LearningError):
    """A loss, a message or a term of F is NaN or infinite.

    After a loss or a message the module is as it was before that update; a term of F is looked at when the
    update stands. `minibatch` is None where no minibatch is to blame.
    """

    def __init__(self, message: str, module: str, round: int, minibatch: int | None = None) -> None:
        super().__init__(message, module, round)
        self.minibatch = minibatch


class WorkerError(PgmgraphError):
    """A module cannot be run where it was to run: no room, no answer, or lost too often."""

    def __init__(self, message: str, module: str | None = None) -> None:
        super().__init__(message)
        self.module = module


class WorkerLostError(WorkerError):
    """The process that `module` ran in is gone, and with it the calls that were under way."""


class BoundDecreasedError(LearningError):
    """An exact update lowered F by `fall`; raised instead of the warning under `strict=True`.

    The update stands: it went as its module says, and what the module says is wrong.
    """

    def __init__(self, message: str, module: str, round: int, fall: float) -> None:
        super().__init__(message, module, round)
        self.fall = fall


class BoundDecreased(UserWarning):
    """An update of a module that declares itself exact lowered F."""


class OutputError(PgmgraphError):
    """A result cannot be written to `path`."""

    def __init__(self, message: str, path: Path) -> None:
        super().__init__(message)
        self.path = path


class ConfigError(PgmgraphError):
    """A configuration makes no graph; `problems` are all that was found, each with the place that it is at."""

    def __init__(self, message: str, problems: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems


class RunError(PgmgraphError):
    """The run directory `path` cannot be used as asked."""

    def __init__(self, message: str, path: Path) -> None:
        super().__init__(message)
        self.path = path


class CheckpointError(RunError):
    """The checkpoint, or the file of one, at `path` is truncated, altered, or another graph's; nothing was loaded.

    `others` are older checkpoints of the same run that could be loaded in its place.
    """

    def __init__(self, message: str, path: Path, others: tuple[Path, ...] = ()) -> None:
        super().__init__(message, path)
        self.others = others


class Interrupted(KeyboardInterrupt):
    """Learning was interrupted; everything up to the end of `rounds` rounds is in the run directory `path`."""

    def __init__(self, message: str, path: Path, rounds: int) -> None:
        super().__init__(message)
        self.path = path
        self.rounds = rounds


class PluginError(PgmgraphError):
    """An entry point of the group `pgmgraph.modules` cannot be used."""

    def __init__(self, message: str, plugin: str) -> None:
        super().__init__(message)
        self.plugin = plugin


class UnknownPluginError(PluginError):
    """No installed distribution offers a module of this name."""


class BrokenPluginError(PluginError):
    """The entry point is there, but what it points to cannot be imported or is no Module."""


class DuplicatePluginError(PluginError):
    """Two distributions offer a module of the same name."""


def suggestion(name: str, known: Iterable[str]) -> str:
    """The question "Did you mean 'x'?" for the known name nearest to `name`, or nothing where none is near."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def _again(kind: type[PgmgraphError], args: tuple[object, ...], attributes: Mapping[str, object]) -> PgmgraphError:
    error = kind.__new__(kind, *args)
    error.args = args
    vars(error).update(attributes)
    return error
