"""What classes look like in vectors: a normal density each, with a Normal-Wishart posterior."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from pgmgraph import Gaussian, PooledGaussianPotential
from pgmgraph_modules.conjugate.moments import Layout
from pgmgraph_modules.conjugate.normal_wishart import NormalWishart


@dataclass(frozen=True)
class Emissions:
    """p(x_n | c_n = k) = N(x_n | mu_k, Lambda_k^-1), in coordinates that the layout centres.

    Attributes:
        layout: of the moments of x.
        prior: of (mu_k, Lambda_k).
        posterior: of the same.
    """

    layout: Layout
    prior: NormalWishart
    posterior: NormalWishart

    def moments(self, x: Gaussian) -> Tensor:
        """1, E[x] and E[x x'] of each row, (columns, N); all zero where x is missing, and so in no sum."""
        moments = self.layout.moments(x)
        if x.missing is not None:
            moments[:, x.missing] = 0.0
        return moments

    def sums(self, x: Gaussian, probs: Tensor) -> Tensor:
        """Products of q(c_n) and the moments of x_n, summed over the rows where x was observed, (K, columns)."""
        return probs.T @ self.moments(x).T

    def updated(self, sums: Tensor) -> Emissions:
        """With the posterior given such sums."""
        return replace(self, posterior=self.prior.updated(*self.layout.sums(sums)))

    def log_likelihoods(self, x: Gaussian) -> Tensor:
        """E[log p(x_n | c_n = k)] under the belief about x_n too, (N, K); zero where x is missing."""
        return (self.layout.coefficients(*self.posterior.natural()) @ self.moments(x)).T

    def message(self, probs: Tensor) -> PooledGaussianPotential:
        """The expected natural parameters, given q(c), (N, K)."""
        shift, precision, log_scale = self.layout.uncentred(*self.posterior.natural())
        return PooledGaussianPotential(probs, shift, precision, log_scale)

    def divergence(self) -> Tensor:
        """KL of the posterior from the prior, ()."""
        return self.posterior.divergence(self.prior).sum()

    @property
    def means(self) -> Tensor:
        """E[mu_k], (K, D)."""
        return self.posterior.mean.flatten(1) + self.layout.centre

    @property
    def covariances(self) -> Tensor:
        """The inverse of E[Lambda_k], (K, D, D), or (K, D) for diagonal covariances."""
        blocks = self.posterior.inverse_scale / self.posterior.nu[:, None, None, None]
        return blocks[:, 0] if self.layout.full else blocks.flatten(1)

    def state(self) -> dict[str, object]:
        """Tensors and plain values by name."""
        return {
            "centre": self.layout.centre,
            "full": self.layout.full,
            "prior": dict(vars(self.prior)),
            "posterior": dict(vars(self.posterior)),
        }

    @classmethod
    def of_state(cls, state: object) -> Emissions:
        """The emissions that have this state."""
        assert isinstance(state, Mapping)
        centre = state["centre"]
        layout = Layout(len(centre), state["full"], centre)
        return cls(layout, NormalWishart(**state["prior"]), NormalWishart(**state["posterior"]))
