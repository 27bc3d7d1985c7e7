"""Ray: every module in a process of its own, on this machine or on a cluster; messages go from one to another.

Needs the extra `ray`: pip install 'pgmgraph[ray]'.
"""

from __future__ import annotations

import dataclasses
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

import ray
import torch
from ray.exceptions import (
    ObjectLostError,
    OwnerDiedError,
    RayActorError,
    RayError,
    RayTaskError,
    WorkerCrashedError,
)
from torch import Tensor

from pgmgraph.errors import UnknownNameError, WorkerError, WorkerLostError, suggestion
from pgmgraph.executors import worker
from pgmgraph.executors.base import Call, ModuleState, OwnTerms, ProgressWatcher, Submitted, Updated
from pgmgraph.executors.ray import cluster
from pgmgraph.executors.ray.actor import Answer
from pgmgraph.executors.ray.packing import Letter, Packed, Slot, laid_out, packed
from pgmgraph.executors.ray.process import Process
from pgmgraph.executors.ray.references import Ref, RemoteLetter, fetch
from pgmgraph.messages import Message
from pgmgraph.module import Context, Draws, Module, Outbox
from pgmgraph.plates import Parcel

T = TypeVar("T")
_LOST = (RayActorError, ObjectLostError, OwnerDiedError, WorkerCrashedError)
_TICK = 0.25


class RayExecutor:
    """Runs every module in a process of its own. See `Executor`.

    The stages of a round are asked for at once, and every update begins when the messages that it needs are there:
    modules that need nothing from each other run at the same time. Messages go from process to process through Ray's
    object store, and not through this one.

    Where a process or a machine is lost, its modules are made again elsewhere, from what they had learnt when the last
    stage ended, and what had been under way is done again: the result is that of a run without losses.

    Args:
        address: of a cluster, "auto" for the one that this machine belongs to; None begins one on this machine, which
            ends with `close`.
        resources: what modules ask for, by name: `{"vae": {"gpu": 1, "cpu": 4}}`, and whatever else machines of the
            cluster offer. What is not said is nothing: modules that ask for nothing go anywhere.
        threads: how many threads torch may use in each process. By default as many as here: sums come out the same
            to the last bit only under the same number.
        patience: for how many seconds a process is waited for to begin, or to give a sign of life.
        restarts: how many times in a row a module is made again before learning ends with an error.
        keep: whether what modules learn and send is kept on this machine as well, where there are others: only then
            nothing is lost with a machine.

    Raises:
        WorkerError: there is no such cluster.
    """

    ahead = True

    def __init__(
        self,
        address: str | None = None,
        *,
        resources: Mapping[str, Mapping[str, float]] | None = None,
        threads: int | None = None,
        patience: float = 60.0,
        restarts: int = 3,
        keep: bool = True,
    ) -> None:
        self._address = address
        self._resources = {name: dict(asked) for name, asked in (resources or {}).items()}
        self._threads = threads or torch.get_num_threads()
        self._patience = patience
        self._restarts = restarts
        self._keep = keep
        self._begun = False
        self._processes: dict[str, Process] = {}
        self._letters: weakref.WeakKeyDictionary[Message, Ref] = weakref.WeakKeyDictionary()
        self._watcher: ProgressWatcher = lambda module, done, total, values: None

    def __enter__(self) -> RayExecutor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all processes, and the cluster if it was begun here."""
        for one in self._processes.values():
            one.stop()
        self._processes = {}
        if self._begun:
            cluster.leave()
            self._begun = False

    def setup(self, modules: Mapping[str, Module], contexts: Mapping[str, Context], watcher: ProgressWatcher) -> None:
        """See `Executor.setup`."""
        for name in self._resources:
            if name not in modules:
                raise UnknownNameError(
                    f"Expected resources for modules of the graph; got some for {name!r}."
                    f"{suggestion(name, modules)} It has: {', '.join(modules)}.",
                    name,
                )
        for name, context in contexts.items():
            worker.set_up(modules[name], context)
        self._watcher = watcher
        self._begun |= cluster.join(self._address)
        for one in self._processes.values():
            one.stop()
        self._processes = {
            name: Process(name, module, self._resources.get(name, {}), self._threads, self._restarts)
            for name, module in modules.items()
        }
        self._start()

    def update(self, calls: Sequence[Call]) -> list[Submitted]:
        """See `Executor.update`."""
        self._start()
        return [self._update(call) for call in calls]

    def rewind(self) -> None:
        """See `Executor.rewind`."""
        behind = [one for one in self._processes.values() if one.lost or one.asked != one.done]
        if not behind:
            raise WorkerError("Messages were lost with a machine. Keep copies of them here: RayExecutor(keep=True).")
        for one in behind:
            one.replace()

    def finish(self) -> None:
        """See `Executor.finish`."""
        for one in self._processes.values():
            if one.done or one.loaded:
                worker.load(one.module, one.state())
            one.stop()
        self._processes = {}

    def save(self, names: Sequence[str]) -> dict[str, ModuleState]:
        """See `Executor.save`."""
        return {name: self._processes[name].state() for name in names}

    def load(self, states: Mapping[str, ModuleState]) -> None:
        """See `Executor.load`."""
        for name, state in states.items():
            self._processes[name].load(state)

    def send(self, calls: Sequence[Call]) -> list[Outbox]:
        """See `Executor.send`."""
        self._start()
        sent = []
        for call in calls:
            refs = self._ask(call, "send", len(call.sends) + 1)
            sent.append(_outbox(call, refs[:-1]))
            self._wait(refs[-1], call.module)
        return sent

    def evaluate(self, calls: Sequence[Call]) -> list[Callable[[], OwnTerms | None]]:
        """See `Executor.evaluate`."""
        self._start()
        return [self._promised(self._ask(call, "evaluate", 1)[0], call.module) for call in calls]

    def predict(self, call: Call, port: str) -> Message:
        """See `Executor.predict`."""
        self._start()
        message: Packed = self._wait(self._ask(call, "predict", 1, port)[0], call.module)
        return message.opened()

    def sample(self, call: Call, n: int, values: Mapping[str, Tensor | None], temperature: float = 1.0) -> Draws:
        """See `Executor.sample`."""
        self._start()
        ref = self._processes[call.module].actor.sample.remote(_bare(call), n, dict(values), temperature)
        drawn: Draws = self._wait(ref, call.module)
        return drawn

    def _start(self) -> None:
        """See that every module has a process; those that are new begin at the same time."""
        new = [one for one in self._processes.values() if one.begin()]
        waiting = {one.where: one for one in new}
        ready, late = ray.wait(list(waiting), num_returns=len(waiting), timeout=self._patience) if waiting else ([], [])
        if late:
            lacking = [waiting[ref] for ref in late]
            asked = "; ".join(f"{one.name} asks for {one.resources or 'nothing'}" for one in lacking)
            for one in lacking:
                one.stop()
            raise WorkerError(
                f"Found no room for {', '.join(one.name for one in lacking)} within {self._patience:g} s: {asked}. "
                f"{cluster.room()} Ask for less, or add machines.",
                lacking[0].name,
            )
        for ref in ready:
            self._wait(ref, waiting[ref].name)
            waiting[ref].began()

    def _update(self, call: Call) -> Submitted:
        one = self._processes[call.module]
        one.asked += 1
        number = one.asked
        answer, state, *refs = self._ask(call, "update", 2 + len(call.sends), number, first=True)
        outbox = _outbox(call, refs)

        def done() -> Updated:
            told: Answer = self._wait(answer, call.module)
            if self._keep:
                self._bring_near([state, *refs])
            one.confirm(number, told.updates, state if call.learn else None)
            return Updated(outbox, told.seconds, told.guarantee, told.terms)

        return Submitted(outbox, done)

    def _ask(self, call: Call, method: str, returns: int, *given: object, first: bool = False) -> list[Ref]:
        """Ask an actor for something, with the call's mail beside it."""
        letters: dict[Ref, int] = {}

        def slot_of(parcel: Parcel) -> Slot:
            message = parcel.message
            number = letters.setdefault(self._letter(message), len(letters))
            believed = isinstance(message, RemoteLetter) and message.believed
            return Slot((number,), (None,), believed, parcel.wanted, parcel.via)

        layout = laid_out(call.mail, slot_of)
        function = getattr(self._processes[call.module].actor, method).options(num_returns=returns)
        before, after = (given, ()) if first else ((), given)
        answered = function.remote(*before, _bare(call), *after, layout, *letters)
        return [answered] if returns == 1 else list(answered)

    def _letter(self, message: Message) -> Ref:
        """Where a message lies; one of this process is laid into the object store, once."""
        if isinstance(message, RemoteLetter):
            return message.ref
        if message not in self._letters:
            self._letters[message] = ray.put(Letter(packed(message)))
        return self._letters[message]

    def _promised(self, ref: Ref, name: str) -> Callable[[], Any]:
        return lambda: self._wait(ref, name)

    def _wait(self, ref: Ref, name: str) -> Any:  # noqa: ANN401  # whatever the actor's method returns
        """What a call answers; progress is heard meanwhile, and whoever gives no sign of life is ended."""
        while not ray.wait([ref], timeout=_TICK, fetch_local=False)[0]:
            for one in self._processes.values():
                one.listen(self._watcher, self._patience)
        for one in self._processes.values():
            one.listen(self._watcher, self._patience)
        try:
            return fetch(ref)
        except RayError as error:
            self._fail(error, name)

    def _fail(self, error: RayError, name: str) -> NoReturn:
        if isinstance(error, _LOST):
            self._processes[name].lost |= isinstance(error, RayActorError)
            raise WorkerLostError(f"The process of {name} is gone: {error}", name) from error
        if isinstance(error, RayTaskError):
            cause = error.cause
            if isinstance(cause, RayError) and cause is not error:
                self._fail(cause, name)
            if isinstance(cause, BaseException):
                raise cause from error
        raise WorkerError(f"The call of {name} failed: {error}", name) from error

    def _bring_near(self, refs: Sequence[Ref]) -> None:
        """Keep copies on this machine, where objects lie on others."""
        if cluster.machines() > 1:
            ray.wait(list(refs), num_returns=len(refs), fetch_local=True)


def _outbox(call: Call, refs: Sequence[Ref]) -> Outbox:
    """What an actor was asked for: a reference for each port."""
    messages: dict[str, Any] = {}
    beliefs: dict[str, Message] = {}
    for port, ref in zip(call.sends, refs, strict=True):
        family, _, key = port.partition(".")
        if key:
            messages.setdefault(family, {})[key] = RemoteLetter(ref)
        else:
            messages[port] = RemoteLetter(ref)
        beliefs[port] = RemoteLetter(ref, believed=True)
    return Outbox(elbo=None, beliefs=beliefs, **messages)


def _bare(call: Call) -> Call:
    return dataclasses.replace(call, mail={})
