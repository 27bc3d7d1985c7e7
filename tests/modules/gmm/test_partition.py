"""A mixture that starts from a partition found elsewhere."""

import numpy as np
import pytest
import torch

from pgmgraph import ModelGraph, Observation, fit
from pgmgraph.errors import DataError
from pgmgraph_modules.gmm import GMM
from tests.refusals import refused
from tests.toys import blobs

torch.set_num_threads(1)


def learnt(x, partition, k=3, missing=None, rounds=1):
    data, gmm = Observation(x, missing=missing), GMM(k, partition=partition)
    graph = ModelGraph(data=data, gmm=gmm)
    graph.connect(data.value, gmm.x)
    return gmm, fit(graph, rounds=rounds, strict=True)


@pytest.mark.parametrize("kind", [list, np.asarray, torch.as_tensor])
def test_components_take_the_numbers_of_the_partition(kind):
    x, labels = blobs(90, 3, 2)
    for order in ([0, 1, 2], [2, 0, 1]):
        numbered = torch.tensor(order)[labels]
        _, result = learnt(x, kind(numbered.tolist()))
        assert torch.equal(result.beliefs["gmm.c"].most_probable(), numbered)


def test_learning_mends_what_is_wrong_in_it():
    x, labels = blobs(90, 3, 2)
    wrong = labels.clone()
    wrong[::10] = (wrong[::10] + 1) % 3
    _, result = learnt(x, wrong, rounds=5)
    assert torch.equal(result.beliefs["gmm.c"].most_probable(), labels)


def test_it_does_not_depend_on_the_seed():
    x, labels = blobs(60, 3, 2)
    bounds = set()
    for seed in (0, 1):
        data, gmm = Observation(x), GMM(3, partition=labels)
        graph = ModelGraph(data=data, gmm=gmm)
        graph.connect(data.value, gmm.x)
        bounds.add(fit(graph, seed=seed).history["F"][-1])
    assert len(bounds) == 1


def test_missing_items_are_left_out_of_it():
    x, labels = blobs(90, 3, 2)
    missing = torch.zeros(90, dtype=torch.bool)
    missing[::4] = True
    spoilt = torch.where(missing, (labels + 1) % 3, labels)
    _, result = learnt(x, spoilt, missing=missing)
    assert torch.equal(result.beliefs["gmm.c"].most_probable()[~missing], labels[~missing])


@pytest.mark.parametrize(
    ("partition", "text"),
    [
        ([0, 1, 3], "numbers from 0 to 2; got 0 to 3"),
        ([0, -1, 2], "numbers from 0 to 2; got -1 to 2"),
        ([0.0, 1.0], r"\(N,\) integers; got \(2,\) of torch.float32"),
        ([[0, 1]], r"\(N,\) integers; got \(1, 2\)"),
        ([], r"\(N,\) integers"),
    ],
)
def test_what_is_no_partition_is_refused(partition, text):
    with pytest.raises(ValueError, match=text):
        GMM(3, partition=partition)


def test_a_partition_of_another_plate_is_refused():
    x, labels = blobs(30, 3, 2)
    with refused(DataError, "each of the 30 items of gmm's plate", "got 29"):
        learnt(x, labels[:29])
