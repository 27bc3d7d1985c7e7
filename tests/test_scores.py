"""Scores against brute force; labels are seen by nobody else."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pgmgraph import ModelGraph, Observation, Scores, accuracy, fit
from pgmgraph.errors import DataError, MessageTypeError
from pgmgraph_modules.gmm import GMM
from tests.refusals import refused
from tests.toys import Noisy, blobs, observed


def brute_force(clusters: np.ndarray, labels: np.ndarray) -> float:
    """The best matching by trying all of them."""
    table = np.array(
        [[((clusters == k) & (labels == c)).sum() for c in np.unique(labels)] for k in np.unique(clusters)]
    )
    if len(table) > len(table[0]):
        table = table.T
    return max(
        sum(int(table[row, column]) for row, column in enumerate(chosen))
        for chosen in permutations(range(len(table[0])), len(table))
    ) / len(labels)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(-1, 2)), min_size=1, max_size=25))
def test_accuracy_is_the_best_matching_of_a_rectangular_table(pairs: list[tuple[int, int]]) -> None:
    clusters, labels = (np.array(column) for column in zip(*pairs, strict=True))
    assert accuracy(clusters, labels) == pytest.approx(brute_force(clusters, labels))
    assert accuracy(labels, clusters) == pytest.approx(accuracy(clusters, labels))


def test_names_of_clusters_do_not_matter() -> None:
    labels = np.array([0, 0, 1, 1, 2])
    assert accuracy(np.array([7, 7, 3, 3, 5]), labels) == 1.0
    assert accuracy(np.zeros(5, dtype=int), labels) == 0.4


def mixture(missing: torch.Tensor | None = None) -> tuple[ModelGraph, GMM, torch.Tensor]:
    values, labels = blobs(45)
    data, gmm = Observation(values, missing=missing), GMM(3, starts=2)
    graph = ModelGraph(data=data, gmm=gmm)
    graph.connect(data.value, gmm.x)
    return graph, gmm, labels


def test_scores_are_columns_of_the_history() -> None:
    graph, gmm, labels = mixture()
    shuffled = labels[torch.randperm(45, generator=torch.Generator().manual_seed(0))]
    result = fit(
        graph, rounds=2, callbacks=[Scores(gmm.c, labels), Scores(gmm.c, shuffled.numpy(), prefix="shuffled ")]
    )
    for column in ("accuracy", "nmi", "ari"):
        assert result.history[column] == pytest.approx([1.0, 1.0])
        value = result.history[f"shuffled {column}"][-1]
        assert value is not None
        assert value < 0.7
    assert all(len(column) == 2 for column in result.history.values())


def test_labels_change_nothing_that_is_learnt() -> None:
    graph, gmm, labels = mixture()
    other, same, _ = mixture()
    fit(graph, rounds=2, callbacks=[Scores(gmm.c, labels)])
    fit(other, rounds=2, callbacks=[Scores(same.c, torch.zeros(45))])
    assert torch.equal(gmm.means, same.means)


def test_missing_rows_are_not_scored() -> None:
    mask = torch.arange(45) < 5
    graph, gmm, labels = mixture(mask)
    wrong_where_missing = labels.clone()
    wrong_where_missing[:5] += 1
    result = fit(graph, callbacks=[Scores(gmm.c, wrong_where_missing)])
    assert result.history["accuracy"] == [1.0]


def test_there_are_as_many_labels_as_items() -> None:
    graph, gmm, labels = mixture()
    with refused(DataError, "45 labels", "gmm.c", "got 44"):
        fit(graph, callbacks=[Scores(gmm.c, labels[1:])])


@pytest.mark.parametrize("labels", [["cat"] * 45, np.full(45, 0.5), np.full(45, np.nan), np.zeros((45, 1), dtype=int)])
def test_labels_are_integers(labels):
    _, gmm, _ = mixture()
    with refused(DataError, "one integer for each item", "of shape (45", "return_inverse"):
        Scores(gmm.c, labels)


def test_only_discrete_beliefs_are_scored() -> None:
    data, noisy = observed(), Noisy()
    graph = ModelGraph(data=data, noisy=noisy)
    graph.connect(data.value, noisy.y)
    with refused(MessageTypeError, "Categorical belief at noisy.z", "got Gaussian"):
        fit(graph, callbacks=[Scores(noisy.z, torch.zeros(12))])
