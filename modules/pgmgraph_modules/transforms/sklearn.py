"""A transformer of scikit-learn between two modules."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Mapping
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from torch import Tensor

from pgmgraph import Batches, In, Module, Out, Outbox, Point
from pgmgraph.errors import CapabilityError, LearningError, NotFittedError, ShapeError
from pgmgraph_modules.transforms.fitted import as_state, from_state

Array = NDArray[np.float64]


class Transformer(Protocol):
    """What is needed of an estimator: scikit-learn's interface, which UMAP and others have as well."""

    def fit(self, X: Array) -> object:
        """Learn from (n, columns)."""

    def transform(self, X: Array) -> Array:
        """(n, columns) to (n, D), for rows that were fitted and for new ones."""

    def get_params(self, deep: bool = True) -> dict[str, object]:
        """The parameters by name; with `deep`, also those of estimators inside."""

    def set_params(self, **parameters: object) -> object:
        """Change parameters."""


class SklearnTransform(Module):
    """y_n = f(x_n), where f is any transformer of scikit-learn's kind: PCA, a scaler, a pipeline, UMAP.

    f is fitted once, to the whole plate at the first update. It goes one way: nothing is sent back to x, and
    what is below keeps its own prior. Beliefs come in by their means, which must be asked for:

        graph.connect(vae.z, umap.x, via="mean")
        graph.connect(umap.y, gmm.x)

    f has no factor of its own, and so no term in F. F of the graph is the sum of two objectives, that of the
    modules below and that of the modules above for the values of y as if they had been observed. It bounds no
    evidence of the data: y has coordinates of its own, and scaling them by s moves F by -N D log s.
    Compare it only while y stays as it is. An update may move F either way, and guarantees nothing.

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

    x = In(Point)
    y = Out(Point)

    guarantee = "none"
    at_once = None
    amortised = True
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

    def send(self, x: Point, y: None) -> Outbox:
        """The values of y."""
        given = _rows(x.value)
        made = _dense(self.fitted.transform(given))
        expected = (len(given), *self.context.shapes["y"])
        if made.shape != expected:
            raise ShapeError(
                f"Expected {type(self.fitted).__name__} of {self.context.name} to make {expected} of {given.shape}; "
                f"got {made.shape}. State it: SklearnTransform(..., dimensions={made.shape[-1]}).",
                f"{self.context.name}.y",
            )
        return Outbox(y=Point(self._tensor(made)))

    def elbo(self, x: Point, y: Point) -> Mapping[str, Tensor]:
        """No terms: y follows from x, and no factor is owned here."""
        return {}

    def predict(self, port: str, y: Point) -> Point:
        """The transformer's inverse of y."""
        return Point(self._inverse(y.value))

    def sample(self, n: int, y: Tensor | None, temperature: float = 1.0) -> dict[str, Tensor]:
        """The transformer's inverse of y, which must be given or drawn by a module above: y has no prior here.

        Nothing is drawn, at no temperature.
        """
        if y is None:
            name = self.context.name
            raise CapabilityError(
                f"Expected values of {name}.y to go down from; {name} has no prior to draw them from. Put a module "
                f"that can over it, graph.connect({name}.y, gmm.x), or give values: {{'{name}.y': values}}.",
                name,
                "sample",
            )
        return {"y": y, "x": self._inverse(y)}

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
        given = _rows(x.value)
        estimator = _seeded(clone(self.transformer))
        try:
            with warnings.catch_warnings():
                # UMAP's word on the random_state that it was given here.
                warnings.filterwarnings("ignore", message="n_jobs value .* overridden to 1 by setting random_state")
                estimator.fit(given)
        except ValueError as error:
            name, (n, columns) = self.context.name, given.shape
            raise LearningError(
                f"{type(estimator).__name__} of {name} cannot be fitted to {n} x {columns} values: {error}",
                name,
                self.context.round,
            ) from error
        self._fitted = estimator
        self.context.progress(1, 1, {})

    def _inverse(self, y: Tensor) -> Tensor:
        invert = getattr(self.fitted, "inverse_transform", None)
        if invert is None:
            name = self.context.name
            raise CapabilityError(
                f"Expected {type(self.fitted).__name__} of {name} to have inverse_transform, to go down from {name}.y; "
                "it has none. Clamp what lies below it, or use a transformer that has one.",
                name,
                "sample",
            )
        made = _dense(invert(_rows(y.to(self.dtype))))
        return self._tensor(made).reshape(-1, *self.context.shapes["x"])

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


def _seeded(estimator: Transformer) -> Transformer:
    """The estimator with a random state from torch's generator, wherever it and those inside it have none."""
    open_ones = [
        name
        for name, value in sorted(estimator.get_params().items())
        if value is None and (name == "random_state" or name.endswith("__random_state"))
    ]
    estimator.set_params(**{name: int(torch.randint(2**31 - 1, ())) for name in open_ones})
    return estimator


def _rows(values: Tensor) -> Array:
    """Values as (n, columns), not to be written to: they lie in the mail, and belong to others."""
    rows: Array = values.reshape(len(values), -1).cpu().numpy()
    rows.flags.writeable = False
    return rows


def _dense(made: object) -> Array:
    """What a transformer returns, as an array, whatever else it is: a sparse matrix, a table."""
    return np.asarray(made.toarray() if hasattr(made, "toarray") else made, dtype=np.float64)
