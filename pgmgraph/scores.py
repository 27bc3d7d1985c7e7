"""Scores: how well a discrete belief agrees with labels that no module ever sees."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.metrics.cluster import contingency_matrix

from pgmgraph.errors import DataError, MessageTypeError
from pgmgraph.graph import ModelGraph
from pgmgraph.messages import Categorical, Message
from pgmgraph.observation import Values
from pgmgraph.ports import OutPort

Integers = NDArray[np.int64]


def accuracy(clusters: Integers, labels: Integers) -> float:
    """The share of items whose cluster, matched one to one with the classes, is their class.

    The matching is the best there is (Kuhn 1955, the Hungarian method); clusters and classes may differ in number.

    Example:
        >>> accuracy(np.array([1, 1, 0, 2]), np.array([0, 0, 1, 1]))
        0.75
    """
    table = contingency_matrix(labels, clusters)
    rows, columns = linear_sum_assignment(-table)
    return float(table[rows, columns].sum() / len(labels))


class Scores:
    """Adds accuracy, NMI and ARI of a discrete variable to the history, one column each.

    Give it to `fit` among the callbacks. Labels are seen here alone, never by a module.

    Args:
        variable: the port that exposes the variable, such as `gmm.c`.
        labels: (N,) integers, one an item of the plate.
        prefix: put before the columns' names, to tell two of them apart.

    Raises:
        DataError: labels that are no integers.
    """

    def __init__(self, variable: OutPort, labels: Values, prefix: str = "") -> None:
        if not isinstance(variable, OutPort):
            raise MessageTypeError(f"Expected a port to score, such as gmm.c; got {variable!r}.")
        self.variable = variable
        self.labels = _integers(labels)
        self.prefix = prefix

    def check(self, graph: ModelGraph, items: Mapping[str, int]) -> None:
        """Refuse, before anything is learnt, what cannot be scored.

        Args:
            graph: the graph that the variable is in.
            items: the number of items of each module's plate.

        Raises:
            MessageTypeError: the variable is not discrete.
            DataError: there are not as many labels as items.
        """
        name = graph.name_of(self.variable)
        belief = self.variable.declaration.belief
        if belief is not Categorical:
            raise MessageTypeError(f"Expected a Categorical belief at {name} to score; got {belief.__name__}.", name)
        expected = items.get(name.split(".")[0])
        if expected is not None and expected != len(self.labels):
            raise DataError(f"Expected {expected} labels to score {name} by; got {len(self.labels)}.")

    def score(self, graph: ModelGraph, beliefs: Mapping[str, Message]) -> dict[str, float]:
        """The scores under the given beliefs; nothing while there is none about the variable."""
        name = graph.name_of(self.variable)
        if name not in beliefs:
            return {}
        belief = beliefs[name]
        assert isinstance(belief, Categorical)
        present = ~belief.missing_rows().cpu().numpy()
        clusters: NDArray[Any] = belief.most_probable().cpu().numpy()[present]
        labels = self.labels[present]
        return {
            f"{self.prefix}accuracy": accuracy(clusters, labels),
            f"{self.prefix}nmi": float(normalized_mutual_info_score(labels, clusters)),
            f"{self.prefix}ari": float(adjusted_rand_score(labels, clusters)),
        }


def _integers(labels: Values) -> Integers:
    array = np.asarray(labels)
    if array.ndim != 1 or array.dtype.kind not in "biuf" or not np.array_equal(array, np.trunc(array.astype(float))):
        raise DataError(
            f"Expected labels as one integer for each item; got {array.dtype} of shape {array.shape}. "
            "For words: np.unique(words, return_inverse=True)[1]."
        )
    return array.astype(np.int64)
