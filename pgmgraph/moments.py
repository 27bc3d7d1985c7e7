"""Means and variances of what is drawn, summed up as it comes."""

from __future__ import annotations

import torch
from torch import Tensor


class Moments:
    """The mean and the variance of x from draws of what is above it: E x = E m, Var x = Var m + E v.

    m and v are the mean and the variance of x given one draw. A draw of x itself counts as m, with v = 0. Sums are kept
    in float64 about a running mean (Chan, Golub and LeVeque, 1983), so that large values cancel nothing.

    Args:
        full: whether the variance is a covariance, (n, D, D), of m that are draws; else its diagonal, (n, D).
    """

    def __init__(self, full: bool = False) -> None:
        self._full = full
        self._count = 0
        self._mean = self._spread = self._inner = torch.zeros((), dtype=torch.float64)

    def add(self, mean: Tensor, inner: Tensor | None = None) -> None:
        """Several draws for n rows: `mean` and `inner`, (draws, n, D)."""
        draws, mean = len(mean), mean.double().cpu()
        centre = mean.mean(0)
        away, shift = mean - centre, centre - self._mean
        total = self._count + draws
        self._spread = self._spread + self._products(away).sum(0) + self._products(shift) * self._count * draws / total
        self._mean = self._mean + shift * draws / total
        if inner is not None:
            self._inner = self._inner + inner.double().cpu().sum(0)
        self._count = total

    @property
    def mean(self) -> Tensor:
        """E x, (n, D)."""
        return self._mean

    @property
    def variance(self) -> Tensor:
        """Var x, (n, D) or (n, D, D), without bias; of a single draw, that of x given it."""
        return self._spread / max(1, self._count - 1) + self._inner / max(1, self._count)

    def _products(self, away: Tensor) -> Tensor:
        return away.unsqueeze(-1) * away.unsqueeze(-2) if self._full else away.square()
