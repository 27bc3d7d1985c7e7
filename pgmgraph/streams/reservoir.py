"""A reservoir: a fair sample of all items that have come, of bounded size."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from pgmgraph.messages import Point
from pgmgraph.randomness import seed_of
from pgmgraph.streams.pieces import joined, of_state, state_of


class Reservoir:
    """Holds `size` of the items that were offered, each with the same probability: Vitter's algorithm R (1985).

    Item t, from 0, is kept while there is room; then it takes the place of the one at a place drawn from 0 to t, if
    there is such a place.

    Args:
        size: how many items it holds at most.
        seed: what its draws follow from.

    Attributes:
        rows: the items by the name of the observation; empty at first.
        offered: how many items have come.
    """

    def __init__(self, size: int, seed: int) -> None:
        self.size = size
        self.rows: dict[str, Point] = {}
        self.offered = 0
        self._seed = seed

    def __len__(self) -> int:
        return len(next(iter(self.rows.values()))) if self.rows else 0

    def offer(self, items: Mapping[str, Point]) -> None:
        """Let the next items come, in their order; rows of one number belong together."""
        n = len(next(iter(items.values())))
        held = len(self)
        generator = torch.Generator().manual_seed(seed_of(self._seed, "reservoir", "offer", self.offered))
        # In float64 a uniform draw times t + 1 is fair to one part in 2^53 / t.
        draws = torch.rand(n, dtype=torch.float64, generator=generator)
        numbers = torch.arange(self.offered, self.offered + n)
        places = torch.where(numbers < self.size, numbers, (draws * (numbers + 1)).long())
        taken = list(range(held)) + [-1] * (min(self.size, held + n) - held)
        for row in (places < self.size).nonzero().flatten().tolist():
            taken[int(places[row])] = held + row
        index = torch.tensor(taken)
        self.rows = {
            name: (joined([self.rows[name], one]) if held else one)[index.to(one.device)] for name, one in items.items()
        }
        self.offered += n

    def state(self) -> dict[str, object]:
        """What it holds, as tensors and plain values."""
        return {"rows": state_of(self.rows), "offered": self.offered}

    def restore(self, state: object) -> None:
        """Take a state back."""
        assert isinstance(state, Mapping)
        self.rows, self.offered = of_state(state["rows"]), state["offered"]
