"""The Gibbs sampler: against its own prior (Geweke), against enumeration, and as a way to learn a mixture."""

import functools
import itertools
import math

import numpy as np
import pytest
import torch
from scipy import stats

from pgmgraph import Gaussian, ModelGraph, Observation, fit, infer
from pgmgraph_modules.conjugate.moments import Layout
from pgmgraph_modules.conjugate.normal_wishart import NormalWishart
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.gmm.gibbs import Gibbs, aligned, drawn_components
from pgmgraph_modules.gmm.posterior import Posterior
from tests.toys import blobs

torch.set_num_threads(1)

K, D, ITEMS = 2, 2, 6
ENDLESS = 10**9


def tensor(*values):
    return torch.tensor(values, dtype=torch.float64)


def a_prior(full):
    """A prior whose fourth moments exist, with no symmetry but that of its components."""
    inverse_scale = tensor([4.0, 1.0], [1.0, 2.5])[None] if full else tensor([[4.0]], [[2.5]])
    mean = tensor([0.5, -1.0]).reshape(-1, D if full else 1)
    components = NormalWishart(
        mean.expand(K, -1, -1), tensor(0.8, 0.8), inverse_scale.expand(K, -1, -1, -1), tensor(9.0, 9.0)
    )
    return Posterior(tensor(1.5, 1.5), components), Layout(D, full, tensor(0.0, 0.0))


def drawn_from_the_prior(full, n, items, seed):
    """Independent draws by numpy and scipy: weights (n, K), means, precisions (n, K, D, D), x (n, items, D)."""
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet([1.5, 1.5], n)
    if full:
        scale = np.linalg.inv([[4.0, 1.0], [1.0, 2.5]])
        precision = stats.wishart(9.0, scale).rvs(n * K, random_state=rng).reshape(n, K, D, D)
    else:
        precision = np.zeros((n, K, D, D))
        for i, inverse_scale in enumerate((4.0, 2.5)):
            precision[..., i, i] = rng.chisquare(9.0, (n, K)) / inverse_scale
    means = np.array([0.5, -1.0]) + normals(rng, 0.8 * precision)
    c = (rng.random((n, items, 1)) > weights.cumsum(1)[:, None, :-1]).sum(2)
    rows = np.arange(n)[:, None]
    return weights, means, precision, means[rows, c] + normals(rng, precision[rows, c])


def normals(rng, precision):
    root = np.linalg.cholesky(np.linalg.inv(precision))
    return np.einsum("...ij,...j->...i", root, rng.standard_normal(precision.shape[:-1]))


def unpacked(coefficients, full):
    """Weights, means and precisions that a matrix of coefficients was made of."""
    second = -2 * coefficients[:, 1 + D :]
    if full:
        precision = torch.stack([second[:, 0], second[:, 1] / 2, second[:, 1] / 2, second[:, 2]], 1).reshape(K, D, D)
    else:
        precision = second.diag_embed()
    shift = coefficients[:, 1 : 1 + D]
    mean = torch.linalg.solve(precision, shift)
    log_scale = 0.5 * (torch.logdet(precision) - D * math.log(2 * math.pi) - (shift * mean).sum(1))
    return (coefficients[:, 0] - log_scale).exp(), mean, precision


def drawn_by_turns(gibbs, full, n, items, seed):
    """Data drawn given the parameters, then a sweep given the data, and so on; in the form of independent draws."""
    torch.manual_seed(seed)
    prior, layout = a_prior(full)
    gibbs.begin(prior, layout)
    kept = []
    for _ in range(n):
        weights, mean, precision = unpacked(gibbs.state()["draws"][-1], full)
        c = torch.multinomial(weights, items, replacement=True)
        noise = torch.randn(items, D, 1, dtype=torch.float64)
        root = torch.linalg.cholesky(precision)[c]
        x = mean[c] + torch.linalg.solve_triangular(root.mT, noise, upper=True).squeeze(-1)
        moments = layout.moments(Gaussian(x, torch.zeros_like(x)))
        posterior = gibbs.learn(gibbs.statistics(moments, prior, layout), prior, prior, layout)
        assert posterior is prior
        kept.append((*unpacked(gibbs.state()["draws"][-1], full), x))
    return [torch.stack(parts).numpy() for parts in zip(*kept, strict=True)]


def functions(weights, means, precisions, x):
    """Functions of parameters and data that do not know the components' numbers, (n, functions)."""
    sizes = np.linalg.slogdet(precisions)[1]
    squares = (x**2).sum(2)
    return np.stack(
        [
            np.log(weights).sum(1),
            (weights**2).sum(1),
            means.sum((1, 2)),
            (means**2).sum((1, 2)),
            (weights[..., None] * means).sum((1, 2)),
            sizes.sum(1),
            (weights * sizes).sum(1),
            np.trace(precisions, axis1=2, axis2=3).sum(1),
            (precisions**2).sum((1, 2, 3)),
            np.einsum("nki,nkij,nkj->n", means, precisions, means),
            x.mean((1, 2)),
            squares.mean(1),
            x[:, 0, 0] * x[:, 1, 0],
            (np.einsum("nki,nti->ntk", means, x) * weights[:, None]).sum((1, 2)),
        ],
        1,
    )


def standardised(independent, by_turns, batches=40):
    """The differences of the means in standard errors; those of the chain by batch means, for its autocorrelation."""
    error = independent.var(0) / len(independent)
    means = by_turns[: len(by_turns) // batches * batches].reshape(batches, -1, by_turns.shape[1]).mean(1)
    return (by_turns.mean(0) - independent.mean(0)) / np.sqrt(error + means.var(0, ddof=1) / batches)


@functools.cache
def independent(full):
    return functions(*drawn_from_the_prior(full, 40_000, ITEMS, seed=1))


def geweke(gibbs, full, n):
    return standardised(independent(full), functions(*drawn_by_turns(gibbs, full, n, ITEMS, seed=2)))


class CountsTwice(Gibbs):
    """Takes every item for two."""

    def statistics(self, *given):
        found = super().statistics(*given)
        return {**found, "sums": 2 * found["sums"]}


class OneDegreeFreer(Gibbs):
    """Draws precisions with a degree of freedom too many."""

    def learn(self, total, posterior, prior, layout):
        freer = NormalWishart(**{**vars(prior.components), "nu": prior.components.nu + 1})
        super().learn(total, posterior, Posterior(prior.concentration, freer), layout)
        return posterior


class IgnoresWeights(Gibbs):
    """Draws components by their likelihoods alone."""

    def statistics(self, moments, posterior, layout):
        weights, *_ = unpacked(self._draws[-1], layout.full)
        self._draws[-1] = self._draws[-1].clone()
        self._draws[-1][:, 0] -= weights.log()
        return super().statistics(moments, posterior, layout)


# Geweke (2004), "Getting it right": draws of parameters and data by turns have the distribution of the prior and
# the model, or else one of the two conditionals is not that of the joint distribution. Of 14 standard normals one
# is above 4 with a probability of one in a thousand.
@pytest.mark.parametrize("full", [True, False])
def test_draws_by_turns_have_the_distribution_of_the_prior_and_the_model(full):
    assert np.abs(geweke(Gibbs(ENDLESS), full, 1_600)).max() < 4


@pytest.mark.parametrize("wrong", [CountsTwice, OneDegreeFreer, IgnoresWeights])
def test_a_wrong_sampler_does_not_pass(wrong):
    assert np.abs(geweke(wrong(ENDLESS), True, 800)).max() > 6


def log_evidence(prior, moments, layout, assignment):
    """Of the items, given which component each is in, but for a constant; and of the assignment itself."""
    chosen = torch.nn.functional.one_hot(torch.tensor(assignment), K).T.double()
    posterior = prior.updated(chosen @ moments.T, layout)
    of_items = (posterior.components.log_normaliser() - prior.components.log_normaliser()).sum()
    of_counts = torch.lgamma(posterior.concentration).sum() - torch.lgamma(prior.concentration).sum()
    return of_items + of_counts


def together_by_enumeration(prior, moments, layout):
    """p(c_i = c_j given the data) by a sum over all assignments, (n, n)."""
    assignments = list(itertools.product(range(K), repeat=moments.shape[1]))
    weights = torch.softmax(torch.stack([log_evidence(prior, moments, layout, one) for one in assignments]), 0)
    numbers = torch.tensor(assignments)
    return (weights[:, None, None] * (numbers.unsqueeze(2) == numbers.unsqueeze(1))).sum(0)


@pytest.mark.parametrize("full", [True, False])
def test_a_long_run_agrees_with_the_enumeration_of_all_assignments(full):
    torch.manual_seed(3)
    prior, layout = a_prior(full)
    x = torch.randn(6, D, dtype=torch.float64)
    moments = layout.moments(Gaussian(x, 0.5 * torch.rand(6, D, dtype=torch.float64)))
    expected = together_by_enumeration(prior, moments, layout)
    gibbs, runs = Gibbs(ENDLESS), []
    gibbs.begin(prior, layout)
    for _ in range(1_600):
        gibbs.learn(gibbs.statistics(moments, prior, layout), prior, prior, layout)
        # Given the parameters of a draw, items are independent.
        responsibilities = gibbs.responsibilities(moments, prior, layout)
        runs.append(responsibilities.T @ responsibilities)
    # Batches of 50 sweeps; the autocorrelation is gone after 20.
    batches = torch.stack(runs[100:]).reshape(30, 50, 6, 6).mean(1)
    error = batches.std(0) / math.sqrt(30)
    apart = tuple(torch.tril_indices(6, 6, -1))
    assert 0.3 < float(expected.min()) < 0.5, "the data leave open who is with whom"
    assert float(error[apart].max()) < 0.02
    assert float(((batches.mean(0) - expected) / error)[apart].abs().max()) < 4.5


def test_components_are_drawn_in_proportion():
    torch.manual_seed(0)
    joint = tensor(0.1, 0.0, 0.6, 0.3).log()[:, None].expand(-1, 40_000)
    drawn = drawn_components(joint - 1_000)
    assert torch.equal(drawn.sum(0), torch.ones(40_000, dtype=torch.float64))
    shares = drawn.mean(1)
    assert float(shares[1]) == 0.0
    error = (shares * (1 - shares) / 40_000).sqrt()
    assert ((shares - tensor(0.1, 0.0, 0.6, 0.3)).abs() <= 4 * error).all()


def test_rows_are_put_in_the_order_that_agrees_best():
    sums = torch.arange(12, dtype=torch.float64).reshape(4, 3)
    # Drawn component 0 meets label 2, 1 meets 0, 3 meets 1 (and 2 nearly as often), and the empty 2 gets what is left.
    overlap = tensor([0.0, 1.0, 9.0, 0.0], [7.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0], [0.0, 4.0, 3.0, 0.0])
    assert torch.equal(aligned(sums, overlap), sums[[1, 3, 0, 2]])


def under_gibbs(x, k=3, rounds=3, seed=0, at_once=None, **options):
    data, gmm = Observation(x), GMM(k, inference="gibbs", **options)
    graph = ModelGraph(data=data, gmm=gmm)
    graph.connect(data.value, gmm.x)
    if at_once is not None:
        setup = gmm.setup

        def smaller(context):
            setup(context)
            gmm.at_once = at_once

        gmm.setup = smaller
    return graph, gmm, fit(graph, rounds=rounds, seed=seed)


def test_the_belief_is_the_average_over_the_draws_of_the_second_half():
    x, _ = blobs(60, 3, 2)
    graph, gmm, result = under_gibbs(0.3 * x, sweeps=9)
    draws = gmm.state_dict()["inference"]["draws"]
    assert len(draws) == 5
    assert len({float(draw[0, 0]) for draw in draws}) == 5
    moments = gmm.layout.moments(Gaussian(0.3 * x, torch.zeros_like(x)))
    average = torch.stack([torch.softmax(draw @ moments, 0) for draw in draws]).mean(0).T
    torch.testing.assert_close(result.beliefs["gmm.c"].probs, average)
    torch.testing.assert_close(infer(graph)["gmm.c"].probs, average)


def test_the_posterior_is_the_m_step_on_the_average_and_f_the_bound_there():
    x, _ = blobs(60, 3, 2)
    _, gmm, result = under_gibbs(0.3 * x)
    moments = gmm.layout.moments(Gaussian(0.3 * x, torch.zeros_like(x)))
    c = result.beliefs["gmm.c"]
    expected = gmm.prior.updated(c.probs.T @ moments.T, gmm.layout)
    for name, part in expected.state().items():
        torch.testing.assert_close(gmm.posterior.state()[name], part)
    joint = gmm.posterior.log_likelihoods(moments, gmm.layout).T + gmm.posterior.expected_log_weights()
    bound = (c.probs * joint).sum() + c.entropy().sum() - gmm.posterior.divergence(gmm.prior)
    assert result.history["F"][-1] == pytest.approx(float(bound), rel=1e-12)
    assert gmm.guarantee == "none"


def test_minibatches_of_any_size_draw_the_same():
    x, _ = blobs(60, 3, 2)
    (_, whole, _), (_, pieces, _) = under_gibbs(0.3 * x), under_gibbs(0.3 * x, at_once=7)
    draws, others = (gmm.state_dict()["inference"]["draws"] for gmm in (whole, pieces))
    torch.testing.assert_close(others, draws, rtol=1e-9, atol=1e-9)


def test_labels_do_not_jump_between_draws_and_rounds():
    x, _ = blobs(90, 3, 2)
    graph, _, result = under_gibbs(x, rounds=1, sweeps=5)
    first = result.beliefs["gmm.c"].most_probable()
    for seed in range(5):
        last = fit(graph, rounds=2, seed=seed).beliefs["gmm.c"]
        assert torch.equal(last.most_probable(), first)
        assert float(last.probs.max(1).values.min()) > 0.9, "an average over draws with other numbers would be flat"


def test_a_chain_goes_on_from_the_last_draw_of_the_round_before():
    x, _ = blobs(60, 3, 2)
    _, whole, _ = under_gibbs(0.3 * x, rounds=4)
    graph, parts, _ = under_gibbs(0.3 * x, rounds=2)
    last = parts.state_dict()["inference"]["draws"][-1].clone()
    begun = []
    statistics = parts.statistics

    def watched(**mail):
        begun.append(parts.state_dict()["inference"]["draws"][-1].clone())
        return statistics(**mail)

    parts.statistics = watched
    fit(graph, rounds=2)
    assert torch.equal(begun[0], last)
    assert torch.equal(whole.state_dict()["inference"]["draws"], parts.state_dict()["inference"]["draws"])
