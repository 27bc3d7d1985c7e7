"""The bundled digits: sizes, scale and split."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from sklearn.datasets import load_digits

from pgmgraph.datasets import Digits, load_bundled_digits


@pytest.fixture(scope="module")
def digits() -> Digits:
    return load_bundled_digits()


def test_the_last_297_rows_are_the_test_set(digits: Digits) -> None:
    _, labels = load_digits(return_X_y=True)
    assert digits.name == "digits"
    assert digits.image_shape == (8, 8)
    assert digits.train_images.shape == (1500, 64)
    assert digits.test_images.shape == (297, 64)
    np.testing.assert_array_equal(np.concatenate([digits.train_labels, digits.test_labels]), labels)
    assert digits.train_labels.dtype == digits.test_labels.dtype == np.int64


def test_grey_levels_are_rescaled_by_rounding(digits: Digits) -> None:
    levels, _ = load_digits(return_X_y=True)
    images = np.concatenate([digits.train_images, digits.test_images])
    assert images.dtype == np.uint8
    assert (images.min(), images.max()) == (0, 255)
    np.testing.assert_array_equal(np.rint(images / 255 * 16), levels)
    assert np.abs(images - levels * 255 / 16).max() <= 0.5


def test_digits_are_frozen(digits: Digits) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        digits.name = "other"  # type: ignore[misc]
