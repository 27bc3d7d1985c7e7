"""Galleries: drawn from the model where it can draw, and else the items that a cluster is surest of."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pgmgraph import Categorical, ModelGraph, Observation, fit
from pgmgraph.report.galleries import galleries, image_shape
from pgmgraph.report.partitions import Partition, partition
from pgmgraph_modules.gmm import GMM
from tests.report.stories import Fitted, checkered
from tests.toys import Gathering

IMAGES, LABELS = checkered()


def parted(fitted: Fitted) -> Partition:
    belief = fitted.result.beliefs["gmm.c"]
    assert isinstance(belief, Categorical)
    return partition("gmm.c", belief, None)


def mute(values: torch.Tensor) -> ModelGraph:
    """A graph that cannot draw: its lowest module has no `sample`."""
    pixels, sums, gmm = Observation(values), Gathering(), GMM(2, starts=1)
    graph = ModelGraph(pixels=pixels, sums=sums, gmm=gmm)
    graph.connect(pixels.value, sums.x["only"])
    graph.connect(sums.z, gmm.x)
    return graph


@pytest.mark.parametrize(
    ("event", "shape"),
    [
        ((784,), (28, 28)),
        ((64,), (8, 8)),
        ((49,), None),
        ((65,), None),
        ((), None),
        ((28, 20), (28, 20)),
        ((28, 2), None),
        ((1, 28, 28), (1, 28, 28)),
        ((3, 32, 32), (3, 32, 32)),
        ((5, 32, 32), None),
        ((2, 3, 8, 8), None),
    ],
)
def test_what_counts_as_an_image(event: tuple[int, ...], shape: tuple[int, ...] | None) -> None:
    assert image_shape(event) == shape


def test_images_are_drawn_given_the_cluster(fitted: Fitted) -> None:
    [gallery] = galleries(fitted.graph, parted(fitted), {}, rows=5, columns=6, seed=0)
    assert gallery.drawn
    assert gallery.images.shape == (2, 6, 8, 8)
    assert (gallery.observation, gallery.variable, gallery.left_out) == ("pixels", "gmm.c", 0)
    clusters = parted(fitted).clusters
    for cluster, drawn in zip(gallery.clusters, gallery.images, strict=True):
        own, other = (fitted.images[torch.as_tensor(clusters == k)].mean(0).numpy() for k in (cluster, 1 - cluster))
        for image in drawn:
            assert np.linalg.norm(image - own) < np.linalg.norm(image - other)
    [again] = galleries(fitted.graph, parted(fitted), {}, rows=5, columns=6, seed=0)
    np.testing.assert_array_equal(gallery.images, again.images)


def test_the_largest_clusters_come_first_and_empty_ones_not() -> None:
    probabilities = torch.eye(4, dtype=torch.float64)[[1] * 25 + [3] * 10 + [0] * 5]
    found = galleries(mute(IMAGES.flatten(1)), partition("gmm.c", Categorical(probabilities), None), {}, **SIZES)
    assert found[0].clusters == (1, 3)
    assert found[0].left_out == 2


SIZES = {"rows": 2, "columns": 3, "seed": 0}


def test_where_nothing_can_be_drawn_the_surest_items_are_shown() -> None:
    graph = mute(IMAGES.flatten(1))
    fit(graph, rounds=1)
    sure = torch.linspace(0.5, 1.0, 40, dtype=torch.float64)
    probs = torch.stack([torch.where(LABELS == 0, sure, 1 - sure), torch.where(LABELS == 1, sure, 1 - sure)], 1)
    [gallery] = galleries(graph, partition("gmm.c", Categorical(probs), None), {}, **SIZES)
    assert not gallery.drawn
    for cluster, images in zip(gallery.clusters, gallery.images, strict=True):
        surest = [int(row) for row in np.argsort(-probs[:, cluster].numpy())[:3]]
        np.testing.assert_allclose(images, IMAGES[surest].numpy(), rtol=1e-6)


def test_a_graph_that_has_not_learnt_shows_items_and_small_clusters_leave_cells_empty() -> None:
    graph = mute(IMAGES.flatten(1))
    probs = torch.eye(2, dtype=torch.float64)[[0] * 39 + [1]]
    [gallery] = galleries(graph, partition("gmm.c", Categorical(probs), None), {}, **SIZES)
    np.testing.assert_allclose(gallery.images[1, 0], IMAGES[39].numpy(), rtol=1e-6)
    assert np.isnan(gallery.images[1, 1:]).all()


def test_missing_items_are_not_shown() -> None:
    pixels = Observation(IMAGES.flatten(1), missing=torch.arange(40) != 7)
    gmm = GMM(1)
    graph = ModelGraph(pixels=pixels, gmm=gmm)
    graph.connect(pixels.value, gmm.x)
    belief = Categorical(torch.ones(40, 1), missing=torch.arange(40) != 7)
    [gallery] = galleries(graph, partition("gmm.c", belief, None), {}, **SIZES)
    np.testing.assert_allclose(gallery.images[0, 0], IMAGES[7].numpy(), rtol=1e-6)
    assert np.isnan(gallery.images[0, 1:]).all()


def test_shapes_can_be_given_and_images_left_out(fitted: Fitted) -> None:
    [wide] = galleries(fitted.graph, parted(fitted), {"pixels": (4, 16)}, **SIZES)
    assert wide.images.shape == (2, 3, 4, 16)
    [coloured] = galleries(fitted.graph, parted(fitted), {"pixels": (4, 4, 4)}, **SIZES)
    assert coloured.images.shape == (2, 3, 4, 4, 3)
    [single] = galleries(fitted.graph, parted(fitted), {"pixels": (1, 8, 8)}, **SIZES)
    assert single.images.shape == (2, 3, 8, 8)
    assert galleries(fitted.graph, parted(fitted), {"pixels": None}, **SIZES) == []


def test_other_values_than_intensities_have_the_range_of_the_data() -> None:
    probs = Categorical(torch.eye(2, dtype=torch.float64)[LABELS])
    wild = 10 * IMAGES.flatten(1) - 5
    [gallery] = galleries(mute(wild), partition("gmm.c", probs, None), {}, **SIZES)
    assert gallery.value_range == pytest.approx((float(wild.min()), float(wild.max())))
    [plain] = galleries(mute(IMAGES.flatten(1)), partition("gmm.c", probs, None), {}, **SIZES)
    assert plain.value_range == (0.0, 1.0)
