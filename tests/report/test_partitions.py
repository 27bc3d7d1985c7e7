"""Partitions: sizes are expectations, and the matching with labels is the best there is."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch

from pgmgraph import Categorical
from pgmgraph.errors import DataError
from pgmgraph.report.partitions import Labels, partition
from tests.refusals import refused

RANDOM = np.random.default_rng(0)


def belief(probs: object, missing: list[bool] | None = None) -> Categorical:
    flags = None if missing is None else torch.tensor(missing)
    return Categorical(torch.as_tensor(np.asarray(probs)), missing=flags)


def certain(clusters: np.ndarray, k: int) -> Categorical:
    return belief(np.eye(k)[clusters])


def test_sizes_are_expected_counts_of_what_is_not_missing() -> None:
    found = partition("gmm.c", belief([[0.75, 0.25], [0.5, 0.5], [1.0, 0.0]], [False, False, True]), None)
    np.testing.assert_allclose(found.sizes, [1.25, 0.75])
    np.testing.assert_array_equal(found.clusters, [0, 0, -1])
    np.testing.assert_array_equal(found.counts, [2, 0])
    assert found.certainty == pytest.approx((0.75 + 0.5) / 2)
    assert found.agreement is None


def test_the_matching_is_the_best_of_all() -> None:
    clusters, codes = RANDOM.integers(0, 5, 200), RANDOM.integers(0, 5, 200)
    agreement = partition("c", certain(clusters, 5), Labels.of(codes)).agreement
    assert agreement is not None
    best = max(np.mean(np.array(one)[clusters] == codes) for one in permutations(range(5)))
    assert agreement.accuracy == pytest.approx(best)
    assert np.trace(agreement.counts) == pytest.approx(200 * best)
    for row, cluster in enumerate(agreement.clusters):
        for column in range(5):
            assert agreement.counts[row, column] == ((clusters == cluster) & (codes == column)).sum()
    assert [agreement.matches[cluster] for cluster in agreement.clusters] == [0, 1, 2, 3, 4]


def test_a_perfect_partition_scores_one_and_a_single_cluster_nothing() -> None:
    codes = np.arange(30) % 3
    perfect = partition("c", certain((codes + 1) % 3, 3), Labels.of(codes)).agreement
    assert perfect is not None
    assert (perfect.accuracy, perfect.nmi, perfect.ari) == pytest.approx((1, 1, 1))
    assert perfect.clusters == (1, 2, 0)
    one = partition("c", certain(np.zeros(30, dtype=int), 1), Labels.of(codes)).agreement
    assert one is not None
    assert (one.accuracy, one.nmi, one.ari) == pytest.approx((1 / 3, 0, 0))


def test_clusters_without_a_label_come_last_and_the_largest_of_them_first() -> None:
    clusters = np.array([0] * 4 + [1] * 9 + [2] * 2 + [4] * 3)
    codes = np.array([0] * 4 + [1] * 9 + [0] * 2 + [0] * 3)
    agreement = partition("c", certain(clusters, 6), Labels.of(codes)).agreement
    assert agreement is not None
    assert agreement.clusters == (0, 1, 4, 2)
    assert agreement.matches == {0: 0, 1: 1}


def test_missing_items_are_not_compared() -> None:
    codes = Labels.of([0, 0, 1])
    agreement = partition("c", belief(np.eye(2)[[0, 0, 0]], [False, False, True]), codes).agreement
    assert agreement is not None
    assert (agreement.accuracy, agreement.labels) == (1, ("0",))


def test_labels_are_words_or_numbers() -> None:
    assert Labels.of(["cat", "ant", "cat"]).names == ("ant", "cat")
    np.testing.assert_array_equal(Labels.of(["cat", "ant", "cat"]).codes, [1, 0, 1])
    assert Labels.of(torch.tensor([7, 5])).names == ("5", "7")
    assert Labels.of([2, 0], ["zero", "one", "two"]).names == ("zero", "two")


def test_labels_that_are_none_are_refused() -> None:
    for values in (np.zeros((3, 2), dtype=int), [0.5, 1.0], []):
        with refused(DataError, "one integer or word for each item"):
            Labels.of(values)
    with refused(DataError, "from 0 to 1", "got 0 to 2"):
        Labels.of([0, 2], ["zero", "one"])
    with refused(DataError, "integer labels"):
        Labels.of(["a"], ["zero"])
