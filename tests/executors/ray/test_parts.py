"""Parts of a plate that see nothing, or less than others: what is learnt is what one part learns."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from pgmgraph import Event, Gaussian, Message, ModelGraph, Observation, Point, RoundEnded, fit, infer
from pgmgraph.errors import WorkerError
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.hmm import HMM
from pgmgraph_modules.supervised import Regressor
from pgmgraph_modules.vae import VAE
from tests.executors.ray.graphs import same
from tests.refusals import refused

ray = pytest.importorskip("ray", reason="needs the extra `ray`")

from pgmgraph.executors.ray import RayExecutor  # noqa: E402
from pgmgraph.executors.ray.packing import restored  # noqa: E402


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    with RayExecutor(patience=120) as keeping:
        keeping.join()
        yield


def mixture(missing: np.ndarray) -> ModelGraph:
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 3, size=len(missing))
    points = Observation(rng.normal(size=(len(missing), 2)) + 4 * kind[:, None], missing=missing)
    graph = ModelGraph(points=points, gmm=(gmm := GMM(components=3)))
    graph.connect(points.value, gmm.x)
    return graph


@pytest.mark.parametrize("unseen", [slice(30, None), slice(None, 30)], ids=["second", "first"])
def test_a_mixture_of_which_one_half_sees_nothing(unseen: slice) -> None:
    missing = np.zeros(60, dtype=bool)
    missing[unseen] = True
    whole, split = mixture(missing), mixture(missing)
    one = fit(whole, rounds=4, seed=0, strict=True)
    other = fit(split, rounds=4, seed=0, strict=True, executor=RayExecutor(shards={"gmm": 2}, patience=120))
    assert other.history["F"] == pytest.approx(one.history["F"], rel=1e-12)
    expected, found = one.beliefs["gmm.c"], other.beliefs["gmm.c"]
    assert torch.equal(found.missing_rows(), torch.as_tensor(missing))
    torch.testing.assert_close(found.probs, expected.probs, rtol=0, atol=1e-12)  # type: ignore[attr-defined]


def pictures(missing: np.ndarray) -> ModelGraph:
    """Bars of two kinds, half of which nobody has seen."""
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 2, size=len(missing))
    chance = np.where(np.arange(12) % 2 == kind[:, None], 0.9, 0.1)
    pixels = Observation((rng.random(chance.shape) < chance).astype(np.float32), missing=missing)
    vae = VAE(latent_dim=1, hidden=(8,), epochs=20, batch_size=20, lr=1e-2)
    graph = ModelGraph(pixels=pixels, vae=vae)
    graph.connect(pixels.value, vae.x)
    return graph


@pytest.mark.slow
@pytest.mark.parametrize("unseen", [slice(100, None), slice(None, 90)], ids=["none of it", "a tenth of it"])
def test_a_network_of_which_one_part_sees_less(unseen: slice) -> None:
    missing = np.zeros(200, dtype=bool)
    missing[unseen] = True
    learnt: list[Any] = []

    def look(event: Event) -> None:
        if isinstance(event, RoundEnded):
            processes = executor._crews["vae"].processes
            learnt.append([restored(ray.get(process.actor.learnt.remote())) for process in processes])

    executor = RayExecutor(shards={"vae": 2}, patience=120)
    alone = fit(pictures(missing), rounds=2, seed=0)
    split = fit(pictures(missing), rounds=2, seed=0, callbacks=[look], executor=executor)
    for one, other in learnt:
        assert same(one, other)
    before, after = (result.history["F"][-1] for result in (alone, split))
    # What pixels of which nothing is known cost, -12 log 2 each, and what is known of the kind gains.
    nothing = -12 * math.log(2) * int((~missing).sum())
    assert before is not None
    assert after is not None
    assert after - nothing > 0.9 * (before - nothing) > 0


def targets() -> ModelGraph:
    """A regressor that learns without chance, from whole minibatches; targets of the first two thirds are unknown."""
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(60, 2))
    points = Observation(inputs)
    values = Observation(7 + inputs @ [[1.0], [2.0]], missing=np.arange(60) < 40)
    regressor = Regressor(batch_size=60, epochs=20, lr=1e-2)
    graph = ModelGraph(points=points, values=values, regressor=regressor)
    graph.connect(points.value, regressor.z)
    graph.connect(values.value, regressor.y)
    return graph


@pytest.mark.slow
def test_each_item_weighs_as_much_in_whatever_part_it_is() -> None:
    alone, split = targets(), targets()
    fit(alone, rounds=2, seed=0)
    fit(split, rounds=2, seed=0, executor=RayExecutor(shards={"regressor": 3}, patience=120))
    expected, found = (infer(graph)["regressor.predicted"] for graph in (alone, split))
    assert isinstance(expected, Gaussian)
    assert isinstance(found, Gaussian)
    # Gradients are added in another order, in float32.
    torch.testing.assert_close(found.mean, expected.mean, rtol=1e-4, atol=1e-4)


class Refusing(VAE):
    """A network that one part of the plate cannot be learnt by."""

    def model(self, x: Point, z: Message | None) -> None:
        if x.value[0, 0] == 1:
            raise ValueError("Expected no one; got 1.")
        super().model(x, z)


@pytest.mark.slow
def test_an_error_in_one_part_is_not_waited_for_by_the_others() -> None:
    pixels = Observation(np.repeat([[0.0], [1.0]], 10, axis=0))
    graph = ModelGraph(pixels=pixels, vae=(vae := Refusing(latent_dim=1, hidden=(2,))))
    graph.connect(pixels.value, vae.x)
    with pytest.raises(ValueError, match="Expected no one; got 1"):
        fit(graph, seed=0, executor=RayExecutor(shards={"vae": 2}, patience=120))


@pytest.mark.slow
def test_fewer_rows_than_parts_can_be_asked_about() -> None:
    graph = mixture(np.zeros(40, dtype=bool))
    fit(graph, rounds=2, seed=0)
    values = np.random.default_rng(1).normal(size=(7, 2))
    expected = infer(graph, {"points": values})["gmm.c"].probs  # type: ignore[attr-defined]
    with RayExecutor(shards={"gmm": 3}, patience=120) as executor:
        # The last block has a single row.
        found = infer(graph, {"points": values}, batch_size=3, executor=executor)["gmm.c"].probs  # type: ignore[attr-defined]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_more_parts_than_there_are_items_are_refused() -> None:
    few = mixture(np.zeros(3, dtype=bool))
    with refused(WorkerError, "as many parts as the plate of gmm has rows", "3; got 4", "shards={'gmm': 3}"):
        fit(few, executor=RayExecutor(shards={"gmm": 4}))
    labels = Observation(np.random.default_rng(0).normal(size=(20, 2)))
    graph = ModelGraph(labels=labels, gmm=(gmm := GMM(2)), hmm=(hmm := HMM(2)))
    graph.connect(labels.value, gmm.x)
    graph.connect(gmm.c, hmm.c)
    with refused(WorkerError, "hmm looks along time, and has a single sequence", "Leave it out of shards"):
        fit(graph, executor=RayExecutor(shards={"hmm": 2}))
