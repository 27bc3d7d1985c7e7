"""A crew: the processes of one module, each with its part of the plate."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ray

from pgmgraph.errors import WorkerError
from pgmgraph.executors import worker
from pgmgraph.executors.base import Call, ModuleState, OwnTerms, ProgressWatcher, Submitted, Updated
from pgmgraph.executors.ray.actor import Answer, pack_module
from pgmgraph.executors.ray.packing import Rows, Slot, flattened, laid_out, restored, split
from pgmgraph.executors.ray.process import Process
from pgmgraph.executors.ray.references import Ref, RemoteLetter, RemoteState, Store
from pgmgraph.messages import Message
from pgmgraph.module import Module, Outbox, has
from pgmgraph.plates import Parcel

Wait = Callable[[Ref, "Crew"], Any]  # Any: whatever is waited for

_STRIDE = 0x9E3779B1  # far enough for seeds of parts not to meet those of other calls


@dataclass(frozen=True)
class Terms:
    """What a module asks of a cluster.

    Attributes:
        shards: into how many parts its plate is split.
        resources: what each of them asks for.
        threads: how many threads each of them may use.
        restarts: how many times in a row it is made again.
    """

    shards: int
    resources: Mapping[str, float]
    threads: int
    restarts: int


class Crew:
    """The processes of one module.

    A module that learns by statistics learns from their sum over all parts, in every process the same. One that learns
    by gradients averages them over its processes as it goes. Messages stay in the parts that they were made in.

    Args:
        name: of the module.
        module: the module as it is here; it learns elsewhere.
        terms: what it asks for.
        store: where messages lie.
        wait: waits for an answer.
        watcher: told how far the module is.

    Attributes:
        processes: those that there are; none before `begin`.
        asked, done: the numbers of the last update that was asked for, and of the last that was heard to be done.

    Raises:
        WorkerError: the module takes its plate whole, and cannot be split.
    """

    def __init__(
        self, name: str, module: Module, terms: Terms, store: Store, wait: Wait, watcher: ProgressWatcher
    ) -> None:
        self.name, self.module, self.terms = name, module, terms
        self._store, self._wait, self._watcher = store, wait, watcher
        if terms.shards > 1:
            _check_divisible(name, module)
        self._packed: Ref = ray.put(pack_module(module))
        self.processes: list[Process] = []
        self.asked = self.done = 0
        self._known: ModuleState | None = None
        self._started = module.context.updates > 0
        self._tries = 0

    def begin(self) -> bool:
        """Begin processes if there are none; whether some were begun."""
        if self.processes:
            return False
        terms = self.terms
        self.processes = [Process(self.name, self._packed, terms.resources, terms.threads) for _ in range(terms.shards)]
        return True

    def begun(self) -> None:
        """The processes have begun: bring them to what the module has learnt, and let them meet."""
        if self._known is not None:
            self._load(self._known)
        if len(self.processes) > 1 and has(self.module, "learn_batches"):
            address = self._wait(self.processes[0].actor.address.remote(), self)
            for number, process in enumerate(self.processes):
                process.actor.meet.remote(address, number, len(self.processes))

    def stop(self) -> None:
        """End the processes."""
        for process in self.processes:
            process.stop()
        self.processes = []

    @property
    def behind(self) -> bool:
        """Whether updates were asked for that were not heard to be done, or a process is gone."""
        return self.asked != self.done or any(process.lost for process in self.processes)

    def replace(self) -> None:
        """End the processes; others begin where these were when the last update was done."""
        self._tries += any(process.lost for process in self.processes)
        if self._tries > self.terms.restarts:
            raise WorkerError(
                f"The process of {self.name} was lost {self._tries} times in a row. Look at what it needs, memory "
                "first; or allow more: RayExecutor(restarts=...).",
                self.name,
            )
        self.stop()
        self.asked = self.done

    def state(self) -> ModuleState:
        """What the module had learnt when its last update was done."""
        return self._known or worker.save(self.module)

    def load(self, state: ModuleState) -> None:
        """Put the module to a state."""
        self._known = state
        if self.processes:
            self._load(state)

    def bring_home(self) -> None:
        """Put the module that is here to what was learnt elsewhere."""
        if self._known is not None:
            worker.load(self.module, self._known)

    def update(self, call: Call, keep: bool) -> Submitted:
        """Ask for an update; what came of it is not done before it lies on this machine too, if it is to be kept."""
        if call.past is not None and self.terms.shards > 1:
            raise WorkerError(
                f"Expected a module with its plate in one part, to learn from a stream; {self.name} has "
                f"{self.terms.shards}. Leave it out of shards.",
                self.name,
            )
        self.asked += 1
        number = self.asked
        calls = self._parts(call)
        together = len(calls) > 1 and call.learn and has(self.module, "statistics")
        if together:
            self._learn_together(number, call, calls)
        asked = [
            self._ask(process, "answer" if together else "update", 2 + len(call.sends), part, rows, number)
            for process, (part, rows) in zip(self.processes, calls, strict=True)
        ]
        outbox = self._outbox(call, [refs[2:] for refs in asked], [rows for _, rows in calls])

        def done() -> Updated:
            answers: list[Answer] = [self._wait(refs[0], self) for refs in asked]
            for ref in [ref for refs in asked for ref in refs[1:] if keep]:
                self._wait(ref, self)
            self.done, self._tries = number, 0
            for report in [report for one in answers for report in one.reports]:
                self._watcher(self.name, *report)
            for port in call.sends:
                self._store.traffic.sent[f"{self.name}.{port}"] = sum(one.sizes[port] for one in answers)
            if call.learn:
                self._known = RemoteState(asked[0][1], answers[0].updates)
            terms = _summed([one.terms for one in answers])
            total: Any = restored(answers[0].total)  # Any: a tensor, or tensors by name
            return Updated(outbox, max(one.seconds for one in answers), answers[0].guarantee, terms, total)

        return Submitted(outbox, done)

    def send(self, call: Call) -> Outbox:
        """What the module sends with its parameters as they are; raises where it cannot."""
        calls = self._parts(call)
        asked = [
            self._ask(process, "send", 1 + len(call.sends), part, rows)
            for process, (part, rows) in zip(self.processes, calls, strict=True)
        ]
        for refs in asked:
            self._wait(refs[0], self)
        return self._outbox(call, [refs[1:] for refs in asked], [rows for _, rows in calls])

    def evaluate(self, call: Call) -> Callable[[], OwnTerms | None]:
        """Ask for the module's own terms of F."""
        asked = [
            self._ask(process, "evaluate", 1, part, rows)[0]
            for process, (part, rows) in zip(self.processes, self._parts(call), strict=True)
        ]
        return lambda: _summed([self._wait(ref, self) for ref in asked])

    def predict(self, call: Call, port: str) -> Message:
        """The module's message to an observation."""
        asked = [
            self._ask(process, "predict", 1, part, rows, port)[0]
            for process, (part, rows) in zip(self.processes, self._parts(call), strict=True)
        ]
        pieces: list[Message] = [self._wait(ref, self).opened() for ref in asked]
        return type(pieces[0]).concatenate(pieces)

    def _learn_together(self, number: int, call: Call, calls: Sequence[tuple[Call, Rows | None]]) -> None:
        if has(self.module, "start") and not self._started:
            first, *others = self.processes
            [state] = self._ask(first, "start", 1, call, None, number)
            for process in others:
                process.actor.follow.remote(number, state)
        self._started = True
        for _ in range(self.module.passes):
            parts = [
                self._ask(process, "statistics", 1, part, rows, number)[0]
                for process, (part, rows) in zip(self.processes, calls, strict=True)
            ]
            for process in self.processes:
                process.actor.learn.remote(number, _bare(call), *parts)

    def _parts(self, call: Call) -> list[tuple[Call, Rows | None]]:
        """The call for each process, and its rows of the plate."""
        shards = len(self.processes)
        if shards == 1:
            return [(call, None)]
        parts: list[tuple[Call, Rows | None]] = []
        for shard, rows in enumerate(split(call.items, shards, call.lengths)):
            lengths = None if call.lengths is None else _within(call.lengths, rows)
            seed = (call.seed + shard * _STRIDE) % 2**32
            parts.append((dataclasses.replace(call, seed=seed, lengths=lengths, shard=shard), rows))
        return parts

    def _ask(
        self, process: Process, method: str, returns: int, call: Call, rows: Rows | None, *given: object
    ) -> list[Ref]:
        """Ask a process for something, with the mail of its rows beside the call."""
        letters: dict[Ref, int] = {}

        def slot_of(parcel: Parcel) -> Slot:
            pieces = self._store.pieces(parcel.message, rows)
            numbers = tuple(letters.setdefault(ref, len(letters)) for ref, _ in pieces)
            believed = isinstance(parcel.message, RemoteLetter) and parcel.message.believed
            return Slot(numbers, tuple(part for _, part in pieces), believed, parcel.wanted, parcel.via)

        layout = laid_out(call.mail, slot_of)
        function = getattr(process.actor, method).options(num_returns=returns)
        answered = function.remote(*given, _bare(call), layout, *letters)
        return [answered] if returns == 1 else list(answered)

    def _outbox(self, call: Call, sent: Sequence[Sequence[Ref]], rows: Sequence[Rows | None]) -> Outbox:
        """What the processes send: for each port its letters, in the order of the rows."""
        parts = tuple(one for one in rows if one is not None) or None
        messages: dict[str, Any] = {}
        beliefs: dict[str, Message] = {}
        for port, *refs in zip(call.sends, *sent, strict=True):
            family, _, key = port.partition(".")
            message = RemoteLetter(tuple(refs), parts, self._store.traffic)
            if key:
                messages.setdefault(family, {})[key] = message
            else:
                messages[port] = message
            beliefs[port] = RemoteLetter(tuple(refs), parts, self._store.traffic, believed=True)
        return Outbox(elbo=None, beliefs=beliefs, **messages)

    def _load(self, state: ModuleState) -> None:
        values = state.ref if isinstance(state, RemoteState) else flattened(state.values)
        self._started |= state.updates > 0
        for loaded in [process.actor.load.remote(values, state.updates, self.asked) for process in self.processes]:
            self._wait(loaded, self)


def _check_divisible(name: str, module: Module) -> None:
    why = None
    if has(module, "update"):
        why = "updates itself from the whole plate at once"
    elif has(module, "statistics") and module.step_items is not None:
        why = "learns by steps on parts of the plate"
    elif module.at_once is None and not module.sequential:
        why = "takes the whole plate at once"
    if why:
        raise WorkerError(f"Expected a module whose plate can be split; {name} {why}. Leave it out of shards.", name)


def _summed(parts: Sequence[OwnTerms | None]) -> OwnTerms | None:
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    values = {key: sum(part.values[key] for part in known) for key in known[0].values}
    error = sum(part.standard_error**2 for part in known) ** 0.5
    return OwnTerms(values, error, exact=all(part.exact for part in known), common=known[0].common)


def _within(lengths: Any, rows: Rows) -> Any:  # noqa: ANN401  # a tensor
    ends = lengths.cumsum(0)
    return lengths[(ends > rows[0]) & (ends <= rows[1])]


def _bare(call: Call) -> Call:
    return dataclasses.replace(call, mail={})
