"""Where a mixture starts: several partitions of the data, each learnt to a standstill, the best kept."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pgmgraph_modules.conjugate.centres import canonical_order, centres
from pgmgraph_modules.conjugate.moments import Layout
from pgmgraph_modules.gmm.posterior import Posterior, step

_ITERATIONS = 200
_STANDSTILL = 1e-7
_ALIKE = 1e-6


def best_start(
    means: Tensor,
    moments: Tensor,
    prior: Posterior,
    layout: Layout,
    components: int,
    starts: int,
    *,
    fitted: bool = False,
) -> tuple[Posterior, float]:
    """The best of several starts by its own bound.

    Half of them (the first, the third, ...) are partitions by k-means, the others by the nearest of
    k-means++ centres; both kinds then go through variational Bayes until the bound stands still.

    Args:
        means: (n, D), the items' means, centred.
        moments: (columns, n), the same items' moments.
        prior: the prior.
        layout: of the moments.
        components: K.
        starts: how many.
        fitted: whether the prior is fitted to each posterior. See `NormalWishart.fitted_to`.

    Returns:
        The posterior after the best start, and its bound.
    """
    points = means[canonical_order(means)].cpu().numpy()
    best: tuple[Posterior, float] | None = None
    for number in range(starts):
        seed = int(torch.randint(2**31, ()))
        located = centres(points, components, seed, refine=number % 2 == 0).to(means)
        posterior = from_partition(torch.cdist(means, located).argmin(1), moments, prior, layout)
        posterior, bound = _converged(posterior, prior, moments, layout, fitted)
        # Starts that end alike differ in rounding and in their components' numbers: the first one counts.
        if best is None or bound > best[1] + _ALIKE * abs(best[1]):
            best = posterior, bound
    assert best is not None
    return best


def from_partition(labels: Tensor, moments: Tensor, prior: Posterior, layout: Layout) -> Posterior:
    """The M step on a partition, (n,) int64."""
    responsibilities = torch.nn.functional.one_hot(labels, len(prior.concentration)).to(moments)
    return prior.updated(responsibilities.T @ moments.T, layout)


def as_partition(given: Sequence[int] | NDArray[np.integer] | Tensor, components: int) -> Tensor:
    """A partition as a tensor, (N,) int64.

    Raises:
        ValueError: not one row of integers from 0 to components - 1.
    """
    labels = torch.as_tensor(given)
    if labels.ndim != 1 or labels.is_floating_point() or labels.is_complex() or not len(labels):
        raise ValueError(f"Expected partition as (N,) integers; got {tuple(labels.shape)} of {labels.dtype}.")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= components:
        raise ValueError(f"Expected partition with numbers from 0 to {components - 1}; got {low} to {high}.")
    return labels.long()


def _converged(
    posterior: Posterior, prior: Posterior, moments: Tensor, layout: Layout, fitted: bool
) -> tuple[Posterior, float]:
    last = -float("inf")
    for _ in range(_ITERATIONS):
        given = prior.fitted_to(posterior) if fitted else prior
        following, bound = step(posterior, given, moments, layout)
        if bound - last <= _STANDSTILL * abs(bound):
            return posterior, bound
        posterior, last = following, bound
    return posterior, last
