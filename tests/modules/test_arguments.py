"""Arguments that modules refuse, by name."""

from __future__ import annotations

import math

import pytest

from pgmgraph.errors import ShapeError, UnknownNameError
from pgmgraph_modules.arguments import check_choice, check_counts, check_positive, check_weights, check_words
from tests.refusals import refused


@pytest.mark.parametrize("wrong", [0, -3, 0.5, math.nan, math.inf])
def test_counts_are_at_least_one_and_finite(wrong: float) -> None:
    check_counts({"passes": 1, "starts": 10**9, "batch_size": None})
    with refused(ValueError, f"Expected starts of at least 1; got {wrong}."):
        check_counts({"passes": 1, "starts": wrong})


@pytest.mark.parametrize("wrong", [0.0, -1e-300, math.nan, math.inf])
def test_positive_values_are_finite(wrong: float) -> None:
    check_positive({"scale": 1e-300, "freedom": None})
    with refused(ValueError, f"Expected a positive scale; got {wrong}."):
        check_positive({"scale": wrong})


def test_choices_are_listed() -> None:
    check_choice("covariance", "full", ("full", "diagonal"))
    with refused(ValueError, "covariance as one of full, diagonal; got 'round'."):
        check_choice("covariance", "round", ("full", "diagonal"))


def test_weights_are_of_what_is_wired() -> None:
    wired = {"sound": (3,), "touch": None}
    check_weights({"sound": 0.2}, wired, "modalities")
    expected = "Expected weights of modalities that are wired; got one of 'sight'. There are: sound, touch."
    with refused(UnknownNameError, expected) as caught:
        check_weights({"sound": 0.2, "sight": 2.0}, wired, "modalities")
    assert caught.value.ports == ("sight",)


@pytest.mark.parametrize("wrong", [(), (4, 5)])
def test_counts_of_words_are_vectors(wrong: tuple[int, ...]) -> None:
    check_words("x", {"sound": (3,), "touch": None})
    expected = f"Expected counts of words (V,) at x.touch; got events of shape {wrong}. Reshape to N x V."
    with refused(ShapeError, expected) as caught:
        check_words("x", {"sound": (3,), "touch": wrong})
    assert caught.value.ports == ("x.touch",)
