"""A codebook: the words that descriptors of sounds and images are rounded to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.cluster import MiniBatchKMeans
from sklearn.exceptions import NotFittedError
from sklearn.metrics import pairwise_distances_argmin
from sklearn.utils import check_random_state

Array = NDArray[np.float64]
Counts = NDArray[np.int32]


class Codebook(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """Items as counts of code words: descriptors of each item, each rounded to the nearest of `words` centres.

    Descriptors are divided by their deviations, so that each of their numbers counts alike. Centres are found by
    minibatch k-means (Sculley, 2010) on all descriptors of the items that are fitted. It is a transformer of
    scikit-learn's kind: it can be cloned, and stands in a `Pipeline`, or in `SklearnTransform` where items are rows
    of numbers.

    A subclass gives `descriptors` and `counted`.

    Attributes:
        words_: (words, D) the centres, in the coordinates of the descriptors.
        scale_: (D,) what descriptors are divided by before distances are taken.
    """

    words: int
    random_state: int | None
    words_: Array
    scale_: Array

    def descriptors(self, item: Array, number: int) -> Array:
        """Those of one item, (T, D); `number` is its place, for what is refused."""
        raise NotImplementedError

    def counted(self, codes: NDArray[np.intp]) -> Counts:
        """The counts of one item, (V,), from the code words of its descriptors, (T,)."""
        raise NotImplementedError

    def fit(self, X: Sequence[Array] | Array, y: object = None) -> Self:
        """Learn the words from items.

        Raises:
            ValueError: items or parameters that cannot serve; items by their place.
        """
        if self.words < 1:
            raise ValueError(f"Expected words of at least 1; got {self.words}.")
        found = np.concatenate(self._described(X))
        if len(found) < self.words:
            raise ValueError(
                f"Expected at least as many descriptors as words; got {len(found)} from {len(X)} items, and "
                f"words={self.words}. Ask for fewer words, or give more items."
            )
        spread = found.std(0)
        self.scale_ = np.where(spread > 0, spread, 1.0)
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        means = MiniBatchKMeans(self.words, n_init=3, random_state=seed).fit(found / self.scale_)
        self.words_ = means.cluster_centers_ * self.scale_
        return self

    def transform(self, X: Sequence[Array] | Array) -> Counts:
        """The counts of items, (N, V) int32.

        Raises:
            NotFittedError: no words were learnt yet.
            ValueError: items that cannot serve, by their place.
        """
        return np.stack([self.counted(self._codes(one)) for one in self._described(X)])

    def codes(self, X: Sequence[Array] | Array) -> list[NDArray[np.intp]]:
        """The code word of each descriptor of each item, (T,) each."""
        return [self._codes(one) for one in self._described(X)]

    def _codes(self, descriptors: Array) -> NDArray[np.intp]:
        if not hasattr(self, "words_"):
            raise NotFittedError(f"{type(self).__name__} has learnt no words yet. Call fit first.")
        nearest: NDArray[np.intp] = pairwise_distances_argmin(descriptors / self.scale_, self.words_ / self.scale_)
        return nearest

    def _described(self, X: Sequence[Array] | Array) -> list[Array]:
        if len(X) == 0:
            raise ValueError(f"Expected at least one item for {type(self).__name__}; got none.")
        return [self.descriptors(_finite(item, number), number) for number, item in enumerate(X)]


def _finite(item: object, number: int) -> Array:
    """An item as numbers."""
    values = np.asarray(item)
    if values.dtype.kind not in "biuf" or not np.isfinite(values).all():
        raise ValueError(f"Expected finite real numbers in item {number}; got {values.dtype}, NaN or infinity in it.")
    return values
