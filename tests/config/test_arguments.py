"""Arguments become what their annotation asks for, and nothing else becomes it."""

from __future__ import annotations

import collections.abc
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from typing import Annotated, Any, Literal, Optional, Protocol

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from pgmgraph.config.arguments import conform, hints_of, signature_of
from pgmgraph.errors import ConfigError
from pgmgraph_modules.vae import Ramp
from tests.refusals import refused


class Colour(Enum):
    RED = "red"


class Walks(Protocol):
    def walk(self) -> None: ...


RAMP = Ramp(0.1, 1.0, 3)
LINEAR = nn.Linear(1, 1)


@pytest.mark.parametrize(
    ("value", "hint", "made"),
    [
        (3, int, 3),
        ("3", int, 3),
        (3.0, int, 3),
        ("1e-3", float, 0.001),
        (1, float, 1.0),
        (True, bool, True),
        ("1e-3", str, "1e-3"),
        (None, int | None, None),
        ("2", Optional[int], 2),  # noqa: UP045  # as older sources have it
        ("0.5", float | Ramp, 0.5),
        (RAMP, float | Ramp, RAMP),
        ([1, "2"], Sequence[int], [1, 2]),
        ([1, 2], tuple[int, ...], (1, 2)),
        ([1, "x"], tuple[int, str], (1, "x")),
        ([1], Iterable[float], [1.0]),
        ([1, 2], Sequence[int] | NDArray[np.integer] | Tensor | None, [1, 2]),
        ({"a": "1"}, Mapping[str, int], {"a": 1}),
        ("full", Literal["full", "diagonal"], "full"),
        ("red", Colour, Colour.RED),
        (math.exp, Callable[[float], float], math.exp),
        (LINEAR, nn.Module | None, LINEAR),
        (LINEAR, Walks, LINEAR),
        ([1, True], Any, [1, True]),
        (True, object, True),
        (torch.optim.Adam, type[torch.optim.Optimizer], torch.optim.Adam),
        (3, "not a type", 3),
        (3, Annotated[int, Field(gt=0)], 3),
    ],
)
def test_it_becomes_what_is_asked_for(value: object, hint: object, made: object) -> None:
    got = conform(value, hint)
    assert got == made
    assert type(got) is type(made)


@pytest.mark.parametrize(
    ("value", "hint", "words"),
    [
        (True, int, "an integer; got True."),
        (True, float, "a number; got True."),
        (1, bool, "true or false; got 1."),
        ("yes", bool, "true or false; got 'yes'."),
        (1.5, int, "an integer; got 1.5."),
        ("ten", int, "an integer; got 'ten'."),
        (None, int, "an integer; got None."),
        (3, str, "text; got 3."),
        ("ful", Literal["full", "diagonal"], "one of full, diagonal; got 'ful'. Did you mean 'full'?"),
        ("500", Sequence[int], "a list of integers; got '500'."),
        ([1, True], Sequence[int] | None, "a list of integers or null; got [1, True]."),
        ([1, 2.5], Sequence[int] | NDArray[np.integer] | None, "a list of integers or"),
        ({"start": 0.1, "end": 1, "rounds": 3}, float | Ramp, "a number or Ramp; got {"),
        ("x", nn.Module | None, "Module or null; got 'x'."),
        ("x", Callable[[int], int], "Callable"),
        (-1, Annotated[int, Field(gt=0)], "got -1."),
        ({"a": "x"}, Mapping[str, int], "Mapping[str, int]; got"),
        ("blue", Colour, "Colour; got 'blue'."),
        (list(range(1000)), Sequence[str], "a list of texts; got [0, 1,"),
    ],
)
def test_nothing_else_becomes_it(value: object, hint: object, words: str) -> None:
    with refused(ConfigError, "Expected ", words) as caught:
        conform(value, hint)
    assert len(str(caught.value)) < 250


def test_a_callable_that_tells_nothing_is_left_to_judge() -> None:
    def unknown(x: Nowhere) -> None:  # type: ignore[name-defined]  # noqa: F821
        """Annotated with what is not there."""

    assert hints_of(unknown) == {}
    assert signature_of(max) is None
    assert hints_of(collections.abc.Mapping) == {}
