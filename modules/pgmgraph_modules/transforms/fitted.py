"""A fitted estimator as the state of a module: tensors and plain values where it is made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain, repeat
from typing import NoReturn

import numpy as np
import torch
from sklearn.base import BaseEstimator
from torch import Tensor

from pgmgraph.errors import CapabilityError


class Kept:
    """A fitted estimator that arrays and plain values cannot tell: it is kept as it is, in this process.

    A copy of it is the estimator itself, since one that is fitted is never changed.

    Args:
        estimator: what was fitted.
        module: the name of the module that it belongs to.
        part: what in it is neither array nor plain value.

    Raises:
        CapabilityError: when it is written to a file.
    """

    def __init__(self, estimator: object, module: str, part: str) -> None:
        self.estimator = estimator
        self._module = module
        self._part = part

    def __deepcopy__(self, memo: dict[int, object]) -> Kept:
        return self

    def __reduce__(self) -> NoReturn:
        kind = type(self.estimator).__name__
        raise CapabilityError(
            f"Expected tensors and plain values to write as the state of {self._module}; got a fitted {kind}, whose "
            f"{self._part}. Write the estimator by itself, joblib.dump({self._module}.fitted, file), and take it up "
            "again by SklearnTransform(joblib.load(file), prefit=True).",
            self._module,
            "state_dict",
        )


class _NotPlainError(Exception):
    """A value is neither an array nor plain."""


def as_state(fitted: object, blank: object, module: str) -> object:
    """What a fitted estimator holds, as tensors and plain values; or the estimator itself, `Kept`.

    Args:
        fitted: the estimator. Estimators inside it (the steps of a pipeline) are taken along where `blank` has
            them too: what the state names is attributes, never classes, so reading it runs nothing.
        blank: one with the same parameters that was never fitted.
        module: the name of the module that it belongs to.
    """
    try:
        return _plain(fitted, blank, type(fitted).__name__)
    except _NotPlainError as error:
        return Kept(fitted, module, str(error))


def from_state(state: object, blank: object) -> object:
    """The estimator of a state; `blank`, which was never fitted and may be changed, becomes it."""
    return state.estimator if isinstance(state, Kept) else _restored(state, blank)


def _plain(value: object, blank: object, where: str) -> object:
    match value:
        case np.ndarray() | np.generic() if value.dtype.kind in "biuf" and value.dtype.itemsize <= 8:
            return torch.from_numpy(np.array(value, order="K"))
        case np.ndarray() | np.generic():
            raise _NotPlainError(f"{where} is of {value.dtype}")
        case None | bool() | int() | float() | str():
            return value
        case dict() if type(value) is dict and all(isinstance(key, str | int) for key in value):
            blanks = blank if isinstance(blank, Mapping) else {}
            return {key: _plain(one, blanks.get(key), f"{where}[{key!r}]") for key, one in value.items()}
        case list() | tuple() if type(value) in (list, tuple):
            pairs = enumerate(_beside(value, blank))
            return type(value)(_plain(one, other, f"{where}[{place}]") for place, (one, other) in pairs)
        case BaseEstimator() if type(blank) is type(value):
            attributes: object = value.__getstate__()
            assert isinstance(attributes, Mapping)
            return {
                name: _plain(one, getattr(blank, name, None), f"{where}.{name}") for name, one in attributes.items()
            }
        case _:
            raise _NotPlainError(f"{where} is a {type(value).__name__}")


def _restored(state: object, blank: object) -> object:
    match state:
        case Tensor():
            return state.numpy()[()]  # a number where there is no dimension
        case dict() if isinstance(blank, BaseEstimator):
            blank.__setstate__({name: _restored(one, getattr(blank, name, None)) for name, one in state.items()})
            return blank
        case dict():
            blanks = blank if isinstance(blank, Mapping) else {}
            return {key: _restored(one, blanks.get(key)) for key, one in state.items()}
        case list() | tuple():
            return type(state)(_restored(one, other) for one, other in _beside(state, blank))
        case _:
            return state


def _beside(values: Sequence[object], blank: object) -> zip[tuple[object, object]]:
    """Each value with the one at its place in `blank`, or None."""
    blanks = blank if isinstance(blank, list | tuple) else ()
    return zip(values, chain(blanks, repeat(None)), strict=False)
