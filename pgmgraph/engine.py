"""The engine: modules, an executor and the mail, brought together for one set of data."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch

from pgmgraph.checks import Checked, ports_wired
from pgmgraph.errors import DataError, NotFittedError, ShapeError, UnknownNameError, WiringError, suggestion
from pgmgraph.executors import Call, Executor, OwnTerms, Past, ProgressWatcher, SerialExecutor, Statistics, Submitted
from pgmgraph.executors.base import most_parts
from pgmgraph.graph import ModelGraph
from pgmgraph.groups import Groups
from pgmgraph.mail import Letters, Mail
from pgmgraph.matrices import SparseMatrix
from pgmgraph.messages import Message
from pgmgraph.module import Context, Draws, Guarantee, has, learns
from pgmgraph.observation import Observation, Values
from pgmgraph.plates import Delivery, Parcel
from pgmgraph.randomness import seed_of
from pgmgraph.snapshots import Snapshot
from pgmgraph.variables import Beliefs

Data = Mapping[str, Values | SparseMatrix | Observation]


@dataclass(frozen=True, eq=False)
class Running:
    """A stage that has been asked for.

    Attributes:
        names: the modules that are updated in it.
        changed: the variables whose belief it changes.
    """

    names: tuple[str, ...]
    changed: set[str]
    _submitted: Sequence[Submitted]
    _letters: Letters
    _calls: Counter[str]


@dataclass(frozen=True)
class ModuleReport:
    """How one update of a module went."""

    module: str
    seconds: float
    guarantee: Guarantee
    terms: OwnTerms | None


class Engine:
    """Runs the modules of a graph on one set of data.

    Args:
        graph: the wiring.
        data: values in the place of observations, by name.
        seed: what all randomness follows from.
        device: where modules that are not set up yet will live; "auto" is a GPU where there is one.
        executor: where modules run; by default in this process.
        watcher: told how far a module is.
        frozen: modules that only send when they are updated.
        learns: whether modules are to be updated on the data as a whole.

    Attributes:
        observations: the data, by the name of the observation.
        mail: what lies on the wires.
        items: the number of items of each module's plate.
        lengths: of the sequences of each module's plate; None where it has none.
        checked: what the check of the graph found out.
        beginning: which one of several is being learnt; it enters the seeds of modules that start from data.
        lead: by how many rounds what is asked for is ahead of the last one that is done.
        past: what modules learn from besides the data; empty where the data are no stream.
        totals: over a stream, by module, the statistics of the new items that it learnt from last.
    """

    def __init__(
        self,
        graph: ModelGraph,
        data: Data | None,
        *,
        seed: int,
        device: str,
        executor: Executor | None,
        watcher: ProgressWatcher,
        frozen: Sequence[str] = (),
        learns: bool = False,
    ) -> None:
        if isinstance(frozen, str):
            raise UnknownNameError(
                f"Expected frozen as a list of names, [{frozen!r}]; got the text {frozen!r}.", frozen
            )
        if data is not None and not isinstance(data, Mapping):
            raise DataError(
                f"Expected data by the name of an observation, such as {{{next(iter(graph.observations), 'x')!r}: "
                f"values}}; got {type(data).__name__}."
            )
        for name in frozen:
            if name not in graph.modules:
                raise UnknownNameError(f"Cannot freeze {name!r}, no module.{suggestion(name, graph.modules)}", name)
            if has(graph.modules[name], "start") and not graph.calls[name]:
                raise NotFittedError(f"Cannot freeze {name!r}: it starts from data, and has seen none yet.", name)
        self.graph = graph
        self._frozen = frozenset(frozen)
        self.seed = seed
        self.beginning = 0
        self.lead = 0
        self._under_way: deque[Running] = deque()
        self.past: Mapping[str, Past] = {}
        self.totals: dict[str, Statistics] = {}
        self.observations = dict(graph.observations)
        with_data(graph, self.observations, data or {})
        self.checked: Checked = graph.check(self.observations)
        self.items = {name: self.checked.sizes[plate] for name, plate in self.checked.plates.items()}
        self.lengths = {name: self.checked.lengths.get(plate) for name, plate in self.checked.plates.items()}
        self.mail = Mail(graph, self.observations, self.checked.groups)
        self._executor = executor or SerialExecutor()
        contexts = self._contexts(_device(device))
        parts = {
            name: most_parts(module, self.items.get(name, 0), self.lengths.get(name))
            for name, module in graph.modules.items()
        }
        try:
            self._executor.setup(graph.modules, contexts, watcher, parts if learns else {})
        except BaseException:
            for name in contexts:
                vars(graph.modules[name]).pop("context", None)  # nobody is set up, so that it can be tried again
            raise
        graph.contexts.update(contexts)

    def order(self) -> tuple[str, ...]:
        """The modules, children first where the wires allow it."""
        return tuple(self.graph.modules) if self.graph.cycle() else self.graph.bottom_up()

    @property
    def ahead(self) -> bool:
        """Whether stages may be asked for before those that came earlier are done.

        What goes over a pooled wire is summed here, and so must have come.
        """
        return self._executor.ahead and not self.mail.groups

    def update(self, names: Sequence[str]) -> Running:
        """Ask for the modules of a stage to be updated from the same mail, and put what they send into it."""
        letters, before = self.mail.saved(), self.graph.calls.copy()
        calls = [
            self._call("update", name, self.mail.letters(name), self.graph.calls[name], learn=name not in self._frozen)
            for name in names
        ]
        submitted = self._executor.update(calls)
        changed: set[str] = set()
        for name, one in zip(names, submitted, strict=True):
            changed |= self.mail.deliver(name, one.outbox)
            self.graph.calls[name] += 1
        running = Running(tuple(names), changed, submitted, letters, before)
        if self.ahead:
            self._under_way.append(running)
        return running

    def wait(self, running: Running) -> list[ModuleReport]:
        """Wait until a stage is done, the first of those under way; a report of each of its modules.

        Raises:
            WorkerLostError: where a module ran is gone; `rewind` makes it good.
        """
        updates = [one.done() for one in running._submitted]
        # All of a stage or none: where one is lost, those that were done with it are done again.
        for submitted in running._submitted:
            submitted.stand()
        if self._under_way:
            self._under_way.popleft()
        for name, one in zip(running.names, updates, strict=True):
            if one.total is not None:
                self.totals[name] = one.total
        return [
            ModuleReport(name, one.seconds, one.guarantee, one.terms)
            for name, one in zip(running.names, updates, strict=True)
        ]

    def rewind(self, running: Running | None) -> None:
        """Go back to before a stage, the first of those that are not done; None where all are."""
        self._executor.rewind()
        self._under_way.clear()
        if running:
            self.mail.restore(running._letters)
            self.graph.calls = running._calls.copy()

    def finish(self) -> None:
        """Bring home what modules have learnt, from wherever they ran."""
        self._executor.finish()

    def take(self, rows: slice) -> None:
        """Lay these rows of every observation, and nothing else, on the wires."""
        parts = {name: one.part(rows) for name, one in self.observations.items()}
        self.mail = Mail(self.graph, parts, self.checked.groups)
        if rows != slice(None):
            sizes = self.checked.sizes
            self.items = {name: len(range(sizes[plate])[rows]) for name, plate in self.checked.plates.items()}
            self.lengths = {}  # nothing here looks along time, and a block may end within a sequence

    def apart(self, n: int) -> None:
        """Take everything off the wires, for n items on each plate: one sequence, each a group of its own."""
        self.lengths = {}
        self.mail.clear()
        self.mail.groups = {target: Groups(torch.arange(n), n) for target in self.checked.groups}

    def send(self, name: str, block: int = 0) -> set[str]:
        """Let a module send with its parameters as they are; returns the variables whose belief it changed.

        Each block of rows has noise of its own, where a module sends draws.
        """
        [outbox] = self._executor.send([self._call("send", name, self.mail.letters(name), block)])
        return self.mail.deliver(name, outbox)

    @property
    def beliefs(self) -> Beliefs:
        """What is believed about each latent variable, after the last stage that is done."""
        return self.mail.beliefs_in(self._done()[0])

    def snapshot(self) -> Snapshot:
        """All that learning has changed, as a copy, after the last stage that is done."""
        states = self._executor.save(tuple(self.graph.modules))
        letters, calls = self._done()
        return Snapshot(
            states,
            letters,
            calls.copy(),
            self.graph.rounds_done,
            self.beginning,
            self.graph.memory,
        )

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a snapshot, which stays whole."""
        self._executor.load(snapshot.modules)
        self.mail.restore(snapshot.mail)
        self.graph.calls, self.graph.rounds_done = snapshot.calls.copy(), snapshot.rounds_done
        self.beginning, self.graph.memory = snapshot.beginning, snapshot.memory

    def _done(self) -> tuple[Letters, Counter[str]]:
        """The mail and the numbers of calls when the last stage was done."""
        if self._under_way:
            return self._under_way[0]._letters, self._under_way[0]._calls
        return self.mail.saved(), self.graph.calls

    def evaluate(self, names: Sequence[str], draw: int = 0) -> Callable[[], dict[str, OwnTerms | None]]:
        """Own terms of F under the beliefs in the mail, to be waited for; a draw has its own subset and noise."""
        calls = [self._call("elbo", name, self.mail.believed(name), draw) for name in names]
        asked = self._executor.evaluate(calls)
        return lambda: {name: terms() for name, terms in zip(names, asked, strict=True)}

    def predict(self, name: str, port: str, number: int = 0, given: Mapping[str, Message] | None = None) -> Message:
        """A module's message to the observation at one of its In ports, given beliefs at its Out ports.

        By default those in the mail. Each number has noise of its own.
        """
        if given is None:
            return self._executor.predict(self._call("predict", name, self.mail.believed(name), number), port)
        mail = {out: Parcel(message, type(message)) for out, message in given.items()}
        # As many rows as are given, of whatever sequences.
        return self._executor.predict(replace(self._call("predict", name, mail, number), lengths=None), port)

    def sample(
        self,
        name: str,
        n: int,
        values: Mapping[str, torch.Tensor | None],
        temperature: float = 1.0,
        number: int = 0,
    ) -> Draws:
        """Rows drawn by a module, given values of its Out variables. Each number has noise of its own."""
        return self._executor.sample(self._call("sample", name, {}, number), n, values, temperature)

    def _call(
        self,
        method: Literal["update", "send", "elbo", "predict", "sample"],
        name: str,
        mail: Mapping[str, Delivery],
        number: int = 0,
        learn: bool = True,
    ) -> Call:
        # Beginnings differ by where modules start from data; all other noise is the same, so that F compares.
        starts = method == "update" and has(self.graph.modules[name], "start")
        which = f"{method} of beginning {self.beginning}" if self.beginning and starts else method
        seed = seed_of(self.seed, name, which, number)
        past = self.past.get(name) if method == "update" else None
        sends = self.mail.sends(name) if method in ("update", "send") else {}
        items, lengths = self.items.get(name, 0), self.lengths.get(name)
        return Call(name, mail, seed, self.graph.rounds_done + self.lead, learn, lengths, past, sends, items)

    def _contexts(self, device: torch.device) -> dict[str, Context]:
        """A context for each module that is not set up yet; the others must still fit their data."""
        contexts = {}
        for name, module in self.graph.modules.items():
            shapes = self.checked.shapes[name]
            if not hasattr(module, "context"):
                contexts[name] = self._context(name, shapes, device)
                continue
            if module.context is not self.graph.contexts.get(name):
                raise WiringError(f"{name!r} has learnt in another graph already. Make a module of its own.", name)
            for port, learnt in module.context.shapes.items():
                if shapes.get(port) != learnt:
                    raise ShapeError(
                        f"Expected events of shape {learnt} at {name}.{port}, as it was set up; "
                        f"got {shapes.get(port)}."
                        + (" A single item is a row too: values[None]." * (not shapes.get(port))),
                        f"{name}.{port}",
                    )
            # Wires may have come since: who owns p(v) follows from those that are there now.
            now = self._context(name, shapes, module.context.device)
            module.context.shapes, module.context.connected, module.context.owned = now.shapes, now.connected, now.owned
        return contexts

    def _context(self, name: str, shapes: Mapping[str, tuple[int, ...]], device: torch.device) -> Context:
        module = self.graph.modules[name]
        connected, owned = ports_wired(name, module, self.graph.wires)
        return Context(
            name=name,
            shapes=shapes,
            connected=connected,
            owned=owned,
            device=device,
            dtype=module.dtype,
            seed=seed_of(self.seed, name, "setup", 0),
        )


def fitted(graph: ModelGraph) -> tuple[str, ...]:
    """The modules that have been called in a fit, and those that have nothing to learn."""
    return tuple(name for name, module in graph.modules.items() if graph.calls[name] or not learns(module))


def require_fitted(graph: ModelGraph) -> None:
    """Raise NotFittedError where a module has never been updated."""
    for name in graph.modules:
        if name not in fitted(graph):
            raise NotFittedError(f"{name} has learnt nothing yet. Call fit(graph, rounds=...) first.", name)


def with_data(graph: ModelGraph, observations: dict[str, Observation], data: Data) -> None:
    """Put other data in the place of observations."""
    for name, values in data.items():
        if name not in observations:
            raise UnknownNameError(
                f"No observation named {name!r} is in the graph.{suggestion(name, observations)} "
                f"It has: {', '.join(observations)}.",
                name,
            )
        observations[name] = observations[name].replaced(values, name)


def _device(device: str) -> torch.device:
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise WiringError(f"Expected a device that is here; got {device!r}, and torch sees no GPU. Use device='auto'.")
    try:
        return torch.device(device)
    except RuntimeError as error:
        raise WiringError(f"Expected device as auto, cpu, cuda or cuda:1; got {device!r}.") from error


def silent(module: str, done: int, total: int, values: Mapping[str, float]) -> None:
    """A watcher that looks away."""
