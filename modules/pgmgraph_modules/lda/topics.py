"""The topics: for each modality, a Dirichlet belief about each topic's distribution over its words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

_FIRMNESS = 100.0  # of the random factors, a tenth more or less: wilder ones end in poorer optima


@dataclass(frozen=True)
class Topics:
    """q(phi) = product of Dirichlet(phi^m_k | concentration^m_k) over modalities m and topics k.

    Attributes:
        concentration: (K, V_m) by modality, in wiring order.
        prior: the concentration of the symmetric prior, for each word.
    """

    concentration: Mapping[str, Tensor]
    prior: float

    @staticmethod
    def at_random(sums: Mapping[str, Tensor], topics: int, prior: float) -> Topics:
        """Every topic expects its share of each word, (V_m,) by modality, give or take a random factor."""
        around_one = torch.distributions.Gamma(_FIRMNESS, _FIRMNESS)
        noise = {key: around_one.sample(torch.Size((topics, len(total)))).to(total) for key, total in sums.items()}
        return Topics({key: prior + noise[key] * total / topics for key, total in sums.items()}, prior)

    @property
    def columns(self) -> dict[str, slice]:
        """Where each modality's words stand among the words of all modalities, one after another."""
        places, begin = {}, 0
        for key, concentration in self.concentration.items():
            places[key] = slice(begin, begin + concentration.shape[1])
            begin = places[key].stop
        return places

    def expected_log(self) -> Tensor:
        """E[log phi], (K, V) over the words of all modalities."""
        return torch.cat(
            [torch.digamma(one) - torch.digamma(one.sum(1, keepdim=True)) for one in self.concentration.values()], 1
        )

    def mean(self, key: str) -> Tensor:
        """E[phi^m], (K, V_m)."""
        concentration = self.concentration[key]
        return concentration / concentration.sum(1, keepdim=True)

    def divergence(self) -> Tensor:
        """KL(q(phi) || p(phi)), ()."""
        parts = [dirichlet_divergence(one, self.prior).sum() for one in self.concentration.values()]
        return torch.stack(parts).sum()

    def updated(self, sums: Tensor, share: float = 1.0) -> Topics:
        """The belief given the expected numbers (K, V) of each topic's words, or a share of the way there.

        The share is of the natural parameters: a step along the natural gradient (Hoffman, Blei and Bach, 2010).
        """
        columns = self.columns
        return Topics(
            {
                key: (1 - share) * before + share * (self.prior + sums[:, columns[key]])
                for key, before in self.concentration.items()
            },
            self.prior,
        )


def dirichlet_divergence(concentration: Tensor, prior: float) -> Tensor:
    """KL(Dirichlet(concentration) || Dirichlet(prior, ..., prior)) over the last dimension."""
    k = concentration.shape[-1]
    total = concentration.sum(-1)
    alike = concentration.new_tensor(prior)
    expected_log = torch.digamma(concentration) - torch.digamma(total).unsqueeze(-1)
    normalisers = torch.lgamma(total) - torch.lgamma(concentration).sum(-1)
    of_prior = torch.lgamma(k * alike) - k * torch.lgamma(alike)
    return normalisers - of_prior + ((concentration - prior) * expected_log).sum(-1)
