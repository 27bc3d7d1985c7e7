"""A function between two modules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pgmgraph.errors import ShapeError
from pgmgraph_modules.transforms.transform import Transform
from pgmgraph_modules.transforms.trial import shape_of

Function = Callable[[Tensor], Tensor] | Callable[[NDArray[Any]], NDArray[Any]]
"""From (n, *event) to (n, *event of y), of tensors or of arrays, of any type of numbers."""


class FunctionTransform(Transform):
    """y_n = f(x_n), where f is any function of tensors or arrays that treats each row by itself.

    It goes one way, and has no term in F: see `Transform`. Nothing is learnt, and nothing is in its state.

        FunctionTransform(torch.log1p, inverse=torch.expm1)
        FunctionTransform(lambda images: images.mean((1, 2)), arrays=True)

    Rows come in minibatches. A function that mixes them, `x - x.mean(0)` say, makes other values of other minibatches:
    use `SklearnTransform` for what has to be fitted to all of them.

    Ports:
        x: values of any event shape, float64. Asked to predict, it sends the inverse of y.
        y: what the function makes, of any event shape. They are known, not believed: a parent takes them as certain.

    Args:
        function: from (n, *event) to (n, *event of y). It may change what it is given, which is a copy.
        inverse: from y back to x, for what lies below to be drawn or predicted. Modules above draw values that the
            function never makes: where the inverse is NaN there, as atanh beyond 1, `generate` returns NaN, and
            `infer` leaves the row unfilled. Clamp in the inverse what should not be lost.
        event_shape: of y; by default it is found by giving the function one row of ones.
        arrays: whether the functions take and return arrays of numpy, in the place of tensors.
        at_once: the most rows that the functions are given at a time; None for all.

    Raises:
        ValueError: `function` or `inverse` is none, or `at_once` is less than 1.
        ShapeError: the function makes other rows than one of each, or others than was stated.
        DivergedError: it makes NaN or infinity.
        CapabilityError: what lies below is to be drawn or predicted, and there is no `inverse`; or y itself is to
            be drawn, and nothing above has a density of it.
    """

    dtype = torch.float64

    def __init__(
        self,
        function: Function,
        *,
        inverse: Function | None = None,
        event_shape: tuple[int, ...] | None = None,
        arrays: bool = False,
        at_once: int | None = 65_536,
    ) -> None:
        for name, one in {"function": function, "inverse": inverse}.items():
            if not callable(one) and not (name == "inverse" and one is None):
                raise ValueError(f"Expected {name} as a function of rows; got {type(one).__name__}.")
        if at_once is not None and at_once < 1:
            raise ValueError(f"Expected at_once of at least 1; got {at_once}.")
        self.function = function
        self.inverse = inverse
        self.stated = None if event_shape is None else tuple(event_shape)
        self.arrays = arrays
        self.at_once = at_once

    def event_shapes(self, x: tuple[int, ...] | None) -> dict[str, tuple[int, ...]]:
        """See `Module`."""
        if self.stated is not None:
            return {"y": self.stated}
        return {"y": shape_of(lambda given: self._of(self.function, given), x, self.dtype, torch.device("cpu"), self)}

    def label(self) -> str:
        """See `Transform`."""
        name: object = getattr(self.function, "__name__", type(self.function).__name__)
        return f"the function {name}"

    def made(self, x: Tensor) -> Tensor:
        """See `Transform`."""
        return self._of(self.function, x)

    def undone(self, y: Tensor) -> Tensor:
        """See `Transform`."""
        if self.inverse is None:
            raise self._no_inverse("an inverse", "give one: FunctionTransform(function, inverse=...)")
        return self._of(self.inverse, y)

    def state_dict(self) -> dict[str, object]:
        """Nothing: nothing is learnt."""
        return {}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """See `Module`."""

    def _of(self, function: Callable[..., object], given: Tensor) -> Tensor:
        """What a function makes of a copy: what is in the mail belongs to others."""
        made = function(given.cpu().numpy().copy() if self.arrays else given.clone())
        kind = np.ndarray if self.arrays else Tensor
        if not isinstance(made, kind) or made.ndim == 0:
            wanted = "an array" if self.arrays else "a tensor (arrays=True is for functions of arrays)"
            found = "a single number" if isinstance(made, kind) else type(made).__name__
            raise ShapeError(f"Expected {self.label()} to make {wanted}, with a row for each row; got {found}.")
        if isinstance(made, Tensor):
            return made.to(self.dtype)
        return torch.from_numpy(np.array(made, dtype=np.float64, order="C")).to(given.device)
