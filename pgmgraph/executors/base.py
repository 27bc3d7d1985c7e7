"""What an executor does: run calls of modules, wherever the modules are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

from torch import Tensor

from pgmgraph.executors.past import Past, Statistics
from pgmgraph.messages import Message, MessageType
from pgmgraph.module import Context, Draws, Guarantee, Module, Outbox
from pgmgraph.plates import Delivery

_NONE: Mapping[str, int] = MappingProxyType({})

ProgressWatcher = Callable[[str, int, int, Mapping[str, float]], None]
"""Called with a module's name, what is done, the total, and the values that it reports."""


@dataclass(frozen=True, eq=False)
class Call:
    """A call of one module.

    Attributes:
        module: its name.
        mail: what lies at its ports.
        seed: the seed of the generators that the call runs on.
        round: the current round, counted over all calls of `fit`.
        learn: whether an update learns, or only sends because the module is frozen.
        lengths: how many rows each sequence of the plate has; None where it has none.
        past: what an update learns from besides new items; None where nothing is a stream.
        sends: what the module has to send, by port, and the type that each message is expected to be.
        items: how many rows the module's plate has.
        shard: the number of the part of the plate that the mail is of; 0 is the first, or all of it.
    """

    module: str
    mail: Mapping[str, Delivery]
    seed: int
    round: int = 0
    learn: bool = True
    lengths: Tensor | None = None
    past: Past | None = None
    sends: Mapping[str, MessageType] = field(default_factory=dict)
    items: int = 0
    shard: int = 0


@dataclass(frozen=True)
class OwnTerms:
    """A module's own terms of F.

    Attributes:
        values: each term, summed over the plate, in nats.
        standard_error: of the sum of the terms, where they were evaluated on part of the plate.
        exact: whether they were computed in closed form on the whole plate.
        common: the names of those that belong to no item, such as a KL of parameters.
    """

    values: Mapping[str, float]
    standard_error: float
    exact: bool
    common: tuple[str, ...] = ()

    @property
    def total(self) -> float:
        """The sum of the terms."""
        return sum(self.values.values())

    @property
    def of_items(self) -> float:
        """The sum of the terms that belong to items."""
        return sum(value for name, value in self.values.items() if name not in self.common)


@dataclass(frozen=True, eq=False)
class Updated:
    """What came of an update: the messages for the whole plate, and how it went.

    Attributes:
        terms: where the module reports its own terms as it sends.
        total: over a stream, the statistics of the new items that the module learnt from last.
    """

    outbox: Outbox
    seconds: float
    guarantee: Guarantee
    terms: OwnTerms | None
    total: Statistics | None = None


@dataclass(frozen=True, eq=False)
class Submitted:
    """An update that has been asked for.

    Attributes:
        outbox: what the module sends; the messages may be remote ones that are not there yet.
        done: waits until the update is done, and says how it went; it raises what the update raised.
        stand: told that the update stands, once all of its stage are done. See `Executor.rewind`.
    """

    outbox: Outbox
    done: Callable[[], Updated]
    stand: Callable[[], None] = lambda: None


@dataclass(frozen=True, eq=False)
class ModuleState:
    """What a module has learnt; `values` is None where it has nothing to learn."""

    values: Mapping[str, object] | None
    updates: int


def most_parts(module: Module, items: int, lengths: Tensor | None) -> int:
    """Into how many parts a module's plate can be split; sequences stay whole, and without any time is a single one."""
    if lengths is not None:
        return len(lengths)
    return 1 if module.sequential else items


class Executor(Protocol):
    """Where modules run. Calls of one list are independent, and may run at the same time.

    Attributes:
        ahead: whether updates may be asked for before those that came earlier are done. The calls of one module are
            run in the order in which they were asked for, and each waits for the messages that it was given.
    """

    @property
    def ahead(self) -> bool:
        """See above."""

    def setup(
        self,
        modules: Mapping[str, Module],
        contexts: Mapping[str, Context],
        watcher: ProgressWatcher,
        parts: Mapping[str, int] = _NONE,
    ) -> None:
        """Take the modules; set up those that a context is given for; report progress to `watcher`.

        `parts` says, of modules that are to learn, into how many parts their plates can be split at most.
        """

    def update(self, calls: Sequence[Call]) -> list[Submitted]:
        """Let modules learn, and send; one that fails is left as it was before."""

    def rewind(self) -> None:
        """Put modules back to where they were after the last update that stands, and replace lost ones.

        Raises:
            WorkerError: a module cannot be replaced.
        """

    def finish(self) -> None:
        """Bring home what modules have learnt, and let go of them; nothing is asked for after it."""

    def save(self, names: Sequence[str]) -> dict[str, ModuleState]:
        """Copies of what modules have learnt."""

    def load(self, states: Mapping[str, ModuleState]) -> None:
        """Put modules back to what they had learnt."""

    def send(self, calls: Sequence[Call]) -> list[Outbox]:
        """The messages of modules with their parameters as they are."""

    def evaluate(self, calls: Sequence[Call]) -> list[Callable[[], OwnTerms | None]]:
        """The modules' own terms of F, to be waited for; None where a module learns and has no `elbo`."""

    def predict(self, call: Call, port: str) -> Message:
        """A module's message to an observation."""

    def sample(self, call: Call, n: int, values: Mapping[str, Tensor | None], temperature: float = 1.0) -> Draws:
        """Rows drawn by a module at a temperature, given values of its Out variables."""
