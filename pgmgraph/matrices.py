"""Sparse matrices, of scipy or torch, as messages."""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias, TypeGuard

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from pgmgraph.errors import DataError
from pgmgraph.messages import SparsePoint

_ENTRIES_AT_ONCE = 2**20
_LAYOUTS = (torch.sparse_csr, torch.sparse_coo)

# Entries, their columns, and where the rows begin and end.
_Arrays: TypeAlias = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]


class SparseMatrix(Protocol):
    """A sparse matrix or array of scipy, of any format."""

    @property
    def ndim(self) -> int:
        """2 of a matrix."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, V)."""

    def tocsr(self) -> sparse.csr_array | sparse.csr_matrix:
        """The same, rows compressed; itself where it is so already."""


def is_sparse(values: object) -> TypeGuard[SparseMatrix | Tensor]:
    """Whether values are a sparse matrix, or a tensor of a sparse layout."""
    if isinstance(values, Tensor):
        return values.layout != torch.strided
    return bool(sparse.issparse(values))


def sparse_point(values: SparseMatrix | Tensor, where: str, name: str | None) -> SparsePoint:
    """The rows of a sparse matrix, on the CPU. Rows that are compressed (CSR) and sorted are looked at, not copied.

    Args:
        values: (N, V), real; a matrix of scipy, or a tensor of layout `torch.sparse_csr` or `torch.sparse_coo`.
        where: for whom, as error messages have it.
        name: of the observation, for the error.

    Raises:
        DataError: it is no matrix of real numbers, or its indices contradict one another.
    """
    if values.ndim != 2 or (isinstance(values, Tensor) and values.dense_dim()):
        raise DataError(f"Expected a sparse matrix (N, V) {where}; got shape {tuple(values.shape)}.", name)
    found = _of_torch(values, where, name) if isinstance(values, Tensor) else _of_scipy(values)
    if found[0].dtype.kind not in "biuf":
        raise DataError(f"Expected real numbers {where}; got a sparse matrix of {found[0].dtype}.", name)
    try:
        # Around the same arrays: what scipy finds out and mends is then noted in an object of our own.
        rows = sparse.csr_array(found, shape=(int(values.shape[0]), int(values.shape[1])))
        rows.check_format()
    except ValueError as error:
        raise DataError(f"Expected a sparse matrix {where} whose indices agree: {error}.", name) from error
    if not rows.has_canonical_format:
        rows = rows.copy()
        rows.sum_duplicates()
    data = rows.data
    if data.dtype.kind == "f" and data.dtype.itemsize > 8:
        data = data.astype(np.float64)
    if data.dtype.kind == "u" and data.dtype.itemsize > 1:
        data = data.astype(np.int64)  # torch has no arithmetic on wider unsigned integers
    pointers = torch.from_numpy(rows.indptr.astype(np.int64))
    return SparsePoint(
        pointers[:-1], pointers[1:], torch.from_numpy(rows.indices), torch.from_numpy(data), int(rows.shape[1])
    )


def _of_scipy(values: SparseMatrix) -> _Arrays:
    rows = values.tocsr()
    return rows.data, rows.indices, rows.indptr


def _of_torch(values: Tensor, where: str, name: str | None) -> _Arrays:
    if values.is_complex() or values.layout not in _LAYOUTS:
        raise DataError(
            f"Expected real values {where}, dense or in the layout {' or '.join(map(str, _LAYOUTS))}; got "
            f"{values.dtype}, {values.layout}.",
            name,
        )
    values = values.detach().cpu()
    if values.dtype == torch.bfloat16:
        values = values.float()  # numpy has no such numbers
    if values.layout == torch.sparse_csr:
        return values.values().numpy(), values.col_indices().numpy(), values.crow_indices().numpy()
    values = values.coalesce()
    rows, columns = values.indices()
    ends = torch.bincount(rows, minlength=values.shape[0]).cumsum(0)
    return values.values().numpy(), columns.numpy(), torch.cat([ends.new_zeros(1), ends]).numpy()


def stored_range(point: SparsePoint, missing: Tensor | None) -> tuple[float, float, list[int]]:
    """The smallest and the largest value of the rows that are not missing, and the rows with NaN or infinity.

    A place that is left out holds a zero.
    """
    low, high = float("inf"), float("-inf")
    bad: list[int] = []
    kept = torch.arange(len(point)) if missing is None else (~missing).nonzero().flatten()
    longest = int(point.lengths.amax())
    for rows in kept.split(max(1, _ENTRIES_AT_ONCE // max(1, longest))):
        part = point[rows].compact()
        if int(part.lengths.amin()) < part.width:
            low, high = min(low, 0.0), max(high, 0.0)
        if not len(part.values):
            continue
        smallest, largest = (float(bound) for bound in part.values.aminmax())
        if not (np.isfinite(smallest) and np.isfinite(largest)):
            bad.extend(rows[part.rows()[~torch.isfinite(part.values)].unique()].tolist())
        low, high = min(low, smallest), max(high, largest)
    return low, high, bad
