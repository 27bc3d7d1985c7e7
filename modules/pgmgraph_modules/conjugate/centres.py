"""Centres of clusters, from which partitions of the data follow that learning starts from."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.cluster import KMeans, kmeans_plusplus
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor


def canonical_order(means: Tensor) -> Tensor:
    """An order of the rows that they themselves give, (n,) int64: a permuted plate starts the same way."""
    generator = torch.Generator().manual_seed(0)
    direction = torch.randn(means.shape[1], generator=generator, dtype=torch.float64).to(means)
    return (means @ direction).argsort(stable=True)


def centres(points: NDArray[np.float64], components: int, seed: int, refine: bool) -> Tensor:
    """K centres, (K, D), by k-means++, or with `refine` by k-means from there.

    With fewer distinct points than components, some centres fall together; with fewer points, some are out of reach.
    """
    spare = max(0, components - len(points))
    wanted = min(components, len(points))
    if refine and len(np.unique(points, axis=0)) >= wanted:
        with warnings.catch_warnings():
            # Rows that differ by less than rounding leaves of them are one point to it.
            warnings.simplefilter("ignore", ConvergenceWarning)
            found = KMeans(wanted, n_init=1, random_state=seed).fit(points).cluster_centers_
    else:
        found, _ = kmeans_plusplus(points, wanted, random_state=seed)
    # A centre out of everyone's reach: its component starts empty, at the prior.
    empty = np.full((spare, points.shape[1]), 1e6 * (1 + np.abs(points).max()))
    return torch.from_numpy(np.concatenate([found, empty]))
