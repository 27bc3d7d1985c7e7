"""Pixels to bytes, and pictures side by side."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pgmgraph.errors import DataError
from pgmgraph.observation import Values
from pgmgraph.trackers.pictures import as_grey, tiled
from tests.refusals import refused


@pytest.mark.parametrize(
    "images",
    [
        torch.tensor([[0.0, 1.0, 0.5, -2.0], [2.0, 0.25, torch.nan, 0.999]]),
        np.array([[0, 255, 128, -9], [300, 64, 0, 255]]),
    ],
    ids=["floats", "integers"],
)
def test_floats_from_0_to_1_and_integers_to_255_mean_the_same(images: Values) -> None:
    assert as_grey(images, (2, 2)).tolist() == [[[0, 255], [128, 0]], [[255, 64], [0, 255]]]


def test_images_keep_their_shape() -> None:
    images = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    assert np.array_equal(as_grey(images, None), images)
    assert np.array_equal(as_grey(images.reshape(2, 12), (3, 4)), images)


def test_other_shapes_are_refused() -> None:
    with refused(DataError, "(N, 64)", "(2, 65)", "image_shape"):
        as_grey(np.zeros((2, 65)), (8, 8))
    with refused(DataError, "(N, H, W)", "(2, 64)"):
        as_grey(np.zeros((2, 64)), None)
    with refused(DataError, "(8, 8)", "(2, 4, 16)"):
        as_grey(np.zeros((2, 4, 16)), (8, 8))


def test_tiles_stand_in_rows() -> None:
    images = np.stack([np.full((2, 3), value, np.uint8) for value in (1, 2, 3)])
    assert tiled(images, columns=2).tolist() == [
        [1, 1, 1, 0, 2, 2, 2],
        [1, 1, 1, 0, 2, 2, 2],
        [0, 0, 0, 0, 0, 0, 0],
        [3, 3, 3, 0, 0, 0, 0],
        [3, 3, 3, 0, 0, 0, 0],
    ]
    assert tiled(images, columns=3, gap=0).tolist() == [[1, 1, 1, 2, 2, 2, 3, 3, 3]] * 2
