"""Sparse matrices of any kind are observed as their dense ones are, and never made dense as a whole."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse

from pgmgraph import Categorical, Gaussian, ModelGraph, Observation, Point, SparsePoint, fit, infer
from pgmgraph.errors import DataError
from pgmgraph.messages import convert
from pgmgraph.provenance import describe
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.lda import LDA
from pgmgraph_modules.linear_gaussian import PPCA
from tests.refusals import refused

torch.set_num_threads(1)

COUNTS = np.random.default_rng(0).poisson(0.4, (40, 7)).astype(np.float64)
MISSING = np.arange(40) % 5 == 0


def of_torch(values: torch.Tensor, layout: torch.layout) -> torch.Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CS. tensor support is in beta")
        return values.to_sparse(layout=layout)


MATRICES = {
    "csr matrix": sparse.csr_matrix(COUNTS),
    "csr array": sparse.csr_array(COUNTS),
    "csc": sparse.csc_array(COUNTS),
    "coo": sparse.coo_array(COUNTS),
    "lil": sparse.lil_array(COUNTS),
    "bytes": sparse.csr_array(COUNTS.astype(np.uint8)),
    "words of 16 bits": sparse.csr_array(COUNTS.astype(np.uint16)),
    "extended": sparse.csr_array(COUNTS.astype(np.longdouble)),
    "torch csr": of_torch(torch.from_numpy(COUNTS), torch.sparse_csr),
    "torch coo": torch.from_numpy(COUNTS).to_sparse_coo(),
    "torch bfloat16": torch.from_numpy(COUNTS).bfloat16().to_sparse_coo(),
}


def dense(observation: Observation) -> torch.Tensor:
    point = convert(observation.point.to(dtype=torch.float64), Point)
    assert isinstance(point, Point)
    return point.value


@pytest.mark.parametrize("matrix", MATRICES.values(), ids=MATRICES)
def test_every_kind_of_matrix_is_observed_as_it_is(matrix: Any) -> None:  # whatever is called a matrix
    observation = Observation(matrix)
    assert isinstance(observation.point, SparsePoint)
    assert torch.equal(dense(observation), torch.from_numpy(COUNTS))
    assert observation.value_range == (0.0, COUNTS.max())
    assert torch.equal(dense(observation.part(slice(3, 9))), torch.from_numpy(COUNTS[3:9]))
    assert len(observation.absent(4)) == 4


def test_compressed_sorted_rows_are_looked_at_and_not_copied() -> None:
    matrix = sparse.csr_array(COUNTS)
    point = Observation(matrix).point
    assert isinstance(point, SparsePoint)
    assert point.values.data_ptr() == matrix.data.ctypes.data
    assert point.columns.data_ptr() == matrix.indices.ctypes.data


def test_entries_of_one_place_add_up_and_the_matrix_stays_as_it_was() -> None:
    matrix = sparse.csr_array((np.array([1.0, 2.0, 4.0]), np.array([2, 0, 2]), np.array([0, 3, 3])), shape=(2, 3))
    assert dense(Observation(matrix)).tolist() == [[2.0, 0.0, 5.0], [0.0, 0.0, 0.0]]
    assert matrix.data.tolist() == [1.0, 2.0, 4.0]
    assert matrix.indices.tolist() == [2, 0, 2]


def test_the_range_counts_zeros_that_are_left_out_and_no_row_that_is_missing() -> None:
    assert Observation(sparse.csr_array(np.array([[2.0, 3.0], [4.0, 5.0]]))).value_range == (2.0, 5.0)
    assert Observation(sparse.csr_array(np.array([[2.0, 0.0], [4.0, 5.0]])), scale=2).value_range == (0.0, 10.0)
    missing = np.array([True, False])
    assert Observation(sparse.csr_array(np.array([[-2.0, 0.0], [4.0, 5.0]])), missing=missing).value_range == (4.0, 5.0)
    assert Observation(sparse.csr_array((2, 3))).value_range == (0.0, 0.0)


def test_what_is_no_matrix_of_finite_real_numbers_is_refused() -> None:
    broken = sparse.csr_array(COUNTS)
    broken.data[broken.indptr[3]], broken.data[broken.indptr[11]] = np.nan, np.inf
    with refused(DataError, "NaN or infinity in 2 of 40 rows: 3, 11") as caught:
        Observation(broken)
    assert caught.value.rows == (3, 11)
    hidden = np.zeros(40, dtype=bool)
    hidden[[3, 11]] = True
    assert np.isfinite(Observation(broken, missing=hidden).value_range).all()
    with refused(DataError, "real numbers", "complex128"):
        Observation(sparse.csr_array(COUNTS.astype(complex)))
    with refused(DataError, "real values", "complex64"):
        Observation(torch.ones(2, 2, dtype=torch.complex64).to_sparse())
    with refused(DataError, "torch.sparse_csr", "sparse_csc"):
        Observation(of_torch(torch.ones(2, 2), torch.sparse_csc))
    with refused(DataError, "matrix (N, V)", "(2, 2, 2)"):
        Observation(torch.ones(2, 2, 2).to_sparse_coo())
    with refused(DataError, "at least one row and one column", "(0, 3)"):
        Observation(sparse.csr_array((0, 3)))
    wrong = sparse.csr_array(COUNTS)
    wrong.indices[5] = 7
    with refused(DataError, "indices agree", "for an Observation"):
        Observation(wrong)
    with refused(DataError, "within [0, inf]", "from -3 to 0"):
        lda_of(Observation(sparse.csr_array(-COUNTS)))[0].check()


def lda_of(observation: Observation) -> tuple[ModelGraph, LDA]:
    graph = ModelGraph(words=observation, lda=(lda := LDA(topics=3, batch_size=16)))
    graph.connect(observation.value, lda.x["words"])
    return graph, lda


def test_an_lda_learns_from_sparse_rows_what_it_learns_from_dense_ones() -> None:
    found = []
    for values in (COUNTS, sparse.csr_array(COUNTS), of_torch(torch.from_numpy(COUNTS), torch.sparse_csr)):
        graph, lda = lda_of(Observation(values, missing=MISSING))
        result = fit(graph, rounds=3, seed=1)
        found.append((result.history["F"], lda.words("words"), result.beliefs["lda.z"].missing_rows()))
    for history, words, missing in found[1:]:
        assert history == pytest.approx(found[0][0], rel=1e-12)
        torch.testing.assert_close(words, found[0][1])
        assert torch.equal(missing, found[0][2])


def test_modules_that_know_only_dense_values_cope() -> None:
    found = []
    for values in (COUNTS, sparse.csr_array(COUNTS)):
        graph = ModelGraph(words=Observation(values, missing=MISSING), ppca=PPCA(2), gmm=GMM(2))
        graph.connect(graph.observations["words"].value, graph.modules["ppca"].x)  # type: ignore[attr-defined]
        graph.connect(graph.modules["ppca"].z, graph.modules["gmm"].x)  # type: ignore[attr-defined]
        result = fit(graph, rounds=3)
        beliefs = infer(graph, {"words": values[:9]}, predict=["words"])
        z, words = beliefs["ppca.z"], beliefs["words"]
        assert isinstance(z, Gaussian)
        assert isinstance(words, Point)
        found.append((result.history["F"], z.mean, words.value))
    assert found[1][0] == pytest.approx(found[0][0], rel=1e-12)
    torch.testing.assert_close(found[1][1], found[0][1])
    torch.testing.assert_close(found[1][2], found[0][2])


def test_the_fingerprint_is_that_of_the_entries() -> None:
    first = describe(Observation(sparse.csr_array(COUNTS)).point)
    assert describe(Observation(sparse.coo_array(COUNTS)).point) == first
    other = COUNTS.copy()
    other[3, 4] += 1
    assert describe(Observation(sparse.csr_array(other)).point) != first
    moved = np.roll(COUNTS, 1, axis=1)
    assert describe(Observation(sparse.csr_array(moved)).point) != first


def test_other_data_may_be_sparse_where_the_first_were_dense_and_the_other_way_round() -> None:
    for first, second in ((COUNTS, sparse.csr_array(COUNTS)), (sparse.csr_array(COUNTS), COUNTS)):
        graph, _ = lda_of(Observation(first))
        fit(graph, rounds=2)
        expected, found = infer(graph)["lda.z"], infer(graph, {"words": second})["lda.z"]
        assert isinstance(expected, Categorical)
        assert isinstance(found, Categorical)
        torch.testing.assert_close(found.probs, expected.probs)
