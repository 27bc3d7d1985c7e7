"""Categoricals against torch's distribution and brute-force sums."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pgmgraph.messages import Categorical, CategoricalPotential

few = settings(deadline=None, max_examples=30)
sizes, states, seeds = st.integers(0, 5), st.integers(1, 6), st.integers(0, 10**6)


def rows(n: int, k: int, seed: int) -> torch.Tensor:
    return torch.randn(n, k, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@few
@given(sizes, states, seeds)
def test_entropy_is_torchs(n: int, k: int, seed: int) -> None:
    q = Categorical(torch.softmax(rows(n, k, seed), 1))
    torch.testing.assert_close(q.entropy(), q.distribution().entropy())
    assert ((q.entropy() >= 0) & (q.entropy() <= math.log(k) + 1e-12)).all()


def test_entropy_of_certainty_is_zero() -> None:
    assert Categorical(torch.eye(3)).entropy().tolist() == [0.0, 0.0, 0.0]


@few
@given(sizes, states, seeds)
def test_expectation_is_the_sum_over_states(n: int, k: int, seed: int) -> None:
    q = Categorical(torch.softmax(rows(n, k, seed), 1))
    f = CategoricalPotential(rows(n, k, seed + 1))
    brute = [sum(float(q.probs[i, j] * f.log_weights[i, j]) for j in range(k)) for i in range(n)]
    torch.testing.assert_close(f.expectation(q), torch.tensor(brute, dtype=torch.float64))


def test_an_impossible_state_of_probability_zero_counts_nothing() -> None:
    f = CategoricalPotential(torch.tensor([[-torch.inf, -1.0], [-torch.inf, -1.0]]))
    q = Categorical(torch.tensor([[0.0, 1.0], [0.5, 0.5]]))
    assert f.expectation(q).tolist() == [-1.0, -math.inf]


@few
@given(st.integers(1, 5), states, seeds)
def test_the_most_probable_state_has_the_largest_probability(n: int, k: int, seed: int) -> None:
    q = Categorical(torch.softmax(rows(n, k, seed), 1))
    chosen = q.most_probable()
    assert torch.equal(q.probs.gather(1, chosen[:, None])[:, 0], q.probs.amax(1))


def test_placeholders_say_nothing() -> None:
    q = Categorical(torch.eye(4)).blank(2)
    f = CategoricalPotential(torch.ones(3, 4)).blank(2)
    torch.testing.assert_close(q.entropy(), torch.full((2,), math.log(4), dtype=torch.float64))
    assert f.expectation(q).tolist() == [0.0, 0.0]
    assert q.missing_rows().all()
    assert f.missing_rows().all()
    assert (q.event_shape, f.event_shape) == ((4,), (4,))


@pytest.mark.parametrize("temperature", [0.25, 1.0, 3.0])
def test_a_draw_at_a_temperature_has_the_frequencies_of_the_power(temperature: float) -> None:
    torch.manual_seed(0)
    n, probs = 40_000, torch.tensor([0.5, 0.3, 0.2, 0.0], dtype=torch.float64)
    drawn = Categorical(probs.expand(n, -1)).draw(temperature)
    expected = probs ** (1 / temperature) / (probs ** (1 / temperature)).sum()
    error = (expected * (1 - expected) / n).sqrt()
    assert ((torch.bincount(drawn, minlength=4) / n - expected).abs() <= 5 * error).all()


@few
@given(sizes, states, seeds)
def test_at_temperature_zero_a_draw_is_the_most_probable(n: int, k: int, seed: int) -> None:
    q = Categorical(torch.softmax(rows(n, k, seed), 1))
    assert torch.equal(q.draw(0.0), q.most_probable())


def test_near_temperature_zero_ties_are_drawn_by_chance_and_others_never() -> None:
    torch.manual_seed(0)
    drawn = Categorical(torch.tensor([0.4, 0.2, 0.4]).expand(4_000, -1)).draw(1e-30)
    assert torch.bincount(drawn, minlength=3)[1] == 0
    assert abs(float((drawn == 0).double().mean()) - 0.5) < 5 * 0.5 / 4_000**0.5
