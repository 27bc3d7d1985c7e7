"""A transformer of scikit-learn between two modules."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Mapping
from typing import Protocol

import numpy as np
import torch
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from torch import Tensor

from pgmgraph import Batches, Point
from pgmgraph.errors import NotFittedError, ShapeError
from pgmgraph_modules.transforms.fitted import as_state, from_state
from pgmgraph_modules.transforms.fitting import Array, Estimator, dense, fitted_to, rows, seeded
from pgmgraph_modules.transforms.transform import Transform


class Transformer(Estimator, Protocol):
    """What is needed of a transformer: scikit-learn's interface, which UMAP and others have as well."""

    def transform(self, X: Array) -> Array:
        """(n, columns) to (n, D), for rows that were fitted and for new ones."""


class SklearnTransform(Transform):
    """y_n = f(x_n), where f is any transformer of scikit-learn's kind: PCA, a scaler, a pipeline, UMAP.

    f is fitted once, to the whole plate at the first update. It goes one way, and has no term in F: see `Transform`.

    Ports:
        x: values of any event shape, flattened. Asked to predict, it sends f's inverse of y.
        y: vectors, float64. They are known, not believed: a parent takes them as certain.

    Args:
        transformer: an estimator with `fit` and `transform`. It is cloned, and stays as it is. A parameter
            `random_state` that is None is set in the clone, from the seed of `fit`; UMAP then runs on one thread.
        dimensions: D, the columns of y; by default the transformer's `n_components`, or the columns of x
            where it has no such parameter.
        refit: whether each later update fits again, to what x is by then. y may then mean something else
            in each round, and modules above begin to learn anew.
        prefit: whether the transformer is fitted already, and is used as it is.

    The state holds what was fitted as tensors and plain values, where it consists of them, as in most of
    scikit-learn. Where it does not, as in UMAP, the state holds the estimator itself: enough to undo an
    update, but no file takes it. Write such an estimator by itself with joblib, and use `prefit`.

    `send` takes the whole plate at once: UMAP knows the very values that it was fitted to, and returns its
    embedding of them instead of approximating it. The values that it learns from are cast to float64 at once, too.

    Raises:
        ValueError: an estimator that cannot serve, or `dimensions` that cannot be known.
        LearningError: the transformer refuses the data.
        ShapeError: it makes another number of columns than was stated.
        CapabilityError: what lies below is to be drawn or predicted, and the transformer has no
            `inverse_transform`; or y itself is to be drawn, and nothing above has a density of it.
    """

    at_once = None
    dtype = torch.float64

    def __init__(
        self,
        transformer: Transformer,
        *,
        dimensions: int | None = None,
        refit: bool = False,
        prefit: bool = False,
    ) -> None:
        _check(transformer)
        if dimensions is not None and dimensions < 1:
            raise ValueError(f"Expected dimensions of at least 1; got {dimensions}.")
        if dimensions is None:
            _columns(transformer, 1)  # for what it refuses
        if refit and prefit:
            raise ValueError("Expected one of refit and prefit; a transformer that is fitted already stays as it is.")
        self.transformer = transformer
        self.dimensions = dimensions
        self.refit = refit
        self.prefit = prefit
        self._fitted: Transformer | None = transformer if prefit else None

    def event_shapes(self, x: tuple[int, ...] | None) -> dict[str, tuple[int, ...]]:
        """See `Module`."""
        columns = self.dimensions or _columns(self.transformer, None if x is None else math.prod(x))
        if columns is None:
            raise ShapeError(
                "In a cycle of wires the columns of y must be known before those of x. "
                f"State them: SklearnTransform({type(self.transformer).__name__}(...), dimensions=...)."
            )
        return {"y": (columns,)}

    @property
    def fitted(self) -> Transformer:
        """The transformer as it was fitted; it is used as it is, and not to be changed.

        Raises:
            NotFittedError: nothing was fitted yet.
        """
        if self._fitted is None:
            name = self.context.name if hasattr(self, "context") else type(self).__name__
            raise NotFittedError(f"{name} has fitted nothing yet. Call fit(graph, rounds=...) first.", name)
        return self._fitted

    def start(self, batches: Batches) -> None:
        """Fit the transformer, unless it came fitted."""
        if not self.prefit:
            self._fit(batches)

    def learn_batches(self, batches: Batches) -> None:
        """Fit again, where that was asked for; the first fit is that of `start`."""
        if self.refit and self.context.updates:
            self._fit(batches)

    def label(self) -> str:
        """See `Transform`."""
        return type(self.transformer).__name__

    def advice(self, shape: tuple[int, ...]) -> str:
        """See `Transform`."""
        return f"State it: SklearnTransform(..., dimensions={shape[-1]})."

    def made(self, x: Tensor) -> Tensor:
        """See `Transform`."""
        return self._tensor(dense(self.fitted.transform(rows(x))))

    def undone(self, y: Tensor) -> Tensor:
        """See `Transform`."""
        invert = getattr(self.fitted, "inverse_transform", None)
        if invert is None:
            raise self._no_inverse("inverse_transform", "use a transformer that has one")
        return self._tensor(dense(invert(rows(y))))

    def state_dict(self) -> dict[str, object]:
        """What was fitted; empty before."""
        if self._fitted is None:
            return {}
        return {"fitted": as_state(self._fitted, clone(self._fitted), self.context.name)}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """See `Module`."""
        if not state:
            self._fitted = self.transformer if self.prefit else None
            return
        fitted = from_state(state["fitted"], clone(self.transformer))
        self._fitted = fitted  # type: ignore[assignment]  # of the transformer's own class

    def _fit(self, batches: Batches) -> None:
        [batch] = batches.in_order()
        x = batch["x"]
        assert isinstance(x, Point)
        estimator = seeded(clone(self.transformer))
        with warnings.catch_warnings():
            # UMAP's word on the random_state that it was given here.
            warnings.filterwarnings("ignore", message="n_jobs value .* overridden to 1 by setting random_state")
            fitted_to(estimator, rows(x.value), self.context)
        self._fitted = estimator
        self.context.progress(1, 1, {})

    def _tensor(self, array: Array) -> Tensor:
        # A copy: what a transformer returns may be part of it, as UMAP's embedding is.
        return torch.tensor(array, dtype=self.dtype, device=self.context.device)


def _check(transformer: Transformer) -> None:
    """Refuse what cannot be fitted without labels, applied to new rows, or cloned."""
    if isinstance(transformer, type):
        name = transformer.__name__
        raise ValueError(f"Expected a transformer, such as {name}(); got the class {name} itself.")
    name = type(transformer).__name__
    for method in ("fit", "transform", "get_params", "set_params"):
        if not callable(getattr(transformer, method, None)):
            reason = ", and so cannot place new rows" if method == "transform" else ""
            raise ValueError(f"Expected a transformer with a method {method!r}; {name} has none{reason}.")
    parameters = list(inspect.signature(transformer.fit).parameters.values())[1:]
    named = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    needed = [one.name for one in parameters if one.kind in named and one.default is inspect.Parameter.empty]
    if needed:
        raise ValueError(
            f"Expected a transformer that is fitted without labels; {name}.fit asks for {', '.join(needed)}."
        )


def _columns(transformer: object, given: int | None) -> int | None:
    """The number of columns that a transformer makes of `given`, None where that is not known."""
    if isinstance(transformer, Pipeline):
        for _, step in transformer.steps:
            given = _columns(step, given)
        return given
    parameters: Mapping[str, object] = transformer.get_params(deep=False) if hasattr(transformer, "get_params") else {}
    if "n_components" not in parameters:
        return given
    stated = parameters["n_components"]
    if isinstance(stated, int | np.integer):
        return int(stated)
    name = type(transformer).__name__
    raise ValueError(
        f"Expected {name} to say how many columns it makes; got n_components={stated!r}. "
        f"Give it a number, or state it: SklearnTransform({name}(...), dimensions=...)."
    )
