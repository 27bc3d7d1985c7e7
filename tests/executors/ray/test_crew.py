"""A plate that is split over processes is learnt from as a whole one is."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from pgmgraph import Categorical, ModelGraph, Observation, fit, infer
from pgmgraph.errors import WorkerError
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.hmm import HMM
from pgmgraph_modules.supervised import Classifier
from pgmgraph_modules.transforms import SklearnTransform
from tests.executors.ray.graphs import parameters
from tests.refusals import refused

pytest.importorskip("ray", reason="needs the extra `ray`")

from pgmgraph.executors.ray import RayExecutor


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    with RayExecutor(patience=120) as keeping:
        keeping.join()
        yield


def chains() -> ModelGraph:
    """A mixture under an HMM over sequences of many lengths, and a classifier of the same points; rows are missing."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 9, size=25)
    kind = rng.integers(0, 3, size=lengths.sum())
    points = Observation(
        rng.normal(size=(len(kind), 2)) + 3 * kind[:, None],
        missing=rng.random(len(kind)) < 0.1,
        sequences=np.repeat(np.arange(25), lengths),
    )
    labels = Observation((kind > 1).astype(float), missing=rng.random(len(kind)) < 0.5)
    gmm, hmm = GMM(components=3), HMM(states=3)
    classifier = Classifier(2, batch_size=1_000, epochs=3)
    graph = ModelGraph(points=points, labels=labels, gmm=gmm, hmm=hmm, classifier=classifier)
    graph.connect(points.value, gmm.x)
    graph.connect(gmm.c, hmm.c)
    graph.connect(points.value, classifier.z)
    graph.connect(labels.value, classifier.y)
    return graph


@pytest.mark.slow
def test_parts_come_to_what_the_whole_comes_to() -> None:
    whole, split = chains(), chains()
    one = fit(whole, rounds=4, seed=2)
    executor = RayExecutor(shards={"gmm": 2, "hmm": 3, "classifier": 2}, patience=120)
    other = fit(split, rounds=4, seed=2, executor=executor)
    # Sums in another order, and gradients of a whole minibatch that were averaged over its parts.
    for before, after in zip(one.trace, other.trace, strict=True):
        for module, terms in before.terms.items():
            assert after.terms[module] == pytest.approx(terms, rel=1e-3 if module == "classifier" else 1e-9)
    for name in ("gmm.c", "hmm.s"):
        expected, found = one.beliefs[name], other.beliefs[name]
        assert isinstance(expected, Categorical)
        assert isinstance(found, Categorical)
        torch.testing.assert_close(found.probs, expected.probs, rtol=0, atol=1e-9)
        assert torch.equal(found.missing_rows(), expected.missing_rows())
    state, expected_state = parameters(split)["gmm"], parameters(whole)["gmm"]
    assert isinstance(state, dict)
    assert isinstance(expected_state, dict)
    assert state.keys() == expected_state.keys()
    # And whoever infers over parts is told what one is told who infers here.
    there = infer(split, executor=executor, draws=0)["hmm.s"]
    here = infer(split, draws=0)["hmm.s"]
    assert isinstance(there, Categorical)
    assert isinstance(here, Categorical)
    torch.testing.assert_close(there.probs, here.probs, rtol=0, atol=1e-9)
    executor.close()


def test_what_cannot_be_split_is_told() -> None:
    values = Observation(np.random.default_rng(0).normal(size=(20, 3)))
    pca, gmm = SklearnTransform(PCA(2), dimensions=2), GMM(2, inference="svi", batch_size=10)
    graph = ModelGraph(values=values, pca=pca, gmm=gmm)
    graph.connect(values.value, pca.x)
    graph.connect(pca.y, gmm.x)
    with refused(WorkerError, "pca", "Leave it out of shards"):
        fit(graph, executor=RayExecutor(shards={"pca": 2}))
    with refused(WorkerError, "gmm learns by steps on parts of the plate"):
        fit(graph, executor=RayExecutor(shards={"gmm": 2}))
