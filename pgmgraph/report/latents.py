"""Latent spaces: what is believed about a vector, brought into the plane, with the clusters of what is above it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pgmgraph.messages import Gaussian
from pgmgraph.plotting import Ellipse, Plane, principal_plane, project
from pgmgraph.report.partitions import Partition

Array = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

# A cluster of fewer items than this, as expected, has no shape to draw.
LEAST_ITEMS = 2.0
LEAST_NEIGHBOURS = 4


@dataclass(frozen=True, eq=False)
class Latent:
    """What is believed about one real vector.

    Attributes:
        variable: its name, such as "vae.z".
        dimensions: how many it has.
        size: how many items the plate has.
        items: how many of them something was observed of.
        rows: (M,) which items of the plate are drawn, ascending.
        principal: (M, 2) their means in the plane of greatest variance.
        shown: the share of the means' variance that lies in that plane.
        neighbours: (M, 2) their means' t-SNE embedding; None where there are too few to have neighbours.
        ellipses: by discrete variable of the same plate: the ellipse of each cluster in that plane.
    """

    variable: str
    dimensions: int
    size: int
    items: int
    rows: Integers
    principal: Array
    shown: float
    neighbours: Array | None
    ellipses: Mapping[str, Mapping[int, Ellipse]]


def latent(variable: str, belief: Gaussian, partitions: Mapping[str, Partition], *, items: int, seed: int) -> Latent:
    """Look at a Gaussian belief.

    Args:
        variable: the name of what the belief is about.
        belief: of at least one item that is not missing.
        partitions: discrete variables of the same plate.
        items: at most so many are drawn.
        seed: of their choice and of t-SNE.
    """
    present = np.flatnonzero(~belief.missing_rows().cpu().numpy())
    kept = belief[~belief.missing_rows()]
    means = kept.mean.detach().double().cpu().numpy()
    plane = principal_plane(means)
    neighbours, chosen = project(means, "tsne", seed=seed, items=items)
    return Latent(
        variable,
        means.shape[1],
        len(belief),
        len(means),
        present[chosen],
        plane.points(means[chosen]),
        plane.shown,
        neighbours if len(chosen) >= LEAST_NEIGHBOURS else None,
        {name: _ellipses(plane, kept, means, one.probabilities[present]) for name, one in partitions.items()},
    )


def _ellipses(plane: Plane, belief: Gaussian, means: Array, probabilities: Array) -> dict[int, Ellipse]:
    """Mean and covariance of each cluster's items under its responsibilities, in the plane.

    They are the moments that a mixture's M step takes, the variance of the beliefs included, whatever module holds c.
    """
    points = plane.points(means)
    spreads = _variances(plane, belief)
    ellipses = {}
    for cluster, weights in enumerate(probabilities.T):
        total = float(weights.sum())
        if total >= LEAST_ITEMS:
            mean = weights @ points / total
            apart = points - mean
            covariance = (apart.T * weights) @ apart / total + np.einsum("n,nij->ij", weights, spreads) / total
            ellipses[cluster] = Ellipse(mean, covariance)
    return ellipses


def _variances(plane: Plane, belief: Gaussian) -> Array:
    """The covariances (N, 2, 2) of the beliefs in the plane."""
    variance = belief.variance.detach().cpu().numpy()
    directions = plane.directions.astype(variance.dtype)
    if variance.ndim == 2:
        projected = np.einsum("nd,di,dj->nij", variance, directions, directions, optimize=True)
    else:
        projected = np.einsum("dj,ndi->nij", directions, variance @ directions)
    return np.asarray(projected, dtype=np.float64)
