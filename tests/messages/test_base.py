"""What holds for every message: slicing, joining, spreading, moving, finiteness."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from pgmgraph.errors import MessageError
from pgmgraph.messages import (
    Categorical,
    CategoricalPotential,
    Gaussian,
    GaussianPotential,
    Message,
    Point,
    PooledGaussianPotential,
)
from tests.refusals import refused

Dtype = torch.dtype


def _point(n: int, d: int, k: int, dtype: Dtype) -> Message:
    return Point(torch.randn(n, d, k).to(dtype))


def _diagonal(n: int, d: int, k: int, dtype: Dtype) -> Message:
    return Gaussian(torch.randn(n, d).to(dtype), torch.rand(n, d).to(dtype) + 0.1)


def _full(n: int, d: int, k: int, dtype: Dtype) -> Message:
    return Gaussian(torch.randn(n, d).to(dtype), torch.eye(d).to(dtype).expand(n, d, d))


def _categorical(n: int, d: int, k: int, dtype: Dtype) -> Message:
    return Categorical(torch.softmax(torch.randn(n, k), 1).to(dtype))


def _potential(n: int, d: int, k: int, dtype: Dtype) -> Message:
    return GaussianPotential(torch.randn(n, d).to(dtype), torch.rand(n, d).to(dtype), torch.randn(n).to(dtype))


def _pooled(n: int, d: int, k: int, dtype: Dtype) -> Message:
    weights = torch.softmax(torch.randn(n, k), 1).to(dtype)
    return PooledGaussianPotential(
        weights, torch.randn(k, d).to(dtype), torch.rand(k, d).to(dtype), torch.randn(k).to(dtype)
    )


def test_a_slice_of_everything_is_the_message_itself_and_a_part_shares_memory() -> None:
    message = Gaussian(torch.zeros(4, 2), torch.ones(4, 2))
    assert message[:] is message
    assert message[1:3].mean.data_ptr() == message.mean[1:].data_ptr()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("make", [_point, _diagonal, _full, _categorical, _potential, _pooled])
def test_check_finite_names_the_rows(make: Callable[..., Message], value: float) -> None:
    message = make(9, 2, 3, torch.float64)
    name = message.per_item[0]
    broken = getattr(message, name).clone()
    broken[[2, 7]] = value
    kept = {other: getattr(message, other) for other in (*message.per_item, *message.shared)}
    bad = type(message)(**{**kept, name: broken})
    with refused(MessageError, f"{type(message).__name__}.{name}", "vae.z", "2 of 9 rows", "2, 7") as caught:
        bad.check_finite("vae.z")
    assert caught.value.rows == (2, 7)
    message.check_finite("vae.z")


def test_check_finite_looks_at_shared_tensors() -> None:
    pooled = PooledGaussianPotential(torch.ones(3, 1), torch.full((1, 2), torch.nan), torch.ones(1, 2), torch.ones(1))
    with refused(MessageError, "shift", "gmm.x"):
        pooled.check_finite("gmm.x")


def test_an_impossible_class_is_finite_and_a_certain_one_is_not() -> None:
    log_weights = torch.zeros(3, 2)
    log_weights[1, 0] = -torch.inf
    CategoricalPotential(log_weights).check_finite("gmm.c")
    log_weights[2, 0] = torch.inf
    with refused(MessageError, "gmm.c", "1 of 3 rows", "2"):
        CategoricalPotential(log_weights).check_finite("gmm.c")


def test_large_finite_values_are_finite() -> None:
    Point(torch.full((4, 2), 1e308, dtype=torch.float64)).check_finite("x.value")


def test_tensors_that_contradict_one_another_are_refused() -> None:
    with refused(MessageError, "Expected 3 rows in Gaussian.variance", "(2, 2)"):
        Gaussian(torch.zeros(3, 2), torch.zeros(2, 2))
    with refused(MessageError, "Gaussian.variance", "(3, 2) or (3, 2, 2)", "(3, 4)"):
        Gaussian(torch.zeros(3, 2), torch.zeros(3, 4))
    with refused(MessageError, "GaussianPotential.log_scale", "(3,)", "(3, 1)"):
        GaussianPotential(torch.zeros(3, 2), torch.zeros(3, 2), torch.zeros(3, 1))
    with refused(MessageError, "PooledGaussianPotential.shift", "(4, 2)", "(3, 2)"):
        PooledGaussianPotential(torch.zeros(5, 4), torch.zeros(3, 2), torch.zeros(4, 2), torch.zeros(4))
    with refused(MessageError, "Categorical.probs", "(N, K)", "(3,)"):
        Categorical(torch.zeros(3))
    with refused(MessageError, "CategoricalPotential.log_weights", "(N, K)", "(3, 1, 1)"):
        CategoricalPotential(torch.zeros(3, 1, 1))
    with refused(MessageError, "Point.missing", "(3,) bool", "(2,)"):
        Point(torch.zeros(3), missing=torch.zeros(2, dtype=torch.bool))
    with refused(MessageError, "Point.missing", "bool", "float32"):
        Point(torch.zeros(3), missing=torch.zeros(3))


def test_messages_are_frozen() -> None:
    with pytest.raises(AttributeError):
        Point(torch.zeros(3)).value = torch.ones(3)  # type: ignore[misc]
