"""Latents: the ellipses are the moments under the responsibilities, as a mixture's M step takes them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch

from pgmgraph import Categorical, Gaussian
from pgmgraph.plotting import principal_plane
from pgmgraph.report.latents import latent
from pgmgraph.report.partitions import Partition, partition

N, D, K = 40, 4, 3
GENERATOR = torch.Generator().manual_seed(0)
MEANS = 3 * torch.randn(N, D, generator=GENERATOR, dtype=torch.float64)
VARIANCES = torch.rand(N, D, generator=GENERATOR, dtype=torch.float64) + 0.1
PROBS = torch.softmax(2 * torch.randn(N, K, generator=GENERATOR, dtype=torch.float64), 1)
Array = npt.NDArray[np.float64]


def parted(missing: torch.Tensor | None = None) -> dict[str, Partition]:
    return {"gmm.c": partition("gmm.c", Categorical(PROBS, missing=missing), None)}


@pytest.mark.parametrize("dense", [False, True])
def test_ellipses_are_moments_under_the_responsibilities(dense: bool) -> None:
    variance = VARIANCES.diag_embed() if dense else VARIANCES
    found = latent("vae.z", Gaussian(MEANS, variance), parted(), items=100, seed=0)
    plane = principal_plane(MEANS)
    for k in range(K):
        weights = (PROBS[:, k] / PROBS[:, k].sum()).numpy()
        mean = weights @ MEANS.numpy()
        second = sum(
            w * (np.outer(m, m) + np.diag(v)) for w, m, v in zip(weights, MEANS.numpy(), VARIANCES.numpy(), strict=True)
        )
        covariance = second - np.outer(mean, mean)
        ellipse = found.ellipses["gmm.c"][k]
        np.testing.assert_allclose(ellipse.mean, plane.points(mean[None])[0])
        np.testing.assert_allclose(ellipse.covariance, plane.directions.T @ covariance @ plane.directions)


def test_within_and_between_make_up_the_whole() -> None:
    """The law of total covariance."""
    found = latent("vae.z", Gaussian(MEANS, VARIANCES), parted(), items=100, seed=0)
    plane = principal_plane(MEANS)
    weights = PROBS.mean(0).numpy()
    ellipses = [found.ellipses["gmm.c"][k] for k in range(K)]
    within = sum(w * one.covariance for w, one in zip(weights, ellipses, strict=True))
    between = sum(w * np.outer(one.mean, one.mean) for w, one in zip(weights, ellipses, strict=True))
    spread = plane.directions.T @ np.diag(VARIANCES.mean(0).numpy()) @ plane.directions
    whole = np.cov(plane.points(MEANS).T, bias=True) + spread
    np.testing.assert_allclose(np.asarray(within) + np.asarray(between), whole)


def test_missing_items_are_neither_drawn_nor_counted() -> None:
    missing = torch.zeros(N, dtype=torch.bool)
    missing[::2] = True
    wild = MEANS.clone()
    wild[missing] = 1e6
    found = latent("z", Gaussian(wild, VARIANCES, missing=missing), parted(missing), items=100, seed=0)
    rest = latent(
        "z",
        Gaussian(MEANS[1::2], VARIANCES[1::2]),
        {"gmm.c": partition("gmm.c", Categorical(PROBS[1::2]), None)},
        items=100,
        seed=0,
    )
    assert (found.size, found.items) == (N, N // 2)
    np.testing.assert_array_equal(found.rows, np.arange(1, N, 2))
    np.testing.assert_allclose(found.principal, rest.principal)
    for k in range(K):
        ours, theirs = found.ellipses["gmm.c"][k], rest.ellipses["gmm.c"][k]
        np.testing.assert_allclose(ours.covariance, theirs.covariance)


def test_a_choice_of_items_is_repeatable_and_the_ellipses_know_all() -> None:
    belief = Gaussian(MEANS, VARIANCES)
    some, again = (latent("z", belief, parted(), items=10, seed=1) for _ in range(2))
    every = latent("z", belief, parted(), items=100, seed=1)
    np.testing.assert_array_equal(some.rows, again.rows)
    assert some.neighbours is not None
    assert again.neighbours is not None
    np.testing.assert_array_equal(some.neighbours, again.neighbours)
    np.testing.assert_allclose(some.principal, every.principal[some.rows])
    np.testing.assert_array_equal(some.ellipses["gmm.c"][0].mean, every.ellipses["gmm.c"][0].mean)


def test_clusters_of_fewer_than_two_items_have_no_shape() -> None:
    lonely = {"c": partition("c", Categorical(torch.eye(2)[[0] + [1] * (N - 1)]), None)}
    assert list(latent("z", Gaussian(MEANS, VARIANCES), lonely, items=9, seed=0).ellipses["c"]) == [1]


@pytest.mark.parametrize(("items", "dimensions"), [(1, 1), (2, 3), (3, 2), (4, 1)])
def test_few_items_and_one_dimension_are_no_obstacle(items: int, dimensions: int) -> None:
    belief = Gaussian(MEANS[:items, :dimensions], VARIANCES[:items, :dimensions])
    found = latent("z", belief, {}, items=100, seed=0)
    assert found.principal.shape == (items, 2)
    assert (found.neighbours is None) == (items < 4)
