"""Tables of probabilities, a row for each component: of words, and of the classes of another module."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from pgmgraph import Categorical, CategoricalPotential, Point
from pgmgraph_modules.conjugate import dirichlet
from pgmgraph_modules.multimodal.belief import JointBelief
from pgmgraph_modules.multimodal.sparse import SparseCounts


@dataclass(frozen=True)
class Table:
    """q(T_c) = Dirichlet(concentration_c) for each component c.

    Attributes:
        concentration: (C, K).
        prior: the concentration of the symmetric prior, for each value.
    """

    concentration: Tensor
    prior: float

    def expected_log(self) -> Tensor:
        """E[log T], (C, K)."""
        return dirichlet.expected_log(self.concentration)

    def mean(self) -> Tensor:
        """E[T], (C, K)."""
        return self.concentration / self.concentration.sum(1, keepdim=True)

    def updated(self, sums: Tensor) -> Self:
        """With the posterior given the expected number of each value, (C, K)."""
        return replace(self, concentration=self.prior + sums)

    def divergence(self) -> Tensor:
        """KL of the posterior from the prior, ()."""
        return dirichlet.divergence(self.concentration, torch.full_like(self.concentration, self.prior)).sum()

    def state(self) -> dict[str, object]:
        """Tensors and plain values by name."""
        return dict(vars(self))

    @classmethod
    def of_state(cls, state: Mapping[str, object]) -> Self:
        """The table that has this state."""
        return cls(**state)  # type: ignore[arg-type]  # what `state` gave


@dataclass(frozen=True)
class Words(Table):
    """Counts of words: log p(w_n | c) = sum_v w_nv log T_cv, with no multinomial coefficient.

    Attributes:
        length: how many words an item has on average.
    """

    length: float

    def log_likelihoods(self, w: Point) -> Tensor:
        """E[log p(w_n | c)], (n, C); zero where w is missing."""
        return _observed(w) @ self.expected_log().T

    def sums(self, w: Point, probs: Tensor) -> Tensor:
        """The expected number of each component's words, (C, V)."""
        if isinstance(w, SparseCounts):
            return (w.by_word @ probs).T
        return probs.T @ _observed(w)


@dataclass(frozen=True)
class Classes(Table):
    """The classes of a module below, which says log lambda_n(k) of them: p(k_n | c_n) = T_c."""

    def log_likelihoods(self, x: CategoricalPotential) -> Tensor:
        """Log sum_k exp(E log T_ck + log lambda_n(k)), (n, C); zero where x is missing."""
        return torch.logsumexp(self._joint(x), 2).masked_fill(x.missing_rows()[:, None], 0.0)

    def sums(self, x: CategoricalPotential, probs: Tensor) -> Tensor:
        """The expected number of pairs (c, k), (C, K)."""
        present = probs.masked_fill(x.missing_rows()[:, None], 0.0)
        return torch.einsum("nc,nck->ck", present, torch.softmax(self._joint(x), 2))

    def belief(self, x: CategoricalPotential, probs: Tensor) -> JointBelief:
        """q(k), given q(c), (n, C). Missing rows are predicted, and stay flagged."""
        missing, joint = x.missing_rows(), self._joint(x)
        found = torch.einsum("nc,nck->nk", probs, torch.softmax(joint, 2))
        counted = x.expectation(Categorical(found)).masked_fill(missing, 0.0)
        evidence = torch.logsumexp(joint, 2).masked_fill(missing[:, None], 0.0)
        found = torch.where(missing[:, None], probs @ self.mean(), found)
        return JointBelief(found, evidence, counted, missing=x.missing)

    def _joint(self, x: CategoricalPotential) -> Tensor:
        return self.expected_log() + x.log_weights[:, None, :]


def _observed(w: Point) -> Tensor:
    return w.value if w.missing is None else w.value.masked_fill(w.missing[:, None], 0.0)
