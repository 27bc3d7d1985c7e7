"""Fitting an estimator of scikit-learn's kind to what lies in the mail."""

from __future__ import annotations

from typing import Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pgmgraph import Context
from pgmgraph.errors import LearningError

Array = NDArray[np.float64]


class Estimator(Protocol):
    """What is needed of an estimator to fit it."""

    def fit(self, X: Array) -> object:
        """Learn from (n, columns)."""

    def get_params(self, deep: bool = True) -> dict[str, object]:
        """The parameters by name; with `deep`, also those of estimators inside."""

    def set_params(self, **parameters: object) -> object:
        """Change parameters."""


AnEstimator = TypeVar("AnEstimator", bound=Estimator)


def seeded(estimator: AnEstimator) -> AnEstimator:
    """The estimator with a random state from torch's generator, wherever it and those inside it have none."""
    open_ones = [
        name
        for name, value in sorted(estimator.get_params().items())
        if value is None and (name == "random_state" or name.endswith("__random_state"))
    ]
    estimator.set_params(**{name: int(torch.randint(2**31 - 1, ())) for name in open_ones})
    return estimator


def fitted_to(estimator: Estimator, values: Array, context: Context) -> None:
    """Fit the estimator to (n, columns).

    Raises:
        LearningError: it refuses them.
    """
    try:
        estimator.fit(values)
    except ValueError as error:
        n, columns = values.shape
        raise LearningError(
            f"{type(estimator).__name__} of {context.name} cannot be fitted to {n} x {columns} values: {error}",
            context.name,
            context.round,
        ) from error


def rows(values: Tensor) -> Array:
    """Values as (n, columns), not to be written to: they lie in the mail, and belong to others."""
    laid_out: Array = values.reshape(len(values), -1).cpu().numpy()
    laid_out.flags.writeable = False
    return laid_out


def dense(made: object) -> Array:
    """What a transformer returns, as an array, whatever else it is: a sparse matrix, a table."""
    return np.asarray(made.toarray() if hasattr(made, "toarray") else made, dtype=np.float64)
