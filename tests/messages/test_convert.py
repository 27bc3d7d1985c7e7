"""Conversions: exact ones by themselves, lossy ones by name, all others refused."""

from __future__ import annotations

import pytest
import torch

from pgmgraph.errors import MessageTypeError
from pgmgraph.messages import (
    Categorical,
    CategoricalPotential,
    Gaussian,
    GaussianPotential,
    Message,
    Point,
    PooledGaussianPotential,
    convert,
    convertible,
    ways,
)
from tests.refusals import refused

MISSING = torch.tensor([False, True])


def test_a_message_of_the_wanted_type_is_itself() -> None:
    message = Gaussian(torch.zeros(2, 1), torch.ones(2, 1))
    assert convert(message, Gaussian) is message


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.uint8, torch.int64])
def test_a_point_is_a_gaussian_without_variance(dtype: torch.dtype) -> None:
    point = Point(torch.tensor([[1], [2]], dtype=dtype), scale=0.5, missing=MISSING)
    gaussian = convert(point, Gaussian)
    assert isinstance(gaussian, Gaussian)
    assert gaussian.mean[0].item() == 0.5
    assert gaussian.variance.tolist() == [[0.0], [0.0]]
    assert gaussian.missing is not None
    assert gaussian.missing.tolist() == [False, True]


def test_a_pooled_potential_is_a_dense_one() -> None:
    pooled = PooledGaussianPotential(torch.eye(2), torch.tensor([[1.0], [2.0]]), torch.ones(2, 1), torch.zeros(2))
    potential = convert(pooled, GaussianPotential)
    assert isinstance(potential, GaussianPotential)
    assert potential.shift.tolist() == [[1.0], [2.0]]


def test_lossy_ways_have_names() -> None:
    gaussian = Gaussian(torch.tensor([[3.0], [4.0]]), torch.ones(2, 1), missing=MISSING)
    mean = convert(gaussian, Point, "mean")
    assert isinstance(mean, Point)
    assert mean.value.tolist() == [[3.0], [4.0]]
    assert torch.equal(mean.missing_rows(), MISSING)
    probs = convert(Categorical(torch.eye(2)), Point, "probs")
    assert isinstance(probs, Point)
    assert torch.equal(probs.value, torch.eye(2))
    assert list(ways(Gaussian, (Point,))) == ["mean"]
    assert list(ways(Categorical, (Gaussian, Point))) == ["probs"]
    assert list(ways(Point, (Gaussian,))) == []


@pytest.mark.parametrize(
    ("message", "target", "via"),
    [
        (Gaussian(torch.zeros(1, 1), torch.ones(1, 1)), Point, None),
        (Gaussian(torch.zeros(1, 1), torch.ones(1, 1)), Point, "mode"),
        (Categorical(torch.ones(1, 1)), CategoricalPotential, None),
        (Point(torch.zeros(1, 1)), Categorical, None),
    ],
)
def test_there_is_no_other_way(message: Message, target: type[Message], via: str | None) -> None:
    reason = "no exact conversion" if via is None else "via='mode'"
    with refused(MessageTypeError, target.__name__, type(message).__name__, reason):
        convert(message, target, via)


def test_convertible_prefers_what_is_sent_then_the_order_of_acceptance() -> None:
    assert convertible(Point, (Gaussian, Point)) is Point
    assert convertible(Point, (Gaussian,)) is Gaussian
    assert convertible(Gaussian, (Point,)) is None
    assert convertible(Gaussian, (Gaussian, Point), "mean") is Point
    assert convertible(PooledGaussianPotential, (GaussianPotential,)) is GaussianPotential
