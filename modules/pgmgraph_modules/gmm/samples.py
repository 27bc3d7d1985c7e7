"""Fixed samples of beliefs, by which a mixture with its component summed out is learnt."""

from __future__ import annotations

import torch

from pgmgraph import Gaussian

ROWS = 4_096


class BeliefSamples:
    """Draws of beliefs with fixed noise: an item gets the same noise in every pass and round.

    The noise goes by the item's place in its minibatch, `ROWS` different rows of it over and over. So minibatches
    in order get the same draws whatever their size, if it is a multiple of `ROWS`. Draws come in antithetic pairs:
    their average is the mean itself.

    Args:
        number: of draws of each belief, even.
        dimensions: D.
        device: where the beliefs are.
    """

    def __init__(self, number: int, dimensions: int, device: torch.device) -> None:
        generator = torch.Generator().manual_seed(0)
        shape = (number // 2, ROWS, dimensions)
        self._noise = torch.randn(shape, generator=generator, dtype=torch.float64).to(device)

    def draw(self, belief: Gaussian, first: int = 0) -> Gaussian:
        """The draws as certain values, (number x n, D), a draw of every item after another; n where all is certain.

        Args:
            belief: of n items.
            first: the row of noise that the first item gets.
        """
        if not belief.variance.any():
            return belief
        noise = self._noise[:, (first + torch.arange(len(belief), device=belief.device)) % ROWS]
        if belief.is_diagonal:
            away = belief.variance.sqrt() * noise
        else:
            # By eigenvalues, since a covariance may be singular.
            values, vectors = torch.linalg.eigh(belief.variance)
            root = vectors * values.clamp_min(0).sqrt().unsqueeze(-2)
            away = (root @ noise.unsqueeze(-1)).squeeze(-1)
        drawn = torch.cat([belief.mean + away, belief.mean - away]).flatten(0, 1)
        return Gaussian(drawn, torch.zeros_like(drawn))
