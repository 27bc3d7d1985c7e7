"""Fixed samples of beliefs, by which a mixture with its component summed out is learnt."""

from __future__ import annotations

import torch
from torch import Tensor

from pgmgraph import Gaussian

_ROWS = 4_096
_MIX = -7046029254386353131  # 2^64 divided by the golden ratio, as a signed number: Fibonacci hashing


class BeliefSamples:
    """Draws of beliefs with fixed noise: an item gets the same draws in every pass, minibatch, order and shard.

    An item's row of noise is found by hashing its mean, so that nothing has to be kept for each item. Draws come
    in antithetic pairs: their average is the mean itself.

    Args:
        number: of draws of each belief, even.
        dimensions: D.
        device: where the beliefs are.
    """

    def __init__(self, number: int, dimensions: int, device: torch.device) -> None:
        generator = torch.Generator().manual_seed(0)
        shape = (number // 2, _ROWS, dimensions)
        self._noise = torch.randn(shape, generator=generator, dtype=torch.float64).to(device)

    def draw(self, belief: Gaussian) -> Gaussian:
        """The draws as certain values, (number x n, D), a draw of every item after another; n where all is certain."""
        if not belief.variance.any():
            return belief
        noise = self._noise[:, _hashed(belief.mean) % _ROWS]
        if belief.is_diagonal:
            away = belief.variance.sqrt() * noise
        else:
            # By eigenvalues, since a covariance may be singular.
            values, vectors = torch.linalg.eigh(belief.variance)
            root = vectors * values.clamp_min(0).sqrt().unsqueeze(-2)
            away = (root @ noise.unsqueeze(-1)).squeeze(-1)
        drawn = torch.cat([belief.mean + away, belief.mean - away]).flatten(0, 1)
        return Gaussian(drawn, torch.zeros_like(drawn))


def _hashed(mean: Tensor) -> Tensor:
    """A number from 0 on for each row, (n,) int64; equal rows have equal ones."""
    bits = mean.double().sum(-1).view(torch.int64)
    return (bits * _MIX >> 24) & 0xFFFFFF
