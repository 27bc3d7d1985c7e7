"""Expectations of potentials and entropies of beliefs, against sums, samples, gradients and torch's distributions.

Where two ways to compute a number are compared, they may differ by rounding alone: by `operations` roundings, each of
at most the dtype's epsilon times the sum of the terms' sizes.
"""

from __future__ import annotations

import dataclasses
import math

import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from pgmgraph.messages import (
    Categorical,
    CategoricalPotential,
    Gaussian,
    GaussianPotential,
    Message,
    MixturePotential,
    PooledGaussianPotential,
)
from tests.messages.strategies import BELIEFS, MIXTURES, POOLED, POTENTIALS, together

some = settings(deadline=None, max_examples=60, derandomize=True)


def assert_near(got: Tensor, expected: Tensor, sizes: Tensor, operations: int) -> None:
    """Equal but for rounding; see the top of this file."""
    # A product that underflows loses at most the smallest number there is.
    allowed = operations * (torch.finfo(got.dtype).eps * sizes + torch.finfo(got.dtype).tiny)
    away = (got.double() - expected.double()).abs()
    assert ((away <= allowed) | (got.double() == expected.double())).all(), f"{away} > {allowed}"


# Expectations


def dense(matrix: Tensor) -> Tensor:
    return matrix.diag_embed() if matrix.ndim == 2 else matrix


def moments(q: Gaussian) -> tuple[Tensor, Tensor]:
    """E[v] and E[v v'], (N, D) and (N, D, D) in float64."""
    mean = q.mean.double()
    return mean, dense(q.variance.double()) + mean.unsqueeze(-1) * mean.unsqueeze(-2)


def written_out(f: GaussianPotential, first: Tensor, second: Tensor) -> Tensor:
    """log_scale + shift . E[v] - tr(precision E[v v']) / 2, in float64."""
    quadratic = (dense(f.precision.double()) * second).sum((-2, -1))
    return f.log_scale.double() + (f.shift.double() * first).sum(-1) - 0.5 * quadratic


def term_sizes(f: GaussianPotential, q: Gaussian) -> Tensor:
    """The sum of the absolute values of the terms of E_q[log f], (N,)."""
    mean, precision = q.mean.double().abs(), dense(f.precision.double()).abs()
    second = dense(q.variance.double()).abs() + mean.unsqueeze(-1) * mean.unsqueeze(-2)
    linear = (f.shift.double().abs() * mean).sum(-1)
    return f.log_scale.double().abs() + linear + 0.5 * (precision * second).sum((-2, -1))


def roundings(d: int, k: int = 1) -> int:
    """How many operations an expectation takes at most, k components summed up first."""
    return 4 * (d + 2) ** 2 + 2 * k


@some
@given(together(BELIEFS, POTENTIALS))
def test_expectation_is_the_sum_over_the_moments(both: list[Message]) -> None:
    q, f = both
    assert isinstance(q, Gaussian)
    assert isinstance(f, GaussianPotential)
    assert_near(f.expectation(q), written_out(f, *moments(q)), term_sizes(f, q), roundings(*q.event_shape))


@some
@given(together(BELIEFS, POTENTIALS))
def test_expectation_of_a_certain_value_is_the_potential_there(both: list[Message]) -> None:
    q, f = both
    assert isinstance(q, Gaussian)
    assert isinstance(f, GaussianPotential)
    certain = dataclasses.replace(q, variance=torch.zeros_like(q.variance))
    assert_near(f.expectation(certain), f.value(q.mean), term_sizes(f, certain), 2 * roundings(*q.event_shape))


@some
@given(together(BELIEFS, POTENTIALS, POTENTIALS))
def test_expectation_of_a_product_is_the_sum_of_the_expectations(three: list[Message]) -> None:
    q, f, g = three
    assert isinstance(q, Gaussian)
    assert isinstance(f, GaussianPotential)
    assert isinstance(g, GaussianPotential)
    sizes, operations = term_sizes(f, q) + term_sizes(g, q), 2 * roundings(*q.event_shape)
    assert_near((f * g).expectation(q), f.expectation(q).double() + g.expectation(q).double(), sizes, operations)


@some
@given(together(BELIEFS, POOLED))
def test_a_pooled_expectation_is_the_weighted_sum_over_components(both: list[Message]) -> None:
    q, f = both
    assert isinstance(q, Gaussian)
    assert isinstance(f, PooledGaussianPotential)
    n, k = f.weights.shape
    expected, sizes = torch.zeros(n, dtype=torch.float64), torch.zeros(n, dtype=torch.float64)
    for j in range(k):
        parts = [getattr(f, name)[j].expand(n, *getattr(f, name).shape[1:]) for name in f.shared]
        component, weights = GaussianPotential(*parts), f.weights[:, j].double()
        expected += weights * written_out(component, *moments(q))
        sizes += weights * term_sizes(component, q)
    assert_near(f.expectation(q), expected, sizes, roundings(*q.event_shape, k))
    assert torch.equal(f.dense().expectation(q), f.expectation(q))


@some
@given(together(("categorical",), ("categorical potential",)))
def test_a_categorical_expectation_is_the_sum_over_classes(both: list[Message]) -> None:
    q, f = both
    assert isinstance(q, Categorical)
    assert isinstance(f, CategoricalPotential)
    terms = [
        [
            float(p) * float(w) if p > 0 else 0.0
            for p, w in zip(probabilities.double(), weights.double(), strict=True)
        ]
        for probabilities, weights in zip(q.probs, f.log_weights, strict=True)
    ]
    expected = torch.tensor([sum(row) for row in terms], dtype=torch.float64)
    sizes = torch.tensor([sum(map(abs, row)) for row in terms], dtype=torch.float64)
    assert_near(f.expectation(q), expected, sizes, 2 * len(q.probs[0]) if len(q) else 0)


@some
@given(together(("full gaussian",), (*POTENTIALS, *POOLED)))
def test_natural_parameters_are_the_gradient_with_respect_to_the_moments(both: list[Message]) -> None:
    """d E_q[log f] / d (E[v], E[v v']) = (shift, -precision / 2): the definition of a variational message."""
    q, f = both
    assert isinstance(q, Gaussian)
    assert isinstance(f, GaussianPotential | PooledGaussianPotential)
    first, second = (moment.to(q.mean.dtype).requires_grad_() for moment in moments(q))
    mean = first.unsqueeze(-1)
    f.expectation(Gaussian(first, second - mean @ mean.mT)).sum().backward()
    natural = f.dense() if isinstance(f, PooledGaussianPotential) else f
    precision = dense(natural.precision)
    pulled = (precision.double().abs() @ first.double().abs().unsqueeze(-1)).squeeze(-1)
    assert_near(first.grad, natural.shift, natural.shift.double().abs() + 3 * pulled, roundings(*q.event_shape))
    assert torch.equal(second.grad, -0.5 * precision)


@some
@given(together(("categorical",), ("categorical potential",)))
def test_log_weights_are_the_gradient_with_respect_to_the_probabilities(both: list[Message]) -> None:
    q, f = both
    assert isinstance(q, Categorical)
    assert isinstance(f, CategoricalPotential)
    assume(bool((q.probs > 0).all()) and bool(f.log_weights.isfinite().all()))
    probs = q.probs.clone().requires_grad_()
    f.expectation(Categorical(probs)).sum().backward()
    assert torch.equal(probs.grad, f.log_weights)


# The whole mixture


@some
@given(together(BELIEFS, MIXTURES))
def test_a_mixture_is_the_logarithm_of_the_sum_of_its_components(both: list[Message]) -> None:
    q, f = both
    assert isinstance(q, Gaussian)
    assert isinstance(f, MixturePotential)
    n, v = len(f), q.mean
    point = Gaussian(v, torch.zeros_like(v))
    logarithms, sizes = [], []
    for j in range(len(f.log_weights)):
        parts = [getattr(f, name)[j].expand(n, *getattr(f, name).shape[1:]) for name in ("shift", "precision")]
        component = GaussianPotential(*parts, (f.log_scale + f.log_weights)[j].expand(n))
        logarithms.append(written_out(component, *moments(point)))
        # An impossible component adds nothing, and so rounds nothing.
        sizes.append(torch.nan_to_num(term_sizes(component, point), posinf=0.0))
    expected = torch.logsumexp(torch.stack(logarithms), 0)
    # A logarithm of a sum moves no further than the one of its terms that moves furthest, and rounds itself.
    size, k = torch.stack(sizes).amax(0) + expected.abs() + 1, len(f.log_weights)
    assert_near(f.value(v), expected, size, 2 * roundings(*q.event_shape, k))


@some
@given(together(("full gaussian",), MIXTURES, least=1, widest=2), st.integers(0, 2**32))
def test_its_expectation_by_samples_is_above_the_mean_field_one(both: list[Message], seed: int) -> None:
    """E log sum_k exp f_k >= sum_k r_k E f_k + H[r] for any r: what makes the collapsed bound the tighter one."""
    q, f = both
    assert isinstance(q, Gaussian)
    assert isinstance(f, MixturePotential)
    q, f = q.to(dtype=torch.float64), f.to(dtype=torch.float64)
    [d], n = q.event_shape, len(q)
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(10, n, d, generator=generator, dtype=torch.float64)
    values = q.mean + (noise.unsqueeze(-2) @ q.variance).squeeze(-2)
    # Over the samples' own mean and covariance the expectation of a quadratic is the samples' mean, exactly.
    away = values - values.mean(0)
    drawn_from = Gaussian(values.mean(0), torch.einsum("sni,snj->nij", away, away) / 10)
    r = torch.softmax(f.log_weights + torch.randn(n, len(f.log_weights), generator=generator, dtype=torch.float64), 1)
    possible = torch.nan_to_num(f.log_weights, neginf=0.0)  # r gives nothing to what is impossible
    mean_field = PooledGaussianPotential(r, f.shift, f.precision, f.log_scale + possible)
    bound = mean_field.expectation(drawn_from) + Categorical(r).entropy()
    rounding = 1e-12 * (1 + term_sizes(mean_field.dense(), drawn_from))
    assert (f.value(values).mean(0) >= bound - rounding).all()


def test_draws_from_a_mixture_are_distributed_as_it_is() -> None:
    f = MixturePotential(
        50_000,
        torch.tensor([0.3, 0.5, 0.2]).double().log(),
        torch.tensor([[-8.0], [1.0], [0.5]], dtype=torch.float64),
        torch.tensor([[4.0], [1.0], [0.1]], dtype=torch.float64),
        torch.tensor([-8.0, 0.0, 0.3], dtype=torch.float64),
    )
    grid = torch.linspace(-20, 30, 50_001, dtype=torch.float64)
    density = dataclasses.replace(f, items=len(grid)).value(grid[:, None]).exp()
    distribution = density.cumsum(0) / density.sum()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        drawn = f.sample()[:, 0].sort().values
    expected = distribution[torch.searchsorted(grid, drawn).clamp_max(len(grid) - 1)]
    empirical = torch.arange(1, len(drawn) + 1) / len(drawn)
    # Kolmogorov and Smirnov's distance passes 1.95 / sqrt(n) once in a thousand.
    assert float((expected - empirical).abs().max()) < 1.95 / math.sqrt(len(drawn))


# Entropies


@some
@given(together(("diagonal gaussian", "full gaussian", "categorical"), least=1))
def test_entropy_is_torchs_wherever_it_has_one(beliefs: list[Message]) -> None:
    [q] = beliefs
    assert isinstance(q, Gaussian | Categorical)
    if isinstance(q, Gaussian):
        # A multiple of the unit matrix makes any covariance regular, at any scale.
        scale = q.marginal_variance().mean(1).add(torch.finfo(q.mean.dtype).tiny)
        ridge = scale[:, None].expand_as(q.mean)
        q = Gaussian(q.mean, q.variance + (ridge if q.is_diagonal else ridge.diag_embed()))
    exact = q.to(dtype=torch.float64)
    assert q.entropy().dtype == torch.float64
    # Probabilities sum to 1 as far as their dtype goes, and torch makes them do so exactly.
    rounding = 16 * torch.finfo(q.probs.dtype).eps if isinstance(q, Categorical) else 1e-12
    torch.testing.assert_close(q.entropy(), exact.distribution().entropy(), rtol=1e-12, atol=rounding)


@some
@given(together(BELIEFS), st.integers(-30, 30))
def test_entropy_grows_by_the_logarithm_of_the_scale(beliefs: list[Message], power: int) -> None:
    [q] = beliefs
    assert isinstance(q, Gaussian)
    q = q.to(dtype=torch.float64)
    d = q.event_shape[0]
    variance = torch.ones_like(q.mean) if q.is_diagonal else torch.eye(d).double().expand(len(q), d, d)
    wide = Gaussian(q.mean, variance * 4.0**power)
    expected = Gaussian(q.mean, variance).entropy() + d * power * math.log(2)
    torch.testing.assert_close(wide.entropy(), expected, rtol=1e-13, atol=1e-12)


@some
@given(together(("diagonal gaussian",), least=1))
def test_entropy_is_minus_infinity_exactly_where_a_variance_is_zero(beliefs: list[Message]) -> None:
    [q] = beliefs
    assert isinstance(q, Gaussian)
    certain = (q.variance == 0).any(1)
    assert torch.equal(q.entropy() == -math.inf, certain)
    assert q.entropy()[~certain].isfinite().all()
    assert torch.equal(Gaussian(q.mean, q.variance.diag_embed()).entropy() == -math.inf, certain)
