"""What a stream remembers: how sums age."""

from __future__ import annotations

import torch

from pgmgraph import Point
from pgmgraph.streams.memory import Memory


def test_sums_of_a_module_age_with_every_chunk_even_where_it_did_not_learn() -> None:
    memory = Memory(forgetting=0.5, keep=0, seed=0)
    chunk = {"seen": Point(torch.zeros(10, 1))}
    memory.add(chunk, {"both": torch.tensor(8.0), "first": {"sums": torch.tensor([8.0])}})
    memory.add(chunk, {"both": torch.tensor(1.0)})
    past = memory.past({"both": None, "first": None, "none": None})
    assert past["both"].sums == 0.5 * (1 + 0.5 * 8)
    assert past["first"].sums == {"sums": 0.5 * 0.5 * 8}
    assert past["none"].sums is None
    assert memory.items == 10 + 0.5 * 10
