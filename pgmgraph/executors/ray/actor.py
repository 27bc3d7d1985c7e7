"""An actor: a module in a process of its own, which answers calls in the order in which they come."""

from __future__ import annotations

import dataclasses
import os
import pickle
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from ray import cloudpickle
from ray.util import get_node_ip_address
from torch import Tensor

from pgmgraph.errors import WorkerError
from pgmgraph.executors import worker
from pgmgraph.executors.base import Call, ModuleState, OwnTerms, Updated
from pgmgraph.executors.past import Statistics
from pgmgraph.executors.ray.packing import Layout, Letter, Packed, flattened, opened, packed, restored
from pgmgraph.module import Draws, Guarantee, Module, Outbox, expected
from pgmgraph.plates import Batches

# Ray leaves these without types.
_own_address: Callable[[], str] = get_node_ip_address
_dumps: Callable[[object], bytes] = cloudpickle.dumps


Report: TypeAlias = tuple[int, int, Mapping[str, float]]
"""What a module reports of its progress: what is done, the total, and values."""


@dataclass(frozen=True)
class Answer:
    """How an update went, as it is told to the driver; what was learnt and sent lies elsewhere.

    Attributes:
        sizes: how many bytes each message has, by port.
        total: see `Updated`, ready to travel.
        reports: of progress, those that no sign of life has told.
    """

    seconds: float
    guarantee: Guarantee
    terms: OwnTerms | None
    updates: int
    sizes: Mapping[str, int]
    total: object
    reports: Sequence[Report]


class ModuleActor:
    """Holds a module and calls it.

    Updates are numbered. One that comes out of its turn, since an earlier one has failed or it was sent twice, is
    refused, so that none is ever applied twice or out of order.

    Args:
        module: as `pack_module` made it.
        name: its name in the graph.
        threads: how many threads torch may use; sums come out the same to the last bit under the same number alone.
        gpu: whether the module lives on the GPU that this process was given.
    """

    def __init__(self, module: bytes, name: str, threads: int, gpu: bool) -> None:
        torch.set_num_threads(threads)
        self._device = torch.device("cuda" if gpu else "cpu")
        self._name = name
        self._module = _unpacked(module, self._device)
        self._module.context.progress = self._report
        self._number = 0
        self._part: Batches | None = None
        self._busy = 0.0
        self._lock = threading.Lock()
        self._reports: list[Report] = []

    def where(self) -> tuple[str, int, str]:
        """The machine, the process and the device."""
        return socket.gethostname(), os.getpid(), str(self._device)

    def load(self, values: object, updates: int, number: int) -> None:
        """Put the module back to what it had learnt; the update after `number` is the next."""
        worker.load(self._module, _state(values, updates))
        self._number, self._part = number, None

    def learnt(self) -> object:
        """What the module has learnt, ready to travel."""
        return flattened(worker.save(self._module).values)

    def update(self, number: int, call: Call, layout: Layout, *letters: Letter) -> tuple[object, ...]:
        """Learn and send: the answer, the state, and a letter for each of `call.sends`."""
        self._in_turn(number)
        return self._answered(number, call, worker.update(self._module, self._with_mail(call, layout, letters)))

    def start(self, number: int, call: Call, layout: Layout, *letters: Letter) -> object:
        """Start from the whole plate; the state, for the other parts of it."""
        self._in_turn(number)
        worker.start(self._module, self._with_mail(call, layout, letters))
        return self.learnt()

    def follow(self, number: int, values: object) -> None:
        """Begin an update from what another part has started with."""
        self._in_turn(number)
        worker.load(self._module, _state(values, self._module.context.updates))

    def statistics(self, number: int, call: Call, layout: Layout, *letters: Letter) -> Statistics | None:
        """What this part of the plate adds to what is learnt from."""
        self._in_turn(number)
        begin = time.perf_counter()
        if self._part is None:
            self._part, self._busy = worker.part(self._module, self._with_mail(call, layout, letters)), 0.0
        total = worker.statistics(self._module, call, self._part)
        self._busy += time.perf_counter() - begin
        return total

    def learn(self, number: int, call: Call, *parts: Statistics | None) -> None:
        """Learn from the statistics of all parts, in the order of the parts."""
        self._in_turn(number)
        begin = time.perf_counter()
        worker.learn(self._module, call, parts)
        self._busy += time.perf_counter() - begin

    def answer(self, number: int, call: Call, layout: Layout, *letters: Letter) -> tuple[object, ...]:
        """As `update`, for a part of the plate, after all of them have learnt."""
        self._in_turn(number)
        self._part = None
        answered = worker.answer(self._module, self._with_mail(call, layout, letters))
        whole = dataclasses.replace(answered, seconds=self._busy + answered.seconds)
        return self._answered(number, call, whole)

    def meet(self, address: str, shard: int, shards: int) -> None:
        """Meet the other parts' processes, to average gradients with them."""
        torch.distributed.init_process_group("gloo", init_method=address, rank=shard, world_size=shards)
        self._module.context.shards = shards

    def address(self) -> str:
        """Where others can meet this process."""
        with socket.socket() as free:
            free.bind(("", 0))
            return f"tcp://{_own_address()}:{free.getsockname()[1]}"

    def _answered(self, number: int, call: Call, updated: Updated) -> tuple[object, ...]:
        sent = _outgoing(updated.outbox, self._name, self._module, call)
        self._number = number
        # The parts of a plate have learnt the same: the first one's state is kept.
        state = self.learnt() if call.learn and not call.shard else None
        sizes = {port: letter.bytes for port, letter in sent.items()}
        learnt = self._module.context.updates
        total = None if updated.total is None else flattened(updated.total)
        answer = Answer(updated.seconds, updated.guarantee, updated.terms, learnt, sizes, total, self.sign())
        return answer, state, *sent.values()

    def send(self, call: Call, layout: Layout, *letters: Letter) -> tuple[object, ...]:
        """A word that it is done, and a letter for each of `call.sends`, with the parameters as they are."""
        outbox = worker.send(self._module, self._with_mail(call, layout, letters))
        return None, *_outgoing(outbox, self._name, self._module, call).values()

    def evaluate(self, call: Call, layout: Layout, *letters: Letter) -> OwnTerms | None:
        """The module's own terms of F."""
        return worker.evaluate(self._module, self._with_mail(call, layout, letters))

    def predict(self, port: str, call: Call, layout: Layout, *letters: Letter) -> Packed:
        """The module's message to an observation."""
        return packed(worker.predict(self._module, self._with_mail(call, layout, letters), port))

    def sample(self, call: Call, n: int, values: Mapping[str, Tensor | None], temperature: float) -> Draws:
        """Rows drawn from the module."""
        return worker.sample(self._module, call, n, values, temperature)

    def sign(self) -> list[Report]:
        """A sign of life, which is given while a call is under way: what was reported since the last one."""
        with self._lock:
            reports, self._reports = self._reports, []
        return reports

    def _in_turn(self, number: int) -> None:
        if number != self._number + 1:
            raise WorkerError(
                f"Expected update {self._number + 1} of {self._name}; got {number}. An earlier one has failed.",
                self._name,
            )

    def _with_mail(self, call: Call, layout: Layout, letters: tuple[Letter, ...]) -> Call:
        return dataclasses.replace(call, mail=opened(layout, letters))

    def _report(self, done: int, total: int, values: Mapping[str, float]) -> None:
        with self._lock:
            self._reports.append((done, total, dict(values)))


def pack_module(module: Module) -> bytes:
    """A module that is set up, as it travels: how it was made, what it was told, what it has learnt.

    What it keeps beside that, such as a layout of the data at hand, stays.

    Raises:
        WorkerError: an argument that it was made with cannot travel.
    """
    context = dataclasses.replace(module.context, progress=_nobody)
    try:
        return _dumps((type(module), module.arguments, context, worker.save(module)))
    except (TypeError, pickle.PicklingError) as error:
        raise WorkerError(
            f"Expected {context.name} ({type(module).__name__}) to be made with arguments that another process can be "
            f"sent; got: {error}.",
            context.name,
        ) from error


def _unpacked(packed: bytes, device: torch.device) -> Module:
    kind, arguments, context, state = pickle.loads(packed)
    module: Module = kind(**arguments)
    worker.set_up(module, dataclasses.replace(context, device=device))
    if state.updates:
        worker.load(module, state)
    return module


def _nobody(done: int, total: int, values: Mapping[str, float]) -> None:
    """Nobody listens on the way."""


def _state(values: object, updates: int) -> ModuleState:
    state = restored(values)
    assert state is None or isinstance(state, Mapping)
    return ModuleState(state, updates)


def _outgoing(outbox: Outbox, name: str, module: Module, call: Call) -> dict[str, Letter]:
    """A letter for each port that something has to leave by."""
    sent = expected(outbox, name, module, call.sends)
    letters = {}
    for port, message in sent.items():
        belief = outbox.beliefs.get(port)
        letters[port] = Letter(packed(message), None if belief is None else packed(belief))
    return letters
