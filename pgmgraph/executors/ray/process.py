"""A module's process, and what is known of it by the one who calls it."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError

from pgmgraph.errors import WorkerError
from pgmgraph.executors import worker
from pgmgraph.executors.base import ModuleState, ProgressWatcher
from pgmgraph.executors.ray.actor import ModuleActor, Sign, pack_module
from pgmgraph.executors.ray.references import Ref, RemoteState, fetch
from pgmgraph.module import Module

# A thread beside the one that works answers whether it works. The stubs of ray know nothing of it.
_REMOTE: Any = ray.remote(**{"concurrency_groups": {"watch": 1}})  # type: ignore[call-overload]


class Process:
    """A module's process, and what is known of it here.

    Attributes:
        module: the module as it is here; it learns elsewhere.
        actor: its process; None while it has none.
        asked, done: the numbers of the last update that was asked for, and of the last that was heard to be done.
        lost: whether its process is known to be gone.
        loaded: whether it was put to a state from outside.
    """

    def __init__(self, name: str, module: Module, resources: Mapping[str, float], threads: int, restarts: int) -> None:
        self.name, self.module, self.resources = name, module, resources
        self._threads, self._restarts = threads, restarts
        self._packed: Ref = ray.put(pack_module(module))
        self.actor: Any = None  # Any: ray makes handles at run time
        self.where: Ref = None
        self.asked = self.done = 0
        self.lost = self.loaded = False
        self._known: ModuleState | None = None
        self._tries = 0
        self._sign: Ref = None
        self._asked_at = time.monotonic()
        self._warned = False

    def begin(self) -> bool:
        """Begin a process if there is none; whether one was begun."""
        if self.actor is not None:
            return False
        asked = dict(self.resources)
        gpus, cpus = asked.pop("gpu", 0), asked.pop("cpu", 0)
        actor = _REMOTE(ModuleActor).options(
            num_cpus=cpus,
            num_gpus=gpus,
            resources=asked,
            max_restarts=0,
            max_task_retries=0,
            max_concurrency=1,
        )
        self.actor = actor.remote(self._packed, self.name, self._threads, gpus > 0)
        self.where = self.actor.where.remote()
        return True

    def began(self) -> None:
        """A process has begun: bring it to what the module had learnt."""
        if self._known is not None:
            self._load(self._known)

    def stop(self) -> None:
        """End the process."""
        if self.actor is not None:
            ray.kill(self.actor)
        self.actor, self._sign = None, None

    def replace(self) -> None:
        """End the process; another one begins where this one was when its last update was done."""
        self._tries += 1
        if self._tries > self._restarts:
            raise WorkerError(
                f"The process of {self.name} was lost {self._tries} times in a row. Look at what it needs (memory "
                "first), or allow more: RayExecutor(restarts=...).",
                self.name,
            )
        self.stop()
        self.lost, self.asked = False, self.done

    def confirm(self, number: int, updates: int, state: Ref) -> None:
        """An update was heard to be done."""
        self.done, self._tries = number, 0
        if state is not None:
            self._known = RemoteState(state, updates)

    def state(self) -> ModuleState:
        """What the module has learnt when its last update was done."""
        return self._known or worker.save(self.module)

    def load(self, state: ModuleState) -> None:
        """Put the module to a state."""
        self._known, self.loaded = state, True
        if self.actor is not None:
            self._load(state)

    def _load(self, state: ModuleState) -> None:
        values = state.ref if isinstance(state, RemoteState) else state.values
        self.actor.load.remote(values, state.updates, self.asked)

    def listen(self, watcher: ProgressWatcher, patience: float) -> None:
        """Hear how far the module is; a process that gives no sign of life is ended."""
        if self.actor is None:
            return
        if self._sign is None:
            self._sign, self._asked_at = self.actor.sign.options(concurrency_group="watch").remote(), time.monotonic()
            return
        try:
            sign: Sign = fetch(self._sign, timeout=0)
        except GetTimeoutError:
            if time.monotonic() - self._asked_at > patience and not self.lost:
                warnings.warn(
                    f"{self.name} has given no sign of life for {patience:g} seconds; it begins again.", stacklevel=2
                )
                self.lost = True
                ray.kill(self.actor)
            return
        except RayActorError:
            self.lost, self._sign = True, None
            return
        self._sign = None
        for done, total, values in sign.reports:
            watcher(self.name, done, total, values)
