"""What a mixture believes about a class of a module below, and what F needs of how it hangs together with its own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
from torch import Tensor

from pgmgraph import Categorical


@dataclass(frozen=True, eq=False)
class JointBelief(Categorical):
    """q(k_n), the marginal of q(c_n) q(k_n | c_n), where q(k | c) ~ p(k | c) lambda_n(k).

    Attributes:
        evidence: (N, C), log sum_k exp(E log p(k | c) + log lambda_n(k)) when it was sent; zero in missing rows.
        counted: (N,), E_q[log lambda_n(k_n)], which is the child's to count.
    """

    per_item: ClassVar[tuple[str, ...]] = ("probs", "evidence", "counted")

    evidence: Tensor
    counted: Tensor

    def blank(self, n: int) -> Self:
        """See `Message.blank`."""
        classes = self.probs.shape[1]
        return replace(
            self,
            probs=self.probs.new_full((n, classes), 1 / classes),
            evidence=self.evidence.new_zeros(n, self.evidence.shape[1]),
            counted=self.counted.new_zeros(n),
            missing=torch.ones(n, dtype=torch.bool, device=self.probs.device),
        )
