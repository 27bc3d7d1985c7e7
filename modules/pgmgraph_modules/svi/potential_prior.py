"""Potentials as priors of Pyro's sites."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.kl import register_kl

from pgmgraph import Gaussian, GaussianPotential, MixturePotential


class PotentialPrior(TorchDistribution):
    """A potential in the place of a prior: its `log_prob` is the potential, not normalised.

    The KL of a Gaussian belief from a Gaussian potential, -H[q] - E_q[potential], is analytic, needs no
    factorisation, and is registered with torch, so that `TraceMeanField_ELBO` uses it. From a mixture
    it is taken by samples.

    Args:
        potential: of n items in D dimensions.
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    support = constraints.real_vector

    def __init__(self, potential: GaussianPotential | MixturePotential) -> None:
        self.potential = potential
        super().__init__(torch.Size([len(potential)]), torch.Size(potential.event_shape), validate_args=False)

    def expand(self, batch_shape: Sequence[int], _instance: None = None) -> TorchDistribution:
        """Itself, where the shape is its own: the wrapper that a plate would put around it hides the analytic KL."""
        if tuple(batch_shape) == tuple(self.batch_shape):
            return self
        expanded: TorchDistribution = super().expand(batch_shape, _instance)
        return expanded

    def log_prob(self, value: Tensor) -> Tensor:
        """The potential at `value`, (..., n, D) to (..., n)."""
        return self.potential.value(value)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """A draw from the distribution that is proportional to the potential, which must be proper."""
        return self.potential.sample(tuple(sample_shape))


def _kl_independent(q: torch.distributions.Independent[Distribution], prior: PotentialPrior) -> Tensor:
    if not isinstance(q.base_dist, torch.distributions.Normal):
        raise NotImplementedError  # torch's way to say that there is no closed form: samples are taken instead
    variance = q.base_dist.scale.square()
    entropy = q.base_dist.scale.log().sum(-1) + 0.5 * variance.shape[-1] * (1 + math.log(2 * math.pi))
    return -entropy - _gaussian(prior).expectation(Gaussian(q.base_dist.loc, variance))


def _kl_multivariate(q: torch.distributions.MultivariateNormal, prior: PotentialPrior) -> Tensor:
    entropy: Tensor = q.entropy()
    return -entropy - _gaussian(prior).expectation(Gaussian(q.mean, q.covariance_matrix))


def _gaussian(prior: PotentialPrior) -> GaussianPotential:
    if not isinstance(prior.potential, GaussianPotential):
        raise NotImplementedError  # as above
    return prior.potential


register_kl(torch.distributions.Independent, PotentialPrior)(_kl_independent)
register_kl(torch.distributions.MultivariateNormal, PotentialPrior)(_kl_multivariate)
