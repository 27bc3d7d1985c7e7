"""What a stream remembers of earlier chunks: the sums that were learnt from, or some of the items."""

from __future__ import annotations

from collections.abc import Mapping

from pgmgraph.errors import ScheduleError
from pgmgraph.executors import Past, Statistics
from pgmgraph.executors.past import added, scaled
from pgmgraph.messages import Point
from pgmgraph.streams.reservoir import Reservoir


class Memory:
    """The past of a stream, in one of two forms.

    Without a reservoir each module's sums are kept: sums = forgetting * sums + those of the chunk. With one, the old
    items that it holds are shown again, and in statistics stand for all that have come: each counts `items / held`
    times, where items = forgetting * items + those of the chunk.

    Args:
        forgetting: what the past counts for after each chunk, above 0 and at most 1.
        keep: how many old items are kept; 0 keeps sums.
        seed: what the draws of the reservoir follow from.

    Attributes:
        items: how many items the past counts for.
        reservoir: the old items; empty with keep=0.
    """

    def __init__(self, forgetting: float, keep: int, seed: int) -> None:
        self.items = 0.0
        self.reservoir = Reservoir(keep, seed)
        self._forgetting = forgetting
        self._sums: dict[str, Statistics] = {}

    def past(self, modules: Mapping[str, object]) -> dict[str, Past]:
        """What each module learns from besides the next chunk."""
        held = len(self.reservoir)
        weight = self._forgetting * self.items / held if held else 0.0
        return {name: Past(self._forgotten(name), held, weight) for name in modules}

    def add(self, items: Mapping[str, Point], totals: Mapping[str, Statistics]) -> None:
        """Remember a chunk that was learnt: its items, and the statistics of them by module."""
        self.items = self._forgetting * self.items + len(next(iter(items.values())))
        if self.reservoir.size:
            self.reservoir.offer(items)
            return
        past = {name: scaled(before, self._forgetting) for name, before in self._sums.items()}
        self._sums = past | {name: added(total, past.get(name)) for name, total in totals.items()}

    def _forgotten(self, name: str) -> Statistics | None:
        """The sums of a module, as they count beside the next chunk."""
        before = self._sums.get(name)
        return None if before is None else scaled(before, self._forgetting)

    def state(self) -> dict[str, object]:
        """All of it, as tensors and plain values."""
        sums = {name: total if not isinstance(total, Mapping) else dict(total) for name, total in self._sums.items()}
        return {"items": self.items, "sums": sums, "reservoir": self.reservoir.state()}

    def restore(self, state: Mapping[str, object]) -> None:
        """Take a state back."""
        items, sums = state["items"], state["sums"]
        assert isinstance(items, float)
        assert isinstance(sums, dict)
        held = self.reservoir.size
        if (held and sums) or (not held and not sums and items):
            raise ScheduleError(
                f"Expected keep={'0' if sums else 'a number'}, as this graph has learnt from a stream before and "
                f"remembers {'sums' if sums else 'items'}; got keep={held}."
            )
        self.items, self._sums = items, dict(sums)
        self.reservoir.restore(state["reservoir"])
