"""Images of handwritten digits with their labels, and the small set that scikit-learn carries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

BUNDLED_TEST_ROWS = 297


@dataclass(frozen=True, eq=False)
class Digits:
    """Images of digits, split into a training and a test set.

    Attributes:
        name: what the set is called, e.g. "mnist".
        train_images: (N, pixels) uint8, row-major, 0 is black and 255 is white.
        train_labels: (N,) int64, the digit that each image shows.
        test_images: (M, pixels) uint8.
        test_labels: (M,) int64.
        image_shape: height and width of an image in pixels; their product is `pixels`.
    """

    name: str
    train_images: npt.NDArray[np.uint8]
    train_labels: npt.NDArray[np.int64]
    test_images: npt.NDArray[np.uint8]
    test_labels: npt.NDArray[np.int64]
    image_shape: tuple[int, int]


def load_bundled_digits() -> Digits:
    """The 1,797 digits of 8 x 8 pixels that come with scikit-learn; the last 297 are the test set.

    No file and no network is needed. The grey levels 0 to 16 of the source are rescaled to 0 to 255 and rounded.
    """
    # scikit-learn takes a second to import, and most programs never load this set.
    from sklearn.datasets import load_digits

    levels, labels = load_digits(return_X_y=True)
    images = np.rint(np.asarray(levels, dtype=np.float64) * (255 / 16)).astype(np.uint8)
    labels = np.asarray(labels, dtype=np.int64)
    split = len(images) - BUNDLED_TEST_ROWS
    return Digits("digits", images[:split], labels[:split], images[split:], labels[split:], image_shape=(8, 8))
