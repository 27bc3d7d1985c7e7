"""What the pictures take: anything that numpy or torch can make an array of."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from pgmgraph.errors import DataError

Values: TypeAlias = npt.ArrayLike | torch.Tensor


def as_array(values: Values) -> npt.NDArray[np.generic]:
    """`values` as a numpy array: tensors are detached and fetched, and bfloat16, which numpy lacks, is widened."""
    if isinstance(values, torch.Tensor):
        fetched = values.detach().cpu()
        return np.asarray((fetched.double() if fetched.is_floating_point() else fetched).numpy())
    return np.asarray(values)


def as_finite_matrix(values: Values, name: str) -> npt.NDArray[np.float64]:
    """`values` as an (N, D) float64 array; `name` says in errors what they are.

    Raises:
        DataError: there are other than two dimensions, or NaN or infinity (`rows` are the first ten culprits).
    """
    matrix = as_array(values).astype(np.float64)
    if matrix.ndim != 2:
        raise DataError(f"Expected {name} of shape (items, dimensions); got {matrix.shape}. Reshape them.")
    rows = np.flatnonzero(~np.isfinite(matrix).all(axis=1))
    if rows.size:
        culprits = tuple(int(row) for row in rows[:10])
        raise DataError(
            f"Expected finite {name}; got NaN or infinity in {rows.size} rows, first in row {rows[0]}. "
            f"Leave missing rows out.",
            rows=culprits,
        )
    return matrix
