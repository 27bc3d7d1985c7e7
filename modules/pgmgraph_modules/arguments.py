"""What the constructors of modules refuse."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence


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
