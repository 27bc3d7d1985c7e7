"""Sparse matrices are read as scipy wrote them, and whatever contradicts itself is refused."""

from __future__ import annotations

from mmap import mmap
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse

from pgmgraph import Observation, SparsePoint
from pgmgraph.datasets import arrays, read_labels, read_values, write_npy
from pgmgraph.errors import DataFileError
from tests.datasets import files_made
from tests.datasets.files_made import COUNTS, damaged, npz, write
from tests.refusals import refused

Format = Literal["csr", "csc", "coo"]
FORMATS: tuple[Format, ...] = ("csr", "csc", "coo")
PARTS: dict[str, NDArray[np.generic]] = {
    "format": np.array(b"csr"),
    "shape": np.array([2, 3]),
    "data": np.array([1.0, 2.0]),
    "indices": np.array([0, 2]),
    "indptr": np.array([0, 1, 2]),
}


def whole(source: Path) -> NDArray[np.generic]:
    matrix = read_values(source)
    assert isinstance(matrix, sparse.csr_array)
    dense: NDArray[np.generic] = matrix.toarray()
    return dense


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("kind", [sparse.csr_array, sparse.csr_matrix])
@pytest.mark.parametrize("dtype", ["bool", "u1", "i8", "f4", "f8"])
def test_a_matrix_is_read_as_it_was_written(
    tmp_path: Path, format: Format, compressed: bool, kind: type[sparse.csr_array], dtype: str
) -> None:
    sparse.save_npz(tmp_path / "a.npz", kind(COUNTS.astype(dtype)).asformat(format), compressed)
    read = read_values(tmp_path / "a.npz")
    assert isinstance(read, sparse.csr_array)
    assert (read.dtype, read.has_sorted_indices) == (np.dtype(dtype), True)
    np.testing.assert_array_equal(read.toarray(), COUNTS.astype(dtype))


def test_rows_and_matrices_without_entries_are_kept(tmp_path: Path) -> None:
    for format in FORMATS:
        sparse.save_npz(tmp_path / "a.npz", sparse.csr_array((4, 3)).asformat(format))
        np.testing.assert_array_equal(whole(tmp_path / "a.npz"), np.zeros((4, 3)))


def test_an_observation_takes_it_as_it_is(tmp_path: Path) -> None:
    matrix = read_values(write(tmp_path, "a.npz", npz(PARTS)))
    observed = Observation(matrix).point
    assert isinstance(observed, SparsePoint)
    np.testing.assert_array_equal(observed.dense().value, [[1, 0, 0], [0, 0, 2]])


def test_its_parts_are_arrays_like_others(tmp_path: Path) -> None:
    source = write(tmp_path, "a.npz", npz(PARTS))
    np.testing.assert_array_equal(np.asarray(read_values(f"{source}#indptr")), [0, 1, 2])
    np.testing.assert_array_equal(read_labels(f"{source}#indices"), [0, 2])
    with refused(DataFileError, "one array", "indptr"):
        read_labels(source)


@pytest.mark.parametrize(
    ("altered", "said"),
    [
        ({"format": np.array(b"dia")}, "in the format csr, csc, coo"),
        ({"format": np.array(b"\xff")}, "matrix.tocsr()"),
        ({"format": np.array(3.5)}, "got '3.5'"),
        ({"shape": np.array([2, 3, 1])}, "the shape (2, 3, 1)"),
        ({"shape": np.array([], dtype=np.int64)}, "the shape ()"),
        ({"shape": np.array([-2, 3])}, "the shape (-2, 3)"),
        ({"shape": np.array([2.0, 3.0])}, "shape of shape (2,) and type float64"),
        ({"shape": np.array([3, 3])}, "index pointer size"),
        ({"shape": np.array([2, 2])}, "indices"),
        ({"shape": np.array([0, 3]), "indptr": np.array([0]), "data": np.empty(0), "indices": np.arange(0)}, "(0, 3)"),
        ({"data": np.array(["a", "b"])}, "data of shape (2,) and type <U1"),
        ({"data": np.ones((2, 1))}, "data of shape (2, 1)"),
        ({"data": np.ones(3)}, "same size"),
        ({"indices": np.array([0, 2**40])}, "indices"),
        ({"indices": np.array([-1, 2])}, "indices"),
        ({"indices": np.array([0.0, np.nan])}, "type float64"),
        ({"indptr": np.array([0, 2, 1])}, "indptr"),
        ({"indptr": np.array([0, 1, 9])}, "Last value of index pointer"),
        ({"format": np.array(b"csc"), "shape": np.array([3, 2]), "indices": np.array([0, 3])}, "indices"),
        ({"format": np.array(b"csc"), "shape": np.array([10**12, 2])}, "the shape (1000000000000, 2)"),
        ({"format": np.array(b"coo"), "row": np.array([0, 2]), "col": np.array([0, 2])}, "axis 0 index 2"),
        ({"format": np.array(b"coo"), "row": np.array([0, 1]), "col": np.array([0, -9])}, "negative"),
        ({"format": np.array(b"coo"), "row": np.array([0, 1]), "col": np.array([0])}, "same length"),
        ({"format": np.array(b"coo"), "row": np.array([0, 1])}, "array 'col'"),
    ],
)
def test_parts_that_contradict_one_another_are_refused(
    tmp_path: Path, altered: dict[str, NDArray[np.generic]], said: str
) -> None:
    source = write(tmp_path, "a.npz", npz({**PARTS, **altered}))
    with refused(DataFileError, str(source), said):
        read_values(source)


def test_no_python_object_is_loaded(tmp_path: Path) -> None:
    source = write(tmp_path, "a.npz", npz({**PARTS, "format": np.array("csr", dtype=object)}))
    with refused(DataFileError, "Python objects"):
        read_values(source)


def test_damage_is_never_read_wrongly(tmp_path: Path) -> None:
    content = files_made.FILES["counts.npz"]()
    random = np.random.default_rng(0)
    for _ in range(150):
        source = write(tmp_path, "counts.npz", damaged(content, random))
        try:
            read = whole(source)
        except DataFileError:
            continue
        np.testing.assert_array_equal(read, COUNTS)


def test_what_is_large_goes_to_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write(tmp_path, "counts.npz", files_made.FILES["counts.npz"]())
    monkeypatch.setattr(arrays, "IN_MEMORY_BYTES", 8)
    read = read_values(source)
    assert isinstance(read, sparse.csr_array)
    lowest: object = read.data
    while isinstance(lowest, np.ndarray):
        lowest = lowest.base
    assert isinstance(lowest, mmap)
    np.testing.assert_array_equal(read.toarray(), COUNTS)


def test_it_is_not_written_as_a_dense_array(tmp_path: Path) -> None:
    source = write(tmp_path, "counts.npz", files_made.FILES["counts.npz"]())
    with refused(DataFileError, str(source), "a dense array", "sparse matrix", "Observation"):
        write_npy(source, tmp_path / "whole.npy")
    assert not (tmp_path / "whole.npy").exists()
