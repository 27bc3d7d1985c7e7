"""The posterior of a mixture's parameters, and the steps of variational Bayes on it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pgmgraph_modules.gmm.moments import Layout
from pgmgraph_modules.gmm.normal_wishart import NormalWishart


@dataclass(frozen=True)
class Posterior:
    """q(weights) = Dirichlet(concentration), q(mu_k, Lambda_k) Normal-Wishart, in centred coordinates.

    The prior is of the same form.
    """

    concentration: Tensor
    components: NormalWishart

    def expected_log_weights(self) -> Tensor:
        """E[log pi_k], (K,)."""
        return torch.digamma(self.concentration) - torch.digamma(self.concentration.sum())

    def updated(self, statistics: Tensor, layout: Layout) -> Posterior:
        """The posterior given responsibilities' products with the moments, (K, columns)."""
        counts, first, second = layout.sums(statistics)
        return Posterior(self.concentration + counts, self.components.updated(counts, first, second))

    def log_likelihoods(self, moments: Tensor, layout: Layout) -> Tensor:
        """E[log N(z_n | mu_k, Lambda_k)] under the belief about z_n too, (K, n)."""
        return layout.coefficients(*self.components.natural()) @ moments

    def divergence_of_weights(self, prior: Posterior) -> Tensor:
        """KL of the Dirichlet posterior from its prior, ()."""
        total, prior_total = self.concentration.sum(), prior.concentration.sum()
        return (
            torch.lgamma(total)
            - torch.lgamma(self.concentration).sum()
            - torch.lgamma(prior_total)
            + torch.lgamma(prior.concentration).sum()
            + ((self.concentration - prior.concentration) * self.expected_log_weights()).sum()
        )

    def divergence_of_components(self, prior: Posterior) -> Tensor:
        """KL of the Normal-Wishart posteriors from their prior, summed over components, ()."""
        return self.components.divergence(prior.components).sum()


def step(posterior: Posterior, prior: Posterior, moments: Tensor, layout: Layout) -> tuple[Posterior, float]:
    """One iteration of variational Bayes: responsibilities, then parameters.

    Returns:
        The new posterior, and the bound before the step (at the responsibilities that are best for it).
    """
    joint = posterior.log_likelihoods(moments, layout).add_(posterior.expected_log_weights()[:, None])
    evidence = torch.logsumexp(joint, 0)
    divergence = posterior.divergence_of_weights(prior) + posterior.divergence_of_components(prior)
    responsibilities = joint.sub_(evidence).exp_()
    return prior.updated(responsibilities @ moments.T, layout), float(evidence.sum() - divergence)
