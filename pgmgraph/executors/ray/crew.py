"""A crew: the processes of one module, each with its part of the plate."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ray

from pgmgraph.errors import WorkerError
from pgmgraph.executors import worker
from pgmgraph.executors.base import Call, ModuleState, OwnTerms, ProgressWatcher, Submitted, Updated, most_parts
from pgmgraph.executors.ray.actor import Answer, pack_module
from pgmgraph.executors.ray.packing import Rows, Slot, flattened, laid_out, restored, split
from pgmgraph.executors.ray.process import Process
from pgmgraph.executors.ray.references import Ref, RemoteLetter, RemoteState, Store
from pgmgraph.messages import Message
from pgmgraph.module import Module, Outbox, has, learns
from pgmgraph.plates import Parcel

Wait = Callable[[Sequence[Ref], "Crew"], list[Any]]  # Any: whatever is waited for

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


@dataclass(frozen=True, eq=False)
class _Part:
    """A process, the call for it, and its rows of the plate; None for all."""

    process: Process
    call: Call
    rows: Rows | None


class Crew:
    """The processes of one module.

    A module that learns by statistics learns from their sum over all parts, in every process the same. One that learns
    by gradients averages them over its processes as it goes. Messages stay in the parts that they were made in. Where
    there are fewer rows than parts, and nothing is to be learnt, the first processes answer alone.

    Args:
        name: of the module.
        module: the module as it is here; it learns elsewhere.
        terms: what it asks for.
        store: where messages lie.
        wait: waits for answers, and raises what the first to fail has raised.
        watcher: told how far the module is.

    Attributes:
        processes: those that there are; none before `begin`.
        asked, done: the numbers of the last update that was asked for, and of the last that stands.
    """

    def __init__(
        self, name: str, module: Module, terms: Terms, store: Store, wait: Wait, watcher: ProgressWatcher
    ) -> None:
        self.name, self.module, self.terms = name, module, terms
        self._store, self._wait, self._watcher = store, wait, watcher
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
            [address] = self._wait([self.processes[0].actor.address.remote()], self)
            shards = len(self.processes)
            met = [one.actor.meet.remote(address, shard, shards) for shard, one in enumerate(self.processes)]
            self._wait(met, self)

    def stop(self) -> None:
        """End the processes."""
        for process in self.processes:
            process.stop()
        self.processes = []

    @property
    def behind(self) -> bool:
        """Whether updates were asked for that do not stand, or a process is gone."""
        return self.asked != self.done or any(process.lost for process in self.processes)

    def replace(self) -> None:
        """End the processes; others begin where these were after the last update that stands."""
        self._tries += any(process.lost for process in self.processes)
        if self._tries > self.terms.restarts:
            raise WorkerError(
                f"The process of {self.name} was lost {self._tries} times in a row. Look at what it needs, memory "
                "first; or allow more: RayExecutor(restarts=...).",
                self.name,
            )
        self.stop()
        self.asked = self.done
        # Whoever was lost in its first update starts from data once more.
        self._started = (self._known or self.module.context).updates > 0

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
        parts = self._parts(call)
        steps, method = list[Ref](), "update"
        if len(parts) > 1 and call.learn and learns(self.module):
            steps = self._start_together(number, call)
            if has(self.module, "statistics"):
                steps += self._learn_together(number, call, parts)
                method = "answer"
        asked = [self._ask(part, method, 2 + len(call.sends), number) for part in parts]
        outbox = self._outbox(call, [refs[2:] for refs in asked], parts)

        answers = list[Answer]()

        def done() -> Updated:
            # A process that was left alone in a step would answer all the same, so steps are heard as well.
            answers[:] = self._wait([*steps, *(refs[0] for refs in asked)], self)[len(steps) :]
            if keep:
                self._wait([ref for refs in asked for ref in refs[1:]], self)
            for report in [report for one in answers for report in one.reports]:
                self._watcher(self.name, *report)
            for port in call.sends:
                self._store.traffic.sent[f"{self.name}.{port}"] = sum(one.sizes[port] for one in answers)
            terms = _summed([one.terms for one in answers])
            total: Any = restored(answers[0].total)  # Any: a tensor, or tensors by name
            return Updated(outbox, max(one.seconds for one in answers), answers[0].guarantee, terms, total)

        def stand() -> None:
            self.done, self._tries = number, 0
            if call.learn:
                self._known = RemoteState(asked[0][1], answers[0].updates)

        return Submitted(outbox, done, stand)

    def send(self, call: Call) -> Outbox:
        """What the module sends with its parameters as they are; raises where it cannot."""
        parts = self._parts(call)
        asked = [self._ask(part, "send", 1 + len(call.sends)) for part in parts]
        self._wait([refs[0] for refs in asked], self)
        return self._outbox(call, [refs[1:] for refs in asked], parts)

    def evaluate(self, call: Call) -> Callable[[], OwnTerms | None]:
        """Ask for the module's own terms of F."""
        asked = [self._ask(part, "evaluate", 1)[0] for part in self._parts(call)]
        return lambda: _summed(self._wait(asked, self))

    def predict(self, call: Call, port: str) -> Message:
        """The module's message to an observation."""
        asked = [self._ask(part, "predict", 1, port)[0] for part in self._parts(call)]
        pieces: list[Message] = [packed.opened() for packed in self._wait(asked, self)]
        return type(pieces[0]).concatenate(pieces)

    def _start_together(self, number: int, call: Call) -> list[Ref]:
        """Let the first process start from the whole plate, and the others from what it has started with."""
        if self._started or not has(self.module, "start"):
            return []
        self._started = True
        first, *others = self.processes
        [state] = self._ask(_Part(first, call, None), "start", 1, number)
        return [state, *(process.actor.follow.remote(number, state) for process in others)]

    def _learn_together(self, number: int, call: Call, parts: Sequence[_Part]) -> list[Ref]:
        steps = []
        for _ in range(self.module.passes):
            sums = [self._ask(part, "statistics", 1, number)[0] for part in parts]
            steps += [process.actor.learn.remote(number, _bare(call), *sums) for process in self.processes]
        return steps

    def _parts(self, call: Call) -> list[_Part]:
        shards = min(len(self.processes), most_parts(self.module, call.items, call.lengths))
        if shards <= 1:
            return [_Part(self.processes[0], call, None)]
        parts = []
        for shard, rows in enumerate(split(call.items, shards, call.lengths)):
            lengths = None if call.lengths is None else _within(call.lengths, rows)
            seed = (call.seed + shard * _STRIDE) % 2**32
            its_call = dataclasses.replace(call, seed=seed, lengths=lengths, shard=shard)
            parts.append(_Part(self.processes[shard], its_call, rows))
        return parts

    def _ask(self, part: _Part, method: str, returns: int, *given: object) -> list[Ref]:
        """Ask a process for something, with the mail of its rows beside the call."""
        call, rows = part.call, part.rows
        letters: dict[Ref, int] = {}

        def slot_of(parcel: Parcel) -> Slot:
            pieces = self._store.pieces(parcel.message, rows)
            numbers = tuple(letters.setdefault(ref, len(letters)) for ref, _ in pieces)
            believed = isinstance(parcel.message, RemoteLetter) and parcel.message.believed
            return Slot(numbers, tuple(part for _, part in pieces), believed, parcel.wanted, parcel.via)

        layout = laid_out(call.mail, slot_of)
        function = getattr(part.process.actor, method).options(num_returns=returns)
        answered = function.remote(*given, _bare(call), layout, *letters)
        return [answered] if returns == 1 else list(answered)

    def _outbox(self, call: Call, sent: Sequence[Sequence[Ref]], given: Sequence[_Part]) -> Outbox:
        """What the processes send: for each port its letters, in the order of the rows."""
        parts = tuple(one.rows for one in given if one.rows is not None) or None
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
        self._wait([one.actor.load.remote(values, state.updates, self.asked) for one in self.processes], self)


def check_divisible(name: str, module: Module, shards: int, most: int | None) -> None:
    """Refuse to split the plate of a module that cannot be, or into more parts than it has items or sequences.

    Raises:
        WorkerError: see above.
    """
    why = None
    if has(module, "update"):
        why = "updates itself from the whole plate at once"
    elif has(module, "statistics") and module.step_items is not None:
        why = "learns by steps on parts of the plate"
    elif module.at_once is None and not module.sequential:
        why = "takes the whole plate at once"
    elif has(module, "learn_batches") and not module.averages:
        why = "does not average over parts what it learns from batches"
    elif module.sequential and most == 1:
        why = "looks along time, and has a single sequence"
    if why:
        raise WorkerError(f"Expected a module whose plate can be split; {name} {why}. Leave it out of shards.", name)
    if most is not None and shards > most:
        raise WorkerError(
            f"Expected at most as many parts as the plate of {name} has rows, and sequences where it has them, {most}; "
            f"got {shards}. Ask for less: shards={{{name!r}: {most}}}.",
            name,
        )


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
