"""The posterior of a mixture's parameters, and the steps of variational Bayes on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from pgmgraph_modules.conjugate import dirichlet
from pgmgraph_modules.conjugate.moments import Layout
from pgmgraph_modules.conjugate.normal_wishart import Normals, NormalWishart


@dataclass(frozen=True)
class Mixture:
    """Weights and components, each for certain: what a draw of a posterior gives.

    Attributes:
        log_weights: (K,).
        components: the K normal densities, in centred coordinates.
    """

    log_weights: Tensor
    components: Normals

    def coefficients(self, layout: Layout) -> Tensor:
        """A matrix C with C @ moments = log pi_k + E[log N(z_n | mu_k, Lambda_k)], (K, columns)."""
        coefficients = layout.coefficients(*self.components.natural())
        coefficients[:, 0] += self.log_weights
        return coefficients


@dataclass(frozen=True)
class Posterior:
    """q(weights) = Dirichlet(concentration), q(mu_k, Lambda_k) Normal-Wishart, in centred coordinates.

    The prior is of the same form.
    """

    concentration: Tensor
    components: NormalWishart

    def expected_log_weights(self) -> Tensor:
        """E[log pi_k], (K,)."""
        return dirichlet.expected_log(self.concentration)

    def state(self) -> dict[str, Tensor]:
        """The tensors by name."""
        return {"concentration": self.concentration, **vars(self.components)}

    @classmethod
    def of_state(cls, state: object) -> Posterior:
        """The posterior that has this state."""
        assert isinstance(state, Mapping)
        parts = dict(state)
        return cls(parts.pop("concentration"), NormalWishart(**parts))

    def updated(self, statistics: Tensor, layout: Layout) -> Posterior:
        """The posterior given responsibilities' products with the moments, (K, columns)."""
        counts, first, second = layout.sums(statistics)
        return Posterior(self.concentration + counts, self.components.updated(counts, first, second))

    def fitted_to(self, posterior: Posterior) -> Posterior:
        """This prior, with that of the components fitted to their posterior. See `NormalWishart.fitted_to`."""
        return Posterior(self.concentration, self.components.fitted_to(posterior.components))

    def blended(self, other: Posterior, share: float) -> Posterior:
        """The posterior whose natural parameters are 1 - share of these and `share` of the other's."""
        concentration = torch.lerp(self.concentration, other.concentration, share)
        return Posterior(concentration, self.components.blended(other.components, share))

    def log_likelihoods(self, moments: Tensor, layout: Layout) -> Tensor:
        """E[log N(z_n | mu_k, Lambda_k)] under the belief about z_n too, (K, n)."""
        return layout.coefficients(*self.components.natural()) @ moments

    def responsibilities(self, moments: Tensor, layout: Layout) -> Tensor:
        """q(c_n = k) that is best for these parameters, (K, n)."""
        joint = self.log_likelihoods(moments, layout)
        return torch.softmax(joint.add_(self.expected_log_weights()[:, None]), 0)

    def expected(self, moments: Tensor, layout: Layout) -> tuple[Tensor, Tensor]:
        """The E step: responsibilities' products with the moments, (K, columns), and the evidence that they leave, ().

        The bound is this evidence, summed over the plate, less the divergence from the prior.
        """
        joint = self.log_likelihoods(moments, layout).add_(self.expected_log_weights()[:, None])
        evidence = torch.logsumexp(joint, 0)
        return joint.sub_(evidence).exp_() @ moments.T, evidence.sum()

    def part(self, components: int) -> Posterior:
        """The first few components."""
        parts = {name: tensor[:components] for name, tensor in vars(self.components).items()}
        return Posterior(self.concentration[:components], NormalWishart(**parts))

    def draw(self) -> Mixture:
        """A draw of the weights and of the components."""
        return Mixture(dirichlet.drawn_log(self.concentration), self.components.draw())

    def divergence_of_weights(self, prior: Posterior) -> Tensor:
        """KL of the Dirichlet posterior from its prior, ()."""
        return dirichlet.divergence(self.concentration, prior.concentration)

    def divergence_of_components(self, prior: Posterior) -> Tensor:
        """KL of the Normal-Wishart posteriors from their prior, summed over components, ()."""
        return self.components.divergence(prior.components).sum()

    def divergence(self, prior: Posterior) -> Tensor:
        """KL of the whole posterior from its prior, ()."""
        return self.divergence_of_weights(prior) + self.divergence_of_components(prior)


def step(posterior: Posterior, prior: Posterior, moments: Tensor, layout: Layout) -> tuple[Posterior, float]:
    """One iteration of variational Bayes: responsibilities, then parameters.

    Returns:
        The new posterior, and the bound before the step (at the responsibilities that are best for it).
    """
    sums, evidence = posterior.expected(moments, layout)
    return prior.updated(sums, layout), float(evidence - posterior.divergence(prior))
