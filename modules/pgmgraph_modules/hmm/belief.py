"""What a hidden Markov model believes about its states: their marginals, and what F needs of their pairs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
from torch import Tensor

from pgmgraph import Categorical


@dataclass(frozen=True, eq=False)
class ChainBelief(Categorical):
    """q(s) of Markov chains, by the marginals that it shares with every `Categorical`.

    Attributes:
        coupling: (N,), E_q[log p(s_n | s_n-1) - log q(s_n | s_n-1)] when it was sent.
        evidence: (N, K), the log-likelihoods that it followed from; zero where nothing was observed.
        begins: (N,) bool, the first rows of sequences.
    """

    per_item: ClassVar[tuple[str, ...]] = ("probs", "coupling", "evidence", "begins")

    coupling: Tensor
    evidence: Tensor
    begins: Tensor

    def blank(self, n: int) -> Self:
        """See `Message.blank`; every row is a sequence by itself, of which nothing is known."""
        k = self.probs.shape[1]
        return replace(
            self,
            probs=self.probs.new_full((n, k), 1 / k),
            coupling=self.coupling.new_zeros(n),
            evidence=self.evidence.new_zeros(n, k),
            begins=self.begins.new_ones(n),
            missing=torch.ones(n, dtype=torch.bool, device=self.probs.device),
        )

    def lengths(self) -> Tensor:
        """How many rows each sequence has, (S,) int64."""
        begins = self.begins.nonzero().flatten()
        ends = torch.cat([begins[1:], begins.new_tensor([len(self)])])
        return ends - begins
