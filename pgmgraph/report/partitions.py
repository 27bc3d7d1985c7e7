"""Partitions: what is believed about a choice among K, and how it agrees with labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.metrics.cluster import contingency_matrix

from pgmgraph.errors import DataError
from pgmgraph.messages import Categorical
from pgmgraph.observation import Values
from pgmgraph.plotting.arrays import as_array
from pgmgraph.scores import accuracy

Array = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Labels:
    """What is known of items and no module has seen.

    Attributes:
        codes: (N,) from 0, places in `names`.
        names: what each label is called, all of them used.
    """

    codes: Integers
    names: tuple[str, ...]

    @classmethod
    def of(cls, values: Values, names: Sequence[str] | None = None) -> Labels:
        """Labels from integers or words, one an item.

        Args:
            values: (N,).
            names: what the integers 0, 1, ... are called; by default themselves.

        Raises:
            DataError: other than one integer or word an item, or an integer without a name.
        """
        array = as_array(values)
        if array.ndim != 1 or not len(array) or array.dtype.kind not in "biuUO":
            raise DataError(
                f"Expected labels as one integer or word for each item; got {array.dtype} of shape {array.shape}."
            )
        found, codes = np.unique(array.astype(str) if array.dtype.kind == "O" else array, return_inverse=True)
        if names is None:
            return cls(codes.astype(np.int64), tuple(str(label) for label in found))
        if array.dtype.kind not in "biu" or found[0] < 0 or found[-1] >= len(names):
            raise DataError(
                f"Expected integer labels from 0 to {len(names) - 1} with {len(names)} names; got {found[0]} to "
                f"{found[-1]}. Give a name for each, or leave the names out."
            )
        return cls(codes.astype(np.int64), tuple(str(names[int(label)]) for label in found))


@dataclass(frozen=True, eq=False)
class Agreement:
    """How clusters and labels go together.

    Attributes:
        clusters: the clusters that have items, matched ones first and in the order of their labels.
        labels: what the columns are.
        counts: (len(clusters), len(labels)) items.
        matches: for the clusters that have one, the place of their label in `Labels.names`: the best matching one to
            one (Kuhn 1955).
        accuracy: the share of items whose cluster's label is theirs.
        nmi: normalised mutual information.
        ari: adjusted Rand index.
    """

    clusters: tuple[int, ...]
    labels: tuple[str, ...]
    counts: Integers
    matches: dict[int, int]
    accuracy: float
    nmi: float
    ari: float


@dataclass(frozen=True, eq=False)
class Partition:
    """What is believed about one discrete variable.

    Attributes:
        variable: its name, such as "gmm.c".
        probabilities: (N, K) float64; zero where nothing was observed.
        clusters: (N,) the most probable one, -1 where nothing was observed.
        agreement: with labels, where there are any.
    """

    variable: str
    probabilities: Array
    clusters: Integers
    agreement: Agreement | None

    @property
    def sizes(self) -> Array:
        """The expected number of items in each cluster, (K,)."""
        return np.asarray(self.probabilities.sum(axis=0))

    @property
    def counts(self) -> Integers:
        """The number of items that each cluster is the most probable one of, (K,)."""
        return np.bincount(self.clusters[self.clusters >= 0], minlength=self.probabilities.shape[1])

    @property
    def certainty(self) -> float:
        """The probability of the most probable cluster, averaged over the items."""
        present = self.clusters >= 0
        return float(self.probabilities[present].max(axis=1).mean())


def partition(variable: str, belief: Categorical, labels: Labels | None) -> Partition:
    """Look at a categorical belief of at least one item that is not missing; `labels` are of the same plate."""
    present = ~belief.missing_rows().cpu().numpy()
    probabilities = belief.probs.detach().double().cpu().numpy() * present[:, None]
    clusters = np.where(present, probabilities.argmax(axis=1), -1).astype(np.int64)
    together = None if labels is None else agreement(clusters[present], labels, present)
    return Partition(variable, probabilities, clusters, together)


def agreement(clusters: Integers, labels: Labels, present: npt.NDArray[np.bool_]) -> Agreement:
    """Compare the clusters of those items that are present with their labels."""
    codes = labels.codes[present]
    table = np.asarray(contingency_matrix(clusters, codes))
    names, columns = np.unique(clusters), np.unique(codes)
    rows, matched = linear_sum_assignment(-table)
    order = [*rows[np.argsort(matched)]]
    alone = [row for row in np.argsort(-table.sum(axis=1), kind="stable") if row not in order]
    ranked = np.array([*order, *alone], dtype=np.int64)
    return Agreement(
        tuple(int(name) for name in names[ranked]),
        tuple(labels.names[int(column)] for column in columns),
        table[ranked].astype(np.int64),
        {int(names[row]): int(columns[column]) for row, column in zip(rows, matched, strict=True)},
        accuracy(clusters, codes),
        float(normalized_mutual_info_score(codes, clusters)),
        float(adjusted_rand_score(codes, clusters)),
    )
