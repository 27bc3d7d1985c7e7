"""Tensors and arrays come in alike."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pgmgraph.errors import DataError
from pgmgraph.plotting.arrays import as_array, as_finite_matrix


def test_tensors_are_detached_and_bfloat16_is_widened() -> None:
    values = [[1.0, 2.5], [-3.0, 0.0]]
    for dtype in (torch.float32, torch.bfloat16, torch.float64):
        np.testing.assert_array_equal(as_array(torch.tensor(values, dtype=dtype, requires_grad=True)), values)
    assert as_array(torch.tensor([1, 2])).dtype == np.int64


def test_infinity_is_refused_with_its_rows() -> None:
    with pytest.raises(DataError, match="2 rows, first in row 1") as caught:
        as_finite_matrix([[0.0], [np.nan], [1.0], [np.inf]], "latents")
    assert caught.value.rows == (1, 3)


def test_a_vector_is_no_matrix() -> None:
    with pytest.raises(DataError, match=r"Expected latents of shape \(items, dimensions\); got \(3,\)"):
        as_finite_matrix([1.0, 2.0, 3.0], "latents")
