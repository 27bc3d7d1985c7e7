"""The executor: modules run in processes of their own, on this machine or on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NoReturn

import ray
import torch
from ray.exceptions import (
    NodeDiedError,
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
from pgmgraph.executors.base import Call, ModuleState, OwnTerms, ProgressWatcher, Submitted
from pgmgraph.executors.ray import cluster
from pgmgraph.executors.ray.crew import Crew, Terms, check_divisible
from pgmgraph.executors.ray.process import Process
from pgmgraph.executors.ray.references import Ref, Store, Traffic, fetch
from pgmgraph.messages import Message
from pgmgraph.module import Context, Draws, Module, Outbox

_LOST = (RayActorError, NodeDiedError, ObjectLostError, OwnerDiedError, WorkerCrashedError)
_TICK = 0.25


class RayExecutor:
    """Runs every module in a process of its own. See `Executor`.

    The stages of a round and of the next one are asked for at once, and every update begins when the messages that it
    needs are there: modules that need nothing from each other run at the same time. Messages go from process to
    process through Ray's object store, and not through this one.

    Where a process or a machine is lost, its modules are made again elsewhere, from what they had learnt when the last
    stage ended, and what had been under way is done again: the result is that of a run without losses.

    Args:
        address: of a cluster, "auto" for the one that this machine belongs to; None begins one on this machine, which
            ends with `close`.
        resources: what modules ask for, by name: `{"vae": {"gpu": 1, "cpu": 4}}`, and whatever else machines of the
            cluster offer; with shards, each part asks for as much. Modules that ask for nothing go anywhere.
        shards: into how many parts the plates of modules are split, by name, each with a process of its own.
        threads: how many threads torch may use in each process. By default as many as here: sums come out the same
            to the last bit only under the same number.
        patience: for how many seconds a process is waited for to begin, or to give a sign of life.
        restarts: how many times in a row a module is made again before learning ends with an error.
        keep: whether what modules learn and send is kept on this machine as well, where there are others: only then
            nothing is lost with a machine.

    Attributes:
        resources, shards: what was asked for.

    Raises:
        ValueError: fewer than one shard.

    Example:
        >>> with RayExecutor(shards={"gmm": 4}) as executor:  # doctest: +SKIP
        ...     fit(graph, rounds=10, executor=executor)
    """

    ahead = True

    def __init__(
        self,
        address: str | None = None,
        *,
        resources: Mapping[str, Mapping[str, float]] | None = None,
        shards: Mapping[str, int] | None = None,
        threads: int | None = None,
        patience: float = 60.0,
        restarts: int = 3,
        keep: bool = True,
    ) -> None:
        self._address = address
        self.resources = {name: dict(asked) for name, asked in (resources or {}).items()}
        self.shards = dict(shards or {})
        for name, number in self.shards.items():
            if number < 1:
                raise ValueError(f"Expected at least one shard of {name!r}; got {number}.")
        self._threads = threads or torch.get_num_threads()
        self._patience = patience
        self._restarts = restarts
        self._keep = keep
        self._joined = False
        self._crews: dict[str, Crew] = {}
        self._store = Store()
        self._watcher: ProgressWatcher = lambda module, done, total, values: None

    def __enter__(self) -> RayExecutor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def join(self) -> None:
        """Join the cluster, or begin it; `setup` does so too.

        Raises:
            WorkerError: there is none.
        """
        self._joined |= cluster.join(self._address)

    def close(self) -> None:
        """End all processes, and the cluster if it was begun here."""
        self._stop()
        if self._joined:
            cluster.leave()
            self._joined = False

    def setup(
        self,
        modules: Mapping[str, Module],
        contexts: Mapping[str, Context],
        watcher: ProgressWatcher,
        parts: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        """See `Executor.setup`.

        Raises:
            UnknownNameError: resources or shards of a module that is not there.
            WorkerError: there is no such cluster, it has no room, or a module cannot be split so.
        """
        for name in {**self.resources, **self.shards}:
            if name not in modules:
                raise UnknownNameError(
                    f"Expected resources and shards of modules of the graph; got some of {name!r}."
                    f"{suggestion(name, modules)} It has: {', '.join(modules)}.",
                    name,
                )
        for name, shards in self.shards.items():
            if shards > 1:
                check_divisible(name, modules[name], shards, parts.get(name))
        for name, context in contexts.items():
            worker.set_up(modules[name], context)
        self._watcher = watcher
        self.join()
        self._stop()
        self._crews = {
            name: Crew(name, one, self._terms(name), self._store, self._wait, watcher) for name, one in modules.items()
        }
        self._begin()

    def update(self, calls: Sequence[Call]) -> list[Submitted]:
        """See `Executor.update`."""
        self._begin()
        return [self._crews[call.module].update(call, self._keep) for call in calls]

    def rewind(self) -> None:
        """See `Executor.rewind`."""
        behind = [crew for crew in self._crews.values() if crew.behind]
        if not behind:
            raise WorkerError("Messages were lost with a machine. Keep copies of them here: RayExecutor(keep=True).")
        for crew in behind:
            crew.replace()

    def finish(self) -> None:
        """See `Executor.finish`."""
        for crew in self._crews.values():
            crew.bring_home()
        self._stop()

    def save(self, names: Sequence[str]) -> dict[str, ModuleState]:
        """See `Executor.save`."""
        return {name: self._crews[name].state() for name in names}

    def load(self, states: Mapping[str, ModuleState]) -> None:
        """See `Executor.load`."""
        for name, state in states.items():
            self._crews[name].load(state)

    def send(self, calls: Sequence[Call]) -> list[Outbox]:
        """See `Executor.send`."""
        self._begin()
        return [self._crews[call.module].send(call) for call in calls]

    def evaluate(self, calls: Sequence[Call]) -> list[Callable[[], OwnTerms | None]]:
        """See `Executor.evaluate`."""
        self._begin()
        return [self._crews[call.module].evaluate(call) for call in calls]

    def predict(self, call: Call, port: str) -> Message:
        """See `Executor.predict`."""
        self._begin()
        return self._crews[call.module].predict(call, port)

    def sample(self, call: Call, n: int, values: Mapping[str, Tensor | None], temperature: float = 1.0) -> Draws:
        """See `Executor.sample`."""
        self._begin()
        crew = self._crews[call.module]
        asked = crew.processes[0].actor.sample.remote(call, n, dict(values), temperature)
        drawn: list[Draws] = self._wait([asked], crew)
        return drawn[0]

    def _terms(self, name: str) -> Terms:
        return Terms(self.shards.get(name, 1), self.resources.get(name, {}), self._threads, self._restarts)

    def _begin(self) -> None:
        """See that every module has its processes; those that are new begin at the same time.

        Where one of them is lost meanwhile, all that are new begin once more: none is left that was not told all.
        """
        while new := [crew for crew in self._crews.values() if crew.begin()]:
            try:
                self._begin_together(new)
            except WorkerLostError:
                for crew in new:
                    crew.replace()

    def _begin_together(self, new: Sequence[Crew]) -> None:
        waiting = {process.begun: crew for crew in new for process in crew.processes}
        _, late = ray.wait(list(waiting), num_returns=len(waiting), timeout=self._patience)
        if late:
            lacking = [waiting[ref] for ref in late]
            # Those that would fit, but have not begun, are late because of others, or slow.
            lacking = [crew for crew in lacking if not cluster.has_machine_for(crew.terms.resources)] or lacking
            for crew in new:
                crew.stop()
            asked = {crew.name: f"{crew.name} asks for {dict(crew.terms.resources) or 'nothing'}" for crew in lacking}
            raise WorkerError(
                f"Found no room for {', '.join(asked)} within {self._patience:g} seconds: {'; '.join(asked.values())}. "
                f"{cluster.room()} Ask for less, add machines, or allow more time: RayExecutor(patience=...).",
                lacking[0].name,
            )
        for ref, crew in waiting.items():
            self._wait([ref], crew)
        for crew in new:
            crew.begun()

    def _stop(self) -> None:
        for crew in self._crews.values():
            crew.stop()
        self._crews = {}

    @property
    def traffic(self) -> Traffic:
        """What has gone over the wires so far."""
        return self._store.traffic

    @property
    def _processes(self) -> list[Process]:
        return [process for crew in self._crews.values() for process in crew.processes]

    def _wait(self, refs: Sequence[Ref], crew: Crew) -> list[Any]:  # Any: whatever the actor's methods return
        """What calls answer, or what the first to fail has raised: a process may wait for one that has failed.

        Progress is heard meanwhile, and whoever gives no sign of life is ended.
        """
        answers: dict[Ref, Any] = {}
        waiting = list(refs)
        while waiting:
            done, waiting = ray.wait(waiting, timeout=_TICK, fetch_local=False)
            answers |= {ref: self._answer(ref, crew) for ref in done}
            if done:
                continue
            for process in self._processes:
                process.listen(self._watcher, self._patience)
            if any(process.lost for process in crew.processes):
                raise WorkerLostError(f"A process of {crew.name} is gone.", crew.name)
        return [answers[ref] for ref in refs]

    def _answer(self, ref: Ref, crew: Crew) -> Any:  # noqa: ANN401  # as above
        try:
            return fetch(ref)
        except RayError as error:
            self._fail(error, crew)

    def _fail(self, error: RayError, crew: Crew) -> NoReturn:
        if isinstance(error, _LOST):
            for process in crew.processes:
                process.lost = True  # or what it was sent is: either way it is replaced, so many times at most
            raise WorkerLostError(f"The process of {crew.name} is gone: {error}", crew.name) from error
        if isinstance(error, RayTaskError):
            if isinstance(error.cause, RayError) and error.cause is not error:
                self._fail(error.cause, crew)
            # A process fails as well where another one that it averages gradients with is gone.
            if len(crew.processes) > 1 and not all(process.answers(self._patience) for process in crew.processes):
                raise WorkerLostError(f"A process of {crew.name} is gone: {error}", crew.name) from error
            if isinstance(error.cause, BaseException):
                raise error.cause from error
        raise WorkerError(f"The call of {crew.name} failed: {error}", crew.name) from error
