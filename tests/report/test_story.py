"""A story is told of any graph with beliefs, however little is known."""

from __future__ import annotations

import numpy as np
import torch

from pgmgraph import Beliefs, Categorical, Gaussian, ModelGraph, Observation, Point
from pgmgraph.errors import DataError
from pgmgraph.report import Account, tell
from pgmgraph_modules.gmm import GMM
from tests.refusals import refused
from tests.report.stories import Fitted, account, whole_story
from tests.toys import Noisy


def test_everything_is_found(fitted: Fitted) -> None:
    story = whole_story(fitted)
    assert [one.variable for one in story.latents] == ["vae.z"]
    assert [one.variable for one in story.partitions] == ["gmm.c"]
    assert [one.observation for one in story.galleries] == ["pixels"]
    assert story.items == {"items": 40}
    assert story.observations == ("pixels",)
    assert list(story.latents[0].ellipses) == ["gmm.c"]
    [partition] = story.partitions
    assert partition.agreement is not None
    assert partition.agreement.accuracy == fitted.result.history["accuracy"][-1]
    assert partition.agreement.labels == ("even", "odd")


def test_what_is_missing_everywhere_and_what_is_observed_is_left_out(fitted: Fitted) -> None:
    beliefs = {
        "vae.z": Gaussian(torch.zeros(5, 64), torch.ones(5, 64), missing=torch.ones(5, dtype=torch.bool)),
        "gmm.c": Categorical(torch.ones(5, 2) / 2),
        "pixels.value": Point(torch.zeros(7, 64)),
    }
    story = tell(fitted.graph, beliefs, account(fitted))
    assert not story.latents
    assert story.items == {"items": 5}


def test_clusters_of_another_plate_are_not_drawn_over_a_latent() -> None:
    first, second = Observation(torch.randn(6, 2), plate="a"), Observation(torch.randn(6, 2), plate="b")
    noisy, gmm = Noisy(), GMM(2)
    graph = ModelGraph(first=first, second=second, noisy=noisy, gmm=gmm)
    graph.connect(first.value, noisy.y)
    graph.connect(second.value, gmm.x)
    beliefs = Beliefs(
        {"noisy.z": Gaussian(torch.randn(6, 2), torch.ones(6, 2)), "gmm.c": Categorical(torch.eye(2)[[0, 1] * 3])}
    )
    story = tell(graph, beliefs, Account("t"))
    assert story.latents[0].ellipses == {}
    assert story.items == {"a": 6, "b": 6}


def test_the_same_seed_tells_the_same_story(fitted: Fitted) -> None:
    first, second = whole_story(fitted), whole_story(fitted)
    np.testing.assert_array_equal(first.galleries[0].images, second.galleries[0].images)
    assert first.latents[0].neighbours is not None
    assert second.latents[0].neighbours is not None
    np.testing.assert_array_equal(first.latents[0].neighbours, second.latents[0].neighbours)


def test_labels_that_go_with_nothing_are_refused(fitted: Fitted) -> None:
    with refused(DataError, "got 3 labels", "gmm.c has 40 items", "vae.z has 40 items"):
        tell(fitted.graph, fitted.result.beliefs, account(fitted), labels=[0, 1, 1])
    with refused(DataError, "got 1 labels", "no beliefs"):
        tell(fitted.graph, {}, account(fitted), labels=[0])
