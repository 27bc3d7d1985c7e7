"""Parameters: what the modules of a class are made from."""

from __future__ import annotations

import inspect
from dataclasses import dataclass

from pgmgraph.config.arguments import required, signature_of
from pgmgraph.config.plain import Plain
from pgmgraph.config.writing import written
from pgmgraph.module import Module


@dataclass(frozen=True)
class Parameter:
    """An argument that a module is made from.

    Attributes:
        name: its name.
        annotation: its type, as the source has it; empty where it states none.
        required: whether it must be given.
        default: its value where it is not given, as plain values; None where it is required.
    """

    name: str
    annotation: str
    required: bool
    default: Plain


def parameters(module: type[Module]) -> list[Parameter]:
    """What a class of modules is made from, in the order of its constructor.

    Example:
        >>> parameters(load("gmm"))[0]  # doctest: +SKIP
        Parameter(name='components', annotation='int', required=True, default=None)
    """
    return [
        Parameter(name, _source(parameter.annotation), required(parameter), _default(parameter))
        for name, parameter in (signature_of(module) or inspect.Signature()).parameters.items()
    ]


def _source(annotation: object) -> str:
    if annotation is inspect.Parameter.empty:
        return ""
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


def _default(parameter: inspect.Parameter) -> Plain:
    return None if parameter.default is inspect.Parameter.empty else written(parameter.default)
