"""Dirichlet densities by their concentrations: expectations, divergences and draws. Beal (2003), appendix A."""

from __future__ import annotations

import torch
from torch import Tensor


def expected_log(concentration: Tensor) -> Tensor:
    """E[log w] of each Dirichlet, (..., K) as their concentrations are; its exponentials sum to less than 1."""
    return torch.digamma(concentration) - torch.digamma(concentration.sum(-1, keepdim=True))


def divergence(concentration: Tensor, prior: Tensor) -> Tensor:
    """KL of each Dirichlet from its prior, (..., K) to (...)."""
    total, prior_total = concentration.sum(-1), prior.sum(-1)
    divergences: Tensor = (
        torch.lgamma(total)
        - torch.lgamma(concentration).sum(-1)
        - torch.lgamma(prior_total)
        + torch.lgamma(prior).sum(-1)
        + ((concentration - prior) * expected_log(concentration)).sum(-1)
    )
    return divergences


def drawn_log(concentration: Tensor) -> Tensor:
    """The logarithm of a draw from each Dirichlet, (..., K) as their concentrations are."""
    # A draw of Gamma(a) is one of Gamma(a + 1) times U^(1/a): it underflows where a is small, its logarithm does not.
    above = torch.distributions.Gamma(concentration + 1, torch.ones_like(concentration), validate_args=False).sample()
    return torch.log_softmax(above.log() - torch.empty_like(above).exponential_() / concentration, -1)
