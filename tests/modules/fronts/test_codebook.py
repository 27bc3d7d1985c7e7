"""Code words, found by k-means in coordinates that count alike."""

import numpy as np
from sklearn.exceptions import NotFittedError

from pgmgraph_modules.fronts import Codebook
from tests.refusals import refused


class Vectors(Codebook):
    """Items that are their own descriptors, (T, D)."""

    def __init__(self, words=2, random_state=None):
        self.words, self.random_state = words, random_state

    def descriptors(self, item, number):
        return item

    def counted(self, codes):
        return np.bincount(codes, minlength=self.words).astype(np.int32)


def items(scale=(1.0, 1.0), seed=0):
    """Two heaps that differ in the second number alone."""
    generator = np.random.default_rng(seed)
    return [scale * (generator.normal(size=(9, 2)) * [1, 0.05] + [0, place % 2]) for place in range(8)]


def test_words_are_the_heaps_and_counts_their_sizes():
    book = Vectors(random_state=0).fit(items())
    centres = book.words_[book.words_[:, 1].argsort()]
    found = np.concatenate(items())
    heaps = [found[np.abs(found[:, 1] - place) < 0.5].mean(0) for place in (0, 1)]
    np.testing.assert_allclose(centres, heaps, atol=0.2)
    counts = book.transform(items(seed=1))
    assert ((counts == 9).sum(1) == 1).all()
    assert (counts[::2] != counts[1::2]).all()


def test_numbers_count_alike_whatever_their_units():
    one, other = (Vectors(random_state=0).fit(items(scale)) for scale in ((1.0, 1.0), (1e6, 1e-3)))
    np.testing.assert_array_equal(one.transform(items()), other.transform(items((1e6, 1e-3))))


def test_constant_numbers_are_no_division_by_zero():
    held = [np.hstack([one, np.full((9, 1), 4.0)]) for one in items()]
    book = Vectors(random_state=0).fit(held)
    assert book.scale_[2] == 1
    np.testing.assert_array_equal(book.transform(held), Vectors(random_state=0).fit(items()).transform(items()))


def test_codes_are_in_the_order_of_the_descriptors():
    book = Vectors(random_state=0).fit(items())
    [codes] = book.codes([np.array([[0, 0], [0, 1], [0, 0]], dtype=float)])
    assert codes[0] == codes[2] != codes[1]


def test_too_few_descriptors_and_no_fit_are_refused():
    with refused(ValueError, "as many descriptors as words", "got 9 from 1 items, and words=10"):
        Vectors(10).fit(items()[:1])
    with refused(NotFittedError, "Vectors has learnt no words yet. Call fit first."):
        Vectors().transform(items())
    with refused(ValueError, "finite real numbers in item 3"):
        Vectors().fit([*items()[:3], np.array(["words"])])
