"""One process, one call after another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from torch import Tensor

from pgmgraph.errors import OutputError
from pgmgraph.executors import worker
from pgmgraph.executors.base import Call, ModuleState, OwnTerms, ProgressWatcher, Submitted
from pgmgraph.executors.spill import Spill
from pgmgraph.messages import Message
from pgmgraph.module import Context, Draws, Module, Outbox

T = TypeVar("T")


class SerialExecutor:
    """Runs every module in this process, one call after another. See `Executor`.

    Args:
        spill_above: how many bytes a message may have to stay in memory; None for any. A larger one lies in a file
            without a name, mapped into memory, which goes when nobody holds the message any more.
        spill_folder: the folder on whose disk these files lie; that for temporary files, which TMPDIR names, where it
            is None.

    Raises:
        OutputError: the folder is none. While learning: its disk has no room.
    """

    ahead = False

    def __init__(self, *, spill_above: int | None = None, spill_folder: str | Path | None = None) -> None:
        folder = None if spill_folder is None else Path(spill_folder)
        if folder is not None and not folder.is_dir():
            raise OutputError(f"Expected a folder to spill messages to; got {folder}. Make it first.", folder)
        self._spill = None if spill_above is None else Spill(spill_above, folder)
        self._modules: Mapping[str, Module] = {}
        self._watcher: ProgressWatcher = lambda module, done, total, values: None

    def setup(
        self,
        modules: Mapping[str, Module],
        contexts: Mapping[str, Context],
        watcher: ProgressWatcher,
        parts: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        """See `Executor.setup`; nothing is split here."""
        self._modules, self._watcher = modules, watcher
        for name, context in contexts.items():
            worker.set_up(modules[name], context)

    def update(self, calls: Sequence[Call]) -> list[Submitted]:
        """See `Executor.update`."""
        # Told anew each time: whoever infers or generates while learning goes on sets up the same modules.
        for call in calls:
            self._modules[call.module].context.progress = partial(self._watcher, call.module)
        done = [worker.update(self._modules[call.module], call, self._spill) for call in calls]
        return [Submitted(updated.outbox, _known(updated)) for updated in done]

    def rewind(self) -> None:
        """See `Executor.rewind`; nothing runs ahead here."""

    def finish(self) -> None:
        """See `Executor.finish`; modules have never left."""

    def save(self, names: Sequence[str]) -> dict[str, ModuleState]:
        """See `Executor.save`."""
        return {name: worker.save(self._modules[name]) for name in names}

    def load(self, states: Mapping[str, ModuleState]) -> None:
        """See `Executor.load`."""
        for name, state in states.items():
            worker.load(self._modules[name], state)

    def send(self, calls: Sequence[Call]) -> list[Outbox]:
        """See `Executor.send`."""
        return [worker.send(self._modules[call.module], call, self._spill) for call in calls]

    def evaluate(self, calls: Sequence[Call]) -> list[Callable[[], OwnTerms | None]]:
        """See `Executor.evaluate`."""
        return [_known(worker.evaluate(self._modules[call.module], call, self._spill)) for call in calls]

    def predict(self, call: Call, port: str) -> Message:
        """See `Executor.predict`."""
        return worker.predict(self._modules[call.module], call, port, self._spill)

    def sample(self, call: Call, n: int, values: Mapping[str, Tensor | None], temperature: float = 1.0) -> Draws:
        """See `Executor.sample`."""
        return worker.sample(self._modules[call.module], call, n, values, temperature)


def _known(value: T) -> Callable[[], T]:
    return lambda: value
