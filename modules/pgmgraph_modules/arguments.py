"""What modules refuse: arguments that none can have, and arguments and shapes that do not fit how it is wired."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from pgmgraph.errors import ShapeError, UnknownNameError


def check_counts(given: Mapping[str, float | None]) -> None:
    """Refuse numbers below 1, or without an end; None stands for an argument that was not given.

    Raises:
        ValueError: it names the argument.
    """
    for name, number in given.items():
        if number is not None and not 1 <= number < math.inf:
            raise ValueError(f"Expected {name} of at least 1; got {number}.")


def check_positive(given: Mapping[str, float | None]) -> None:
    """Refuse values that are not above 0, or without an end; None stands for an argument that was not given.

    Raises:
        ValueError: it names the argument.
    """
    for name, value in given.items():
        if value is not None and not 0 < value < math.inf:
            raise ValueError(f"Expected a positive {name}; got {value}.")


def check_choice(name: str, given: str, choices: Sequence[str]) -> None:
    """Refuse what is none of the choices.

    Raises:
        ValueError: it lists them.
    """
    if given not in choices:
        raise ValueError(f"Expected {name} as one of {', '.join(choices)}; got {given!r}.")


def check_weights(weights: Mapping[str, float], wired: Mapping[str, object], what: str) -> None:
    """Refuse weights of what is not wired.

    Args:
        weights: by name.
        wired: what is, by the same names.
        what: what they are names of: "ports".

    Raises:
        UnknownNameError: it lists what is wired.
    """
    for name in weights:
        if name not in wired:
            raise UnknownNameError(
                f"Expected weights of {what} that are wired; got one of {name!r}. There are: {', '.join(wired)}.", name
            )


def check_words(family: str, shapes: Mapping[str, tuple[int, ...] | None]) -> None:
    """Refuse events that are no counts of words (V,) at a family of ports.

    Args:
        family: its name.
        shapes: of an event, by the key of the port; None where it is not known.

    Raises:
        ShapeError: it names the port and the shape.
    """
    for key, shape in shapes.items():
        if shape is not None and len(shape) != 1:
            port = f"{family}.{key}"
            raise ShapeError(
                f"Expected counts of words (V,) at {port}; got events of shape {shape}. Reshape to N x V.", port
            )
