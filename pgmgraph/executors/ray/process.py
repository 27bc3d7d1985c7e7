"""A process that a module runs in, or a part of its plate, as it is seen by the one who calls it."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError

from pgmgraph.executors.base import ProgressWatcher
from pgmgraph.executors.ray.actor import ModuleActor, Report
from pgmgraph.executors.ray.references import Ref, fetch

# A thread beside the one that works answers whether it works. The stubs of ray know nothing of it.
_REMOTE: Any = ray.remote(**{"concurrency_groups": {"watch": 1}})  # type: ignore[call-overload]


class Process:
    """An actor, and whether it is alive.

    Args:
        name: of the module, for whoever reads of it.
        module: where the module lies, packed.
        resources: what it asks for.
        threads: how many threads it may use.

    Attributes:
        actor: takes calls.
        begun: where it says that it has begun.
        lost: whether it is known to be gone.
    """

    def __init__(self, name: str, module: Ref, resources: Mapping[str, float], threads: int) -> None:
        asked = dict(resources)
        gpus, cpus = asked.pop("gpu", 0), asked.pop("cpu", 0)
        actor = _REMOTE(ModuleActor).options(
            # Whoever calls knows what was learnt and what is to be done again; Ray does not.
            max_restarts=0,
            max_task_retries=0,
            num_cpus=cpus,
            num_gpus=gpus,
            resources=asked,
        )
        self.name = name
        self.actor = actor.remote(module, name, threads, gpus > 0)
        self.begun: Ref = self.actor.where.remote()
        self.lost = False
        self._sign: Ref = None
        self._asked_at = 0.0

    def stop(self) -> None:
        """End it."""
        ray.kill(self.actor)

    def answers(self, patience: float) -> bool:
        """Whether it gives a sign of life, when it is asked for one, within so many seconds."""
        try:
            fetch(self.actor.sign.options(concurrency_group="watch").remote(), timeout=patience)
        except (RayActorError, GetTimeoutError):
            self.lost = True
        return not self.lost

    def listen(self, watcher: ProgressWatcher, patience: float) -> None:
        """Hear how far the module is; a process that gives no sign of life for so many seconds is ended."""
        if self.lost:
            return
        if self._sign is None:
            self._sign, self._asked_at = self.actor.sign.options(concurrency_group="watch").remote(), time.monotonic()
            return
        try:
            reports: list[Report] = fetch(self._sign, timeout=0)
        except GetTimeoutError:
            if time.monotonic() - self._asked_at > patience:
                warnings.warn(
                    f"{self.name} has given no sign of life for {patience:g} seconds; it begins again.", stacklevel=2
                )
                self.lost = True
                self.stop()
            return
        except RayActorError:
            self.lost = True
            return
        self._sign = None
        for done, total, values in reports:
            watcher(self.name, done, total, values)
