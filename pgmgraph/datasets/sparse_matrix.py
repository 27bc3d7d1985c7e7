"""Sparse matrices, as `scipy.sparse.save_npz` writes them: the arrays that they are made of, in one `.npz` archive."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
from scipy import sparse

from pgmgraph.datasets.npy import read_npz
from pgmgraph.errors import DataFileError

# By format: what is kept beside the values. Compressed columns and coordinates are turned into compressed rows.
FORMATS = {"csr": ("indices", "indptr"), "csc": ("indices", "indptr"), "coo": ("row", "col")}

# Turning costs memory for every row, empty or not, and a false shape may announce any number of rows.
MAX_ROWS_TURNED = 1 << 27


def is_matrix(names: Collection[str]) -> bool:
    """Whether an archive with arrays of these names holds a sparse matrix."""
    return {"format", "shape", "data"} <= set(names)


def read_matrix(path: Path) -> sparse.csr_array:
    """The sparse matrix (N, V) of an archive, rows compressed.

    Raises:
        DataFileError: the archive is corrupt, its arrays contradict one another, or they are no real matrix in one of
            the formats CSR, CSC and COO.
    """
    format = _format(path)
    values = cast("npt.NDArray[np.float64]", _vector(path, "data", "biuf"))
    first, second, sizes = (
        cast("npt.NDArray[np.int64]", _vector(path, name, "iu")) for name in (*FORMATS[format], "shape")
    )
    shape = tuple(sizes.tolist())
    if len(shape) != 2 or min(shape) < 0 or (format != "csr" and shape[0] > MAX_ROWS_TURNED):
        raise _contradictory(path, f"the shape {shape} in the format {format}")
    try:
        if format == "coo":
            return sparse.csr_array(sparse.coo_array((values, (first, second)), shape))
        compressed = sparse.csr_array if format == "csr" else sparse.csc_array
        matrix = compressed((values, first, second), shape)
        matrix.check_format(full_check=True)
        return sparse.csr_array(matrix)
    except (ValueError, OverflowError, MemoryError) as error:
        raise _contradictory(path, str(error)) from error


def _format(path: Path) -> str:
    found = read_npz(path, "format")
    name = found.item() if found.ndim == 0 else found.dtype
    format = name.decode("latin-1") if isinstance(name, bytes) else str(name)
    if format not in FORMATS:
        raise DataFileError(
            f"Expected a sparse matrix in the format {', '.join(FORMATS)} in {path}; got {format!r}. Write it again: "
            "scipy.sparse.save_npz(path, matrix.tocsr()).",
            path,
        )
    return format


def _vector(path: Path, name: str, kinds: str) -> npt.NDArray[np.generic]:
    """An array of the archive with one dimension, of one of numpy's kinds of types."""
    found = read_npz(path, name)
    if found.ndim != 1 or found.dtype.kind not in kinds:
        raise _contradictory(path, f"{name} of shape {found.shape} and type {found.dtype}")
    return found


def _contradictory(path: Path, found: str) -> DataFileError:
    return DataFileError(
        f"Expected a sparse matrix of real numbers in {path} whose arrays agree; got {found}. Write it by "
        "scipy.sparse.save_npz again.",
        path,
    )
