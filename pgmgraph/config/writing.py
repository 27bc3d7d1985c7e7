"""Live objects, written as plain values from which they can be made again."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
import re
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import PurePath
from types import BuiltinFunctionType, FunctionType

import numpy as np
import torch
from torch import Tensor, nn

from pgmgraph.config.arguments import conform, hints_of
from pgmgraph.config.plain import Plain
from pgmgraph.config.problems import shown
from pgmgraph.config.targets import target_of
from pgmgraph.errors import ConfigError

CALL, PARTIAL, IMPORT, OBJECT = FORMS = ("call", "partial", "import", "object")
"""The keys of mappings that stand for objects: what a target returns, what it will, the target, and none at all."""

_MOST_ELEMENTS = 1_000
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def written(value: object) -> Plain:
    """An argument as plain values.

    Dataclasses, estimators of scikit-learn and partial functions become calls, functions, classes and members of
    enumerations imports. Tuples become lists. Anything else is written as `{"object": ...}`, which cannot be made.
    """
    match value:
        case None | bool() | str() if type(value) in (type(None), bool, str):
            return value
        case Enum():
            target = target_of(type(value))
            return _object(value) if target is None else {IMPORT: f"{target}.{value.name}"}
        case int():
            return int(value)
        case float():
            return _object(value) if math.isnan(value) else float(value)
        case str() | PurePath():
            return str(value)
        case np.generic():
            return written(value.item()) if value.dtype.kind in "biufU" else _object(value)
        case list() | tuple() if type(value) in (list, tuple):
            return [written(one) for one in value]
        case dict():
            return _mapping(value)
        case np.ndarray() | Tensor():
            return _array(value)
        case _:
            return _named(value)


def written_arguments(target: Callable[..., object], arguments: Mapping[str, object]) -> dict[str, Plain]:
    """The arguments of a call as plain values, in the types that it asks for: 1 as 1.0 where that is a float."""
    hints = hints_of(target)
    return {name: written(_normal(value, hints.get(name))) for name, value in arguments.items()}


def _normal(value: object, hint: object) -> object:
    if hint is None:
        return value
    try:
        return conform(value, hint)
    except ConfigError:  # more than its annotation says: an array for a list, say
        return value


def _object(value: object) -> Plain:
    return {OBJECT: _ADDRESS.sub("", shown(value))}


def _mapping(value: Mapping[object, object]) -> Plain:
    if not all(isinstance(key, str) for key in value) or any(form in value for form in FORMS):
        return _object(value)
    return {str(key): written(one) for key, one in value.items()}


def _array(value: np.ndarray[tuple[int, ...], np.dtype[np.generic]] | Tensor) -> Plain:
    size = value.numel() if isinstance(value, Tensor) else value.size
    if isinstance(value, nn.Parameter) or size > _MOST_ELEMENTS:
        kind, shape = type(value).__name__, tuple(value.shape)
        return {OBJECT: f"{kind} of {value.dtype}, {' x '.join(map(str, shape))}"}
    return written(value.tolist())


def _named(value: object) -> Plain:
    """What goes by a name that it can be imported by."""
    if isinstance(value, torch.dtype):
        return {IMPORT: str(value).replace(".", ":", 1)}
    if isinstance(value, type | FunctionType | BuiltinFunctionType):
        target = target_of(value)
        return _object(value) if target is None else {IMPORT: target}
    if isinstance(value, functools.partial):
        return _called(PARTIAL, value, value.func, {} if value.args else value.keywords, bare=bool(value.args))
    if isinstance(value, nn.Module):
        return _object(value)
    if dataclasses.is_dataclass(value):
        return _called(CALL, value, type(value), _fields(value))
    if callable(getattr(value, "get_params", None)):
        return _called(CALL, value, type(value), _changed_parameters(value), bare=_is_fitted(value))
    return _object(value)


def _called(
    form: str, value: object, source: Callable[..., object], arguments: Mapping[str, object], *, bare: bool = False
) -> Plain:
    """`value` as the call that makes it; `bare` where there is more to it than these arguments."""
    target = target_of(source)
    if target is None or bare or any(name in FORMS for name in arguments):
        return _object(value)
    return {form: target, **written_arguments(source, arguments)}


def _fields(value: object) -> dict[str, object]:
    """The fields of a dataclass that are not at their default."""
    assert dataclasses.is_dataclass(value)
    found = {
        field.name: (getattr(value, field.name), field.default) for field in dataclasses.fields(value) if field.init
    }
    return {name: now for name, (now, default) in found.items() if not _same(now, default)}


def _changed_parameters(estimator: object) -> dict[str, object]:
    """The parameters of an estimator that are not at their default."""
    parameters: Mapping[str, object] = estimator.get_params(deep=False)  # type: ignore[attr-defined]  # asked before
    signature = inspect.signature(type(estimator))
    defaults = {name: parameter.default for name, parameter in signature.parameters.items()}
    return {
        name: now for name, now in parameters.items() if not _same(now, defaults.get(name, inspect.Parameter.empty))
    }


def _is_fitted(estimator: object) -> bool:
    """By scikit-learn's own mark: attributes that end in an underscore."""
    return any(name.endswith("_") and not name.startswith("_") for name in vars(estimator))


def _same(now: object, default: object) -> bool:
    return now is default or (
        type(now) is type(default) and isinstance(now, bool | int | float | str) and now == default
    )
