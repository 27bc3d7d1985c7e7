"""Which images are learnt from."""

import numpy as np
import pytest

from benchmarks.digits import load, reference_rows
from pgmgraph.datasets import load_bundled_digits


def test_the_reference_rows_are_the_first_300_of_each_digit_from_5000_on_in_turn():
    labels = np.random.default_rng(0).integers(10, size=12_000)
    rows = reference_rows(labels)
    assert rows.shape == (3_000,)
    assert rows.min() >= 5_000
    assert (labels[rows] == np.tile(np.arange(10), 300)).all()
    for digit in range(10):
        assert rows[digit::10].tolist() == [row for row in range(5_000, 12_000) if labels[row] == digit][:300]


@pytest.mark.parametrize(("images", "n"), [(200, 200), (None, 1_500)])
def test_the_first_so_many_are_learnt_from_and_all_test_images_stay(images, n):
    whole, part = load_bundled_digits(), load(images, bundled=True)
    assert (part.train_images == whole.train_images[:n]).all()
    assert (part.train_labels == whole.train_labels[:n]).all()
    assert len(part.test_labels) == len(whole.test_labels)
