"""Expectations of potentials and entropies of beliefs, against sums, samples, gradients and torch's distributions.

Where two ways to compute a number are compared, they may differ by rounding alone: by `operations` roundings, each of
at most the dtype's epsilon times the sum of the terms' sizes.
"""

import dataclasses
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pgmgraph.messages import (
    Categorical,
    CategoricalPotential,
    Gaussian,
    GaussianPotential,
    MixturePotential,
    PooledGaussianPotential,
)
from tests.messages.strategies import BELIEFS, MIXTURES, POOLED, POTENTIALS, together

some = settings(deadline=None, max_examples=40, derandomize=True)


def assert_near(got, expected, sizes, operations):
    """Equal but for rounding; see the top of this file."""
    # A product that underflows loses at most the smallest number there is.
    allowed = operations * (torch.finfo(got.dtype).eps * sizes + torch.finfo(got.dtype).tiny)
    away = (got.double() - expected.double()).abs()
    assert ((away <= allowed) | (got.double() == expected.double())).all(), f"{away} > {allowed}"


def roundings(q, k=1):
    """How many operations an expectation takes at most, k components summed up first."""
    return 4 * (q.mean.shape[1] + 2) ** 2 + 2 * k


def dense(matrix):
    return matrix.diag_embed() if matrix.ndim == 2 else matrix


def moments(q):
    """E[v] and E[v v'], (N, D) and (N, D, D) in float64."""
    mean = q.mean.double()
    return mean, dense(q.variance.double()) + mean.unsqueeze(-1) * mean.unsqueeze(-2)


def written_out(f, first, second):
    """log_scale + shift . E[v] - tr(precision E[v v']) / 2, in float64."""
    quadratic = (dense(f.precision.double()) * second).sum((-2, -1))
    return f.log_scale.double() + (f.shift.double() * first).sum(-1) - 0.5 * quadratic


def term_sizes(f, q):
    """The sum of the absolute values of the terms of E_q[log f], (N,)."""
    mean, precision = q.mean.double().abs(), dense(f.precision.double()).abs()
    second = dense(q.variance.double()).abs() + mean.unsqueeze(-1) * mean.unsqueeze(-2)
    linear = (f.shift.double().abs() * mean).sum(-1)
    return f.log_scale.double().abs() + linear + 0.5 * (precision * second).sum((-2, -1))


def components(f, n):
    """Each component of a mixture as a potential of n items."""
    for j in range(len(f.shift)):
        yield GaussianPotential(*(one[j].expand(n, *one.shape[1:]) for one in (f.shift, f.precision, f.log_scale)))


# Potentials


@some
@given(together(BELIEFS, POTENTIALS))
def test_expectation_is_the_sum_over_the_moments(pairs):
    for q, f in pairs:
        assert_near(f.expectation(q), written_out(f, *moments(q)), term_sizes(f, q), roundings(q))


@some
@given(together(BELIEFS, POTENTIALS))
def test_expectation_of_a_certain_value_is_the_potential_there(pairs):
    for q, f in pairs:
        certain = dataclasses.replace(q, variance=torch.zeros_like(q.variance))
        assert_near(f.expectation(certain), f.value(q.mean), term_sizes(f, certain), 2 * roundings(q))


@some
@given(together(BELIEFS, POTENTIALS, POTENTIALS))
def test_expectation_of_a_product_is_the_sum_of_the_expectations(triples):
    for q, f, g in triples:
        both = f.expectation(q).double() + g.expectation(q).double()
        assert_near((f * g).expectation(q), both, term_sizes(f, q) + term_sizes(g, q), 2 * roundings(q))


@some
@given(together(BELIEFS, POOLED))
def test_a_pooled_expectation_is_the_weighted_sum_over_components(pairs):
    for q, f in pairs:
        n, k = f.weights.shape
        expected, sizes = torch.zeros(2, n, dtype=torch.float64)
        for weights, component in zip(f.weights.double().T, components(f, n), strict=True):
            expected += weights * written_out(component, *moments(q))
            sizes += weights * term_sizes(component, q)
        assert_near(f.expectation(q), expected, sizes, roundings(q, k))
        assert torch.equal(f.dense().expectation(q), f.expectation(q))


@some
@given(together(("categorical",), ("categorical potential",)))
def test_a_categorical_expectation_is_the_sum_over_classes(pairs):
    for q, f in pairs:
        rows = zip(q.probs.tolist(), f.log_weights.tolist(), strict=True)
        terms = [[p * weight if p > 0 else 0.0 for p, weight in zip(*row, strict=True)] for row in rows]
        expected = torch.tensor([sum(row) for row in terms], dtype=torch.float64)
        sizes = torch.tensor([sum(map(abs, row)) for row in terms], dtype=torch.float64)
        assert_near(f.expectation(q), expected, sizes, 2 * q.probs.shape[1])


# Gradients


@some
@given(together(("full gaussian",), (*POTENTIALS, *POOLED)))
def test_natural_parameters_are_the_gradient_with_respect_to_the_moments(pairs):
    """d E_q[log f] / d (E[v], E[v v']) = (shift, -precision / 2): the definition of a variational message."""
    for q, f in pairs:
        first, second = (moment.to(q.mean.dtype).requires_grad_() for moment in moments(q))
        mean = first.unsqueeze(-1)
        f.expectation(Gaussian(first, second - mean @ mean.mT)).sum().backward()
        natural = f.dense() if isinstance(f, PooledGaussianPotential) else f
        precision = dense(natural.precision)
        pulled = (precision.double().abs() @ mean.double().abs()).squeeze(-1)
        assert_near(first.grad, natural.shift, natural.shift.double().abs() + 3 * pulled, roundings(q))
        assert torch.equal(second.grad, -0.5 * precision)


@some
@given(together(("categorical",), ("categorical potential",)))
def test_log_weights_are_the_gradient_with_respect_to_the_probabilities(pairs):
    for q, f in pairs:
        probs = q.probs.clone().requires_grad_()
        f.expectation(Categorical(probs)).sum().backward()
        possible = (q.probs > 0) & f.log_weights.isfinite()
        assert torch.equal(probs.grad[possible], f.log_weights[possible])


def test_the_gradient_is_a_number_where_a_class_is_impossible():
    probs = torch.tensor([[0.0, 1.0]], requires_grad=True)
    CategoricalPotential(torch.tensor([[-torch.inf, -1.0]])).expectation(Categorical(probs)).sum().backward()
    assert not probs.grad.isnan().any()


# The whole mixture


@some
@given(together(BELIEFS, MIXTURES))
def test_a_mixture_is_the_logarithm_of_the_sum_of_its_components(pairs):
    for q, f in pairs:
        point = Gaussian(q.mean, torch.zeros_like(q.mean))
        weighted = [
            (float(weight), written_out(component, *moments(point)), term_sizes(component, point))
            for weight, component in zip(f.log_weights, components(f, len(f)), strict=True)
        ]
        expected = torch.logsumexp(torch.stack([weight + value for weight, value, _ in weighted]), 0)
        # A logarithm of a sum moves no further than the one of its terms that moves furthest, and rounds itself. An
        # impossible component adds nothing, and so rounds nothing.
        sizes = [abs(weight) + size for weight, _, size in weighted if weight > -math.inf]
        size = torch.stack(sizes).amax(0) + expected.abs() + 1
        assert_near(f.value(q.mean), expected, size, 2 * roundings(q, len(weighted)))


@some
@given(together(("full gaussian",), MIXTURES, least=1, extreme=False), st.integers(0, 2**32))
def test_its_expectation_by_samples_is_above_the_mean_field_one(pairs, seed):
    """E log sum_k exp f_k >= sum_k r_k E f_k + H[r] for any r: what makes the collapsed bound the tighter one."""
    generator = torch.Generator().manual_seed(seed)
    for one, other in pairs:
        q, f = one.to(dtype=torch.float64), other.to(dtype=torch.float64)
        noise = torch.randn(10, *q.mean.shape, generator=generator, dtype=torch.float64)
        values = q.mean + (noise.unsqueeze(-2) @ q.variance).squeeze(-2)
        # Over the samples' own mean and covariance the expectation of a quadratic is the samples' mean, exactly.
        away = values - values.mean(0)
        empirical = Gaussian(values.mean(0), torch.einsum("sni,snj->nij", away, away) / len(values))
        doubt = torch.randn(len(q), len(f.log_weights), generator=generator, dtype=torch.float64)
        r = torch.softmax(f.log_weights + doubt, 1)
        possible = torch.nan_to_num(f.log_weights, neginf=0.0)  # r gives nothing to what is impossible
        mean_field = PooledGaussianPotential(r, f.shift, f.precision, f.log_scale + possible)
        bound = mean_field.expectation(empirical) + Categorical(r).entropy()
        assert (f.value(values).mean(0) >= bound - 1e-12 * (1 + term_sizes(mean_field.dense(), empirical))).all()


def test_draws_from_a_mixture_are_distributed_as_it_is():
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
@given(together((*BELIEFS, "categorical"), least=1))
def test_entropy_is_torchs_wherever_it_has_one(beliefs):
    for (q,) in beliefs:
        # Probabilities sum to 1 as far as their dtype goes, and torch makes them do so exactly.
        rounding = 16 * torch.finfo(q.probs.dtype).eps if isinstance(q, Categorical) else 1e-12
        if isinstance(q, Gaussian):
            # A multiple of the unit matrix makes any covariance regular, at any scale.
            scale = q.marginal_variance().mean(1).add(torch.finfo(q.mean.dtype).tiny)
            ridge = scale[:, None].expand_as(q.mean)
            q = Gaussian(q.mean, q.variance + (ridge if q.is_diagonal else ridge.diag_embed()))
        expected = q.to(dtype=torch.float64).distribution().entropy()
        assert q.entropy().dtype == torch.float64
        torch.testing.assert_close(q.entropy(), expected, rtol=1e-12, atol=rounding)


@pytest.mark.parametrize("power", [-30, -3, 0, 7, 30])
@pytest.mark.parametrize("d", [1, 2, 5])
def test_entropy_grows_by_the_logarithm_of_the_scale(d, power):
    mean, variance = torch.zeros(3, d, dtype=torch.float64), torch.ones(3, d, dtype=torch.float64)
    expected = Gaussian(mean, variance).entropy() + d * power * math.log(2)
    for scaled in (variance * 4.0**power, (variance * 4.0**power).diag_embed()):
        torch.testing.assert_close(Gaussian(mean, scaled).entropy(), expected, rtol=1e-13, atol=1e-12)


@some
@given(together(("diagonal gaussian",), least=1))
def test_entropy_is_minus_infinity_exactly_where_a_variance_is_zero(beliefs):
    for (q,) in beliefs:
        certain = (q.variance == 0).any(1)
        assert torch.equal(q.entropy() == -math.inf, certain)
        assert q.entropy()[~certain].isfinite().all()
        assert torch.equal(Gaussian(q.mean, q.variance.diag_embed()).entropy() == -math.inf, certain)


def test_entropy_of_a_singular_covariance_is_never_nan():
    root = torch.randn(200, 4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert not Gaussian(torch.zeros(200, 4, dtype=torch.float64), root @ root.mT).entropy().isnan().any()
