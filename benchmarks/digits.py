"""The images that `benchmarks.accuracy` and `benchmarks.speed` learn from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pgmgraph.datasets import Digits, load_bundled_digits, load_mnist


def load(images: Literal["reference"] | int | None, *, bundled: bool, data_dir: Path | None = None) -> Digits:
    """Digits with all their test images and some of the training images.

    Args:
        images: "reference": the first 300 of each digit from image 5,000 on, 0 to 9 in turn, which is what the
            reference learns from; a number: the first so many; None: all.
        bundled: the set that comes with scikit-learn, in the place of MNIST.
        data_dir: folder with MNIST's files; see `load_mnist`.

    Raises:
        DataFileError: MNIST is not to be had.
    """
    digits = load_bundled_digits() if bundled else load_mnist(data_dir)
    labels = digits.train_labels
    rows = reference_rows(labels) if images == "reference" else np.arange(len(labels))[:images]
    return replace(digits, train_images=digits.train_images[rows], train_labels=labels[rows])


def reference_rows(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """The first 300 of each digit from image 5,000 on, 0 to 9 in turn; (3000,)."""
    later = np.arange(len(labels))[5_000:]
    rows: NDArray[np.int64] = np.stack([later[labels[later] == digit][:300] for digit in range(10)], 1).ravel()
    return rows
