"""The sums that a posterior follows from, and what splitting and merging components makes of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pgmgraph_modules.gmm.posterior import Posterior

EMPTY = 0.5  # a component that one item has to itself expects a little less than one


@dataclass(frozen=True)
class Sums:
    """The components' sums of r, r z and r z z', in centred coordinates.

    Attributes:
        counts: (K,).
        first: (K, B, d).
        second: (K, B, d, d).
    """

    counts: Tensor
    first: Tensor
    second: Tensor

    def posterior(self, prior: Posterior) -> Posterior:
        """The posterior given these sums."""
        return Posterior(
            prior.concentration + self.counts, prior.components.updated(self.counts, self.first, self.second)
        )

    def merged(self, kept: int, emptied: int) -> Sums:
        """One component takes another's items."""
        tensors = [tensor.clone() for tensor in (self.counts, self.first, self.second)]
        for tensor in tensors:
            tensor[kept] += tensor[emptied]
            tensor[emptied] = 0.0
        return Sums(*tensors)

    def split(self, component: int, into: int, axis: Tensor) -> Sums:
        """A component is cut in two through its mean, and an empty one takes a half.

        Args:
            component: the one that is cut.
            into: the empty one.
            axis: (B, d), one standard deviation of the component in the direction of the halves' means.

        Returns:
            Sums with the same total: a normal cut in half has means sqrt(2 / pi) standard deviations off its own.
        """
        counts, first, second = (tensor.clone() for tensor in (self.counts, self.first, self.second))
        half = 0.5 * counts[component]
        mean = first[component] / counts[component]
        away = math.sqrt(2 / math.pi) * axis
        covariance = second[component] / counts[component] - _outer(mean) - _outer(away)
        for number, located in ((component, mean - away), (into, mean + away)):
            counts[number] = half
            first[number] = half * located
            second[number] = half * (covariance + _outer(located))
        return Sums(counts, first, second)

    def axis(self, component: int, prior: Posterior) -> Tensor:
        """One standard deviation of a component along a principal axis, (B, d), the wider ones drawn more often.

        Lengths are compared in units of the prior's scale, so that the columns' units do not matter.
        """
        mean = self.first[component] / self.counts[component]
        covariance = self.second[component] / self.counts[component] - _outer(mean)
        unit = torch.linalg.cholesky(prior.components.inverse_scale[component])
        whitened = torch.linalg.solve_triangular(unit, covariance, upper=False)
        whitened = torch.linalg.solve_triangular(unit, whitened.mT, upper=False)
        variances, directions = torch.linalg.eigh(0.5 * (whitened + whitened.mT))
        variances = variances.clamp_min(torch.finfo(variances.dtype).tiny)  # items may all be alike
        block, number = divmod(drawn(variances.flatten()), mean.shape[1])
        axis = torch.zeros_like(mean)
        axis[block] = variances[block, number].sqrt() * (unit[block] @ directions[block, :, number])
        return axis

    def gains(self, prior: Posterior) -> list[tuple[float, int, int]]:
        """By how much the log evidence of drawn components changes where two are merged, the best pair first.

        Components that share items gain less in the bound, which loses their entropy.
        """
        full = [int(number) for number in (self.counts >= EMPTY).nonzero()]
        alone = self._evidence(prior)
        pairs: list[tuple[float, int, int]] = []
        for position, one in enumerate(full[:-1]):
            others = torch.tensor(full[position + 1 :])
            both = Sums(*(tensor[one] + tensor[others] for tensor in (self.counts, self.first, self.second)))
            gains = both._evidence(prior) - alone[one] - alone[others]
            pairs += [(float(gain), one, int(other)) for gain, other in zip(gains, others, strict=True)]
        return sorted(pairs, reverse=True)

    def _evidence(self, prior: Posterior) -> Tensor:
        """Each component's factor in the log evidence of its items and of their number."""
        few = prior.part(len(self.counts))  # the prior is the same for all
        posterior = self.posterior(few)
        of_counts = torch.lgamma(posterior.concentration) - torch.lgamma(few.concentration)
        return of_counts + posterior.components.log_normaliser() - few.components.log_normaliser()


def drawn(weights: Tensor) -> int:
    """A number drawn in proportion to weights that are not negative and not all zero."""
    cumulative = weights.cpu().cumsum(0)
    return int((cumulative <= torch.rand((), dtype=cumulative.dtype) * cumulative[-1]).sum())


def _outer(vectors: Tensor) -> Tensor:
    return vectors.unsqueeze(-1) * vectors.unsqueeze(-2)
