"""Gaussians against torch's distributions, expectations against sums over points that give them exactly."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pgmgraph.errors import MessageError
from pgmgraph.messages import Gaussian, GaussianEvidence, GaussianPotential

D64 = torch.float64
few = settings(deadline=None, max_examples=30)
sizes, dimensions, seeds = st.integers(0, 5), st.integers(1, 4), st.integers(0, 10**6)


def covariances(n: int, d: int, generator: torch.Generator) -> Tensor:
    root = torch.randn(n, d, d, generator=generator, dtype=D64)
    return root @ root.mT + 0.1 * torch.eye(d, dtype=D64)


def belief(n: int, d: int, diagonal: bool, seed: int) -> Gaussian:
    generator = torch.Generator().manual_seed(seed)
    covariance = covariances(n, d, generator)
    variance = covariance.diagonal(dim1=-2, dim2=-1) if diagonal else covariance
    return Gaussian(torch.randn(n, d, generator=generator, dtype=D64), variance)


def potential(n: int, d: int, diagonal: bool, seed: int) -> GaussianPotential:
    generator = torch.Generator().manual_seed(seed + 1)
    precision = covariances(n, d, generator)
    shift, log_scale = torch.randn(n, d, generator=generator, dtype=D64), torch.randn(n, generator=generator, dtype=D64)
    return GaussianPotential(shift, precision.diagonal(dim1=-2, dim2=-1) if diagonal else precision, log_scale)


def dense(matrix: Tensor) -> Tensor:
    return matrix.diag_embed() if matrix.ndim == 2 else matrix


def at(f: GaussianPotential, value: Tensor) -> Tensor:
    """log f_n(v_n), written out."""
    quadratic = torch.einsum("...i,...ij,...j->...", value, dense(f.precision), value)
    return f.log_scale + (f.shift * value).sum(-1) - 0.5 * quadratic


def cubature(q: Gaussian) -> Tensor:
    """2 D points for each item, (2 D, N, D), over which the mean of any quadratic is its expectation under q."""
    d = q.event_shape[0]
    root = torch.linalg.cholesky(dense(q.variance)) * math.sqrt(d)
    steps = root.mT.movedim(1, 0)
    return torch.cat([q.mean + steps, q.mean - steps])


@few
@given(st.integers(1, 5), dimensions, st.booleans(), seeds)
def test_entropy_is_torchs(n: int, d: int, diagonal: bool, seed: int) -> None:
    q = belief(n, d, diagonal, seed)
    torch.testing.assert_close(q.entropy(), q.distribution().entropy())
    assert Gaussian(q.mean.float(), q.variance.float()).entropy().dtype == D64


@few
@given(sizes, dimensions, st.booleans(), seeds)
def test_moments_are_the_distributions(n: int, d: int, diagonal: bool, seed: int) -> None:
    q = belief(n, d, diagonal, seed)
    torch.testing.assert_close(q.distribution().mean, q.mean)
    torch.testing.assert_close(q.distribution().variance, q.marginal_variance())
    assert q.is_diagonal == diagonal
    assert q.event_shape == (d,)


def test_a_certain_value_has_no_entropy() -> None:
    q = Gaussian(torch.zeros(2, 3), torch.zeros(2, 3))
    assert q.entropy().tolist() == [-math.inf] * 2


@few
@given(st.integers(1, 5), dimensions, st.booleans(), st.booleans(), seeds)
def test_expectation_is_the_mean_over_points(n: int, d: int, flat_q: bool, flat_f: bool, seed: int) -> None:
    q, f = belief(n, d, flat_q, seed), potential(n, d, flat_f, seed)
    torch.testing.assert_close(f.expectation(q), at(f, cubature(q)).mean(0))


def test_expectation_by_monte_carlo() -> None:
    q, f = belief(3, 2, False, 0), potential(3, 2, False, 0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        values = at(f, q.distribution().sample(torch.Size([40_000])))
    error = values.std(0) / math.sqrt(len(values))
    assert ((values.mean(0) - f.expectation(q)).abs() < 4 * error).all()


@few
@given(sizes, dimensions, st.booleans(), st.booleans(), seeds)
def test_the_product_is_the_sum_of_logarithms(n: int, d: int, flat: bool, other_flat: bool, seed: int) -> None:
    f, g = potential(n, d, flat, seed), potential(n, d, other_flat, seed + 7)
    value = torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=D64)
    torch.testing.assert_close(at(f * g, value), at(f, value) + at(g, value))
    assert (f * g).precision.ndim == (2 if flat and other_flat else 3)


def test_a_product_misses_what_both_miss() -> None:
    f = potential(3, 2, True, 0)
    first, second = (
        GaussianPotential(f.shift, f.precision, f.log_scale, missing=torch.tensor(mask))
        for mask in ([True, True, False], [True, False, False])
    )
    assert (first * second).missing_rows().tolist() == [True, False, False]
    assert (f * first).missing is None


@few
@given(st.integers(1, 4), dimensions, st.booleans(), seeds)
def test_the_message_is_the_gradient_of_its_expectation(n: int, d: int, flat: bool, seed: int) -> None:
    """d E_q[log f] / d (mean, variance) = (shift - P mean, -P / 2)."""
    q, f = belief(n, d, flat, seed), potential(n, d, flat, seed)
    moving = Gaussian(q.mean.clone().requires_grad_(), q.variance.clone().requires_grad_())
    f.expectation(moving).sum().backward()
    pulled = (dense(f.precision) @ q.mean.unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(moving.mean.grad, f.shift - pulled)
    torch.testing.assert_close(moving.variance.grad, -0.5 * f.precision)


@pytest.mark.parametrize("diagonal", [True, False])
def test_placeholders_are_proper(diagonal: bool) -> None:
    q = belief(2, 3, diagonal, 0).blank(4)
    torch.testing.assert_close(q.entropy(), torch.full((4,), 1.5 * (1 + math.log(2 * math.pi)), dtype=D64))
    f = potential(2, 3, diagonal, 0).blank(4)
    assert f.expectation(q).tolist() == [0.0] * 4
    assert q.missing_rows().all()
    assert f.missing_rows().all()


def test_a_mean_that_is_no_matrix_is_refused() -> None:
    with pytest.raises(MessageError, match=r"Gaussian\.mean of shape \(N, D\); got \(3,\)"):
        Gaussian(torch.zeros(3), torch.zeros(3))


@pytest.mark.parametrize("diagonal", [True, False])
@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_a_draw_at_a_temperature_has_the_variance_times_it(diagonal: bool, temperature: float) -> None:
    """N(m, V)^(1/T) is proportional to N(m, T V)."""
    torch.manual_seed(0)
    q, n = belief(1, 3, diagonal, seed=5), 40_000
    drawn = Gaussian(q.mean.expand(n, -1), q.variance.expand(n, *q.variance.shape[1:])).draw(temperature)
    expected = temperature * dense(q.variance)[0]
    # Standardised, so that one tolerance, of six standard errors, serves all entries.
    away = torch.linalg.solve_triangular(torch.linalg.cholesky(expected), (drawn - q.mean).T, upper=False)
    torch.testing.assert_close(away.mean(1), torch.zeros(3, dtype=D64), rtol=0, atol=6 / n**0.5)
    torch.testing.assert_close(away @ away.T / n, torch.eye(3, dtype=D64), rtol=0, atol=6 * (2 / n) ** 0.5)


@given(sizes, dimensions, st.booleans(), seeds)
@few
def test_at_temperature_zero_a_draw_is_the_mean(n: int, d: int, diagonal: bool, seed: int) -> None:
    q = belief(n, d, diagonal, seed)
    assert torch.equal(q.draw(0.0), q.mean)


def test_evidence_times_a_prior_is_a_prior_and_times_evidence_is_evidence() -> None:
    prior, other = potential(4, 2, False, 0), potential(4, 2, True, 7)
    evidence = GaussianEvidence(other.shift, other.precision, other.log_scale)
    assert type(evidence * prior) is type(prior * evidence) is GaussianPotential
    assert type(evidence * evidence) is GaussianEvidence
    v = torch.randn(4, 2, generator=torch.Generator().manual_seed(1), dtype=D64)
    for product in (evidence * prior, prior * evidence):
        torch.testing.assert_close(product.value(v), prior.value(v) + evidence.value(v))
    torch.testing.assert_close((evidence * evidence).value(v), 2 * evidence.value(v))
    assert isinstance(evidence[1:3], GaussianEvidence)
