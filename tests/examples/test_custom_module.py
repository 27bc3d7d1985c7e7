"""The example's PPCA with a mixture: every block update is exact, so F may never fall, nor pass the evidence."""

import itertools
import math
import random

import numpy as np
import pyro
import pytest
import torch
from scipy.special import gammaln, logsumexp
from scipy.stats import gamma
from torch.distributions import MultivariateNormal, Normal

from examples import custom_module as example
from examples.custom_module import PPCA
from pgmgraph import Gaussian, ModelGraph, Observation, Outbox, fit, generate, infer
from pgmgraph_modules.gmm import GMM

torch.set_num_threads(1)


def data(seed, n=150, columns=6, k=4, d=2):
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    labels = torch.arange(n) % k
    z = 3 * draw(k, d)[labels] + draw(n, d)
    return z @ draw(d, columns) + draw(columns) + 0.7 * draw(n, columns)


def joined(x, k=4, d=2, backward=True, ppca=None, **options):
    observed, ppca, gmm = Observation(x), ppca or PPCA(d), GMM(k, starts=2, **options)
    graph = ModelGraph(x=observed, ppca=ppca, gmm=gmm)
    graph.connect(observed.value, ppca.x)
    graph.connect(ppca.z, gmm.x, backward=backward)
    return graph, ppca, gmm


def falls(result):
    bounds = [entry.F for entry in result.trace if entry.F is not None]
    return sum(later < earlier - 1e-9 * abs(earlier) for earlier, later in itertools.pairwise(bounds))


def test_alone_its_bound_is_the_evidence():
    x = data(0)
    observed, ppca = Observation(x), PPCA(2)
    graph = ModelGraph(x=observed, ppca=ppca)
    graph.connect(observed.value, ppca.x)
    for _ in range(5):
        result = fit(graph, rounds=1, strict=True)
        weights, mean = ppca.loadings[:, :-1], ppca.loadings[:, -1]
        covariance = weights @ weights.T + ppca.noise * torch.eye(6, dtype=torch.float64)
        evidence = float(MultivariateNormal(mean, covariance).log_prob(x).sum())
        assert result.history["F"][-1] == pytest.approx(evidence, abs=1e-7)


def any_order(view, round):
    """Modules in an order that changes from round to round, some of them several times."""
    dice = random.Random(round)
    names = [*view.modules, *dice.choices(view.modules, k=2)]
    dice.shuffle(names)
    return names if round else ["ppca", *names]


@pytest.mark.parametrize("schedule", ["bottom_up", "up_down", ["ppca", "gmm", "gmm"], any_order])
@pytest.mark.parametrize("covariance", ["full", "diagonal"])
def test_f_never_falls_under_any_schedule(schedule, covariance):
    graph, _, _ = joined(data(3), covariance=covariance)
    result = fit(graph, rounds=30, schedule=schedule, strict=True)
    assert falls(result) == 0


@pytest.mark.parametrize("seed", range(5))
def test_f_never_falls_in_a_hundred_rounds(seed):
    graph, _, _ = joined(data(seed))
    result = fit(graph, rounds=100, seed=seed, strict=True)
    assert len(result.trace) == 200
    assert falls(result) == 0
    assert result.history["F"][-1] > result.history["F"][0]


class Certain(PPCA):
    """Sends the mean as if it were certain, as older models do."""

    def __init__(self, latent_dim):
        super().__init__(latent_dim)
        self.guarantee = "none"

    def send(self, x, z):
        belief = super().send(x, z).messages["z"]
        return Outbox(z=Gaussian(belief.mean, torch.zeros_like(belief.mean)), beliefs={"z": belief})

    def statistics(self, x, z):
        mean, second = example._with_one(super().send(x, z).messages["z"])
        return {"xz": x.value.T @ mean, "zz": second.sum(0), "xx": x.value.square().sum(), "n": mean[:, -1].sum()}


@pytest.mark.filterwarnings("ignore::pgmgraph.errors.BoundDecreased")  # that F falls is what this test shows
def test_older_messages_lower_f_and_end_lower():
    ours, older = [], {"component": [], "mean": [], "certain": [], "silent": []}
    lowered = dict.fromkeys(older, 0)
    for seed in range(5):
        graph, _, _ = joined(data(seed))
        ours.append(fit(graph, rounds=60, seed=seed, strict=True).history["F"][-1])
        for scheme in older:
            options = {"message": scheme} if scheme in ("component", "mean") else {}
            module = Certain(2) if scheme == "certain" else None
            graph, _, _ = joined(data(seed), ppca=module, backward=scheme != "silent", **options)
            result = fit(graph, rounds=60, seed=seed)
            lowered[scheme] += falls(result)
            older[scheme].append(result.history["F"][-1])
    assert all(count > 0 for count in lowered.values())
    assert all(np.mean(ours) > np.mean(bounds) for bounds in older.values())


@pytest.mark.filterwarnings("ignore:Singular sample detected")
def test_owned_terms_add_up_to_the_elbo_by_brute_force():
    x = data(1, n=14, k=2)
    graph, ppca, gmm = joined(x, k=2, concentration=2.0)
    result = fit(graph, rounds=3)
    z, c = result.beliefs["ppca.z"], result.beliefs["gmm.c"]
    pyro.set_rng_seed(0)
    estimator = pyro.infer.Trace_ELBO(num_particles=2_000, vectorize_particles=True, max_plate_nesting=1)
    # Pyro's part: p(z, c, parameters) and the entropy of everything. Ours to add: p(x | z).
    draws = torch.tensor([-estimator.loss(lambda: gmm.model(14), lambda: gmm.guide(z, c)) for _ in range(12)])
    sampled = z.distribution().sample((20_000,))
    mean = sampled @ ppca.loadings[:, :-1].T + ppca.loadings[:, -1]
    likelihood = Normal(mean, ppca.noise.sqrt()).log_prob(x).sum((1, 2))
    error = math.hypot(float(draws.std()) / math.sqrt(12), float(likelihood.std()) / math.sqrt(20_000))
    assert error < 0.2
    assert abs(float(draws.mean() + likelihood.mean()) - result.history["F"][-1]) < 5 * error


def log_evidence(x, ppca, gmm):
    """log p(x) for D = 1: assignments and precisions enumerated, means and latents integrated in closed form."""
    prior, k = gmm.prior, gmm.components
    beta, nu = float(prior.components.beta[0]), float(prior.components.nu[0])
    rate = float(prior.components.inverse_scale[0, 0, 0, 0]) / 2
    centre = float(gmm.layout.centre)
    weight, offset = float(ppca.loadings[0, 0]), float(ppca.loadings[0, 1])
    noise = float(ppca.noise)
    # The middle of 4,000 slices of equal probability under the prior of the precision.
    precisions = gamma.ppf((np.arange(4_000) + 0.5) / 4_000, nu / 2, scale=1 / rate)
    values = x[:, 0].numpy() - offset - weight * centre

    def of_members(chosen):
        n = len(chosen)
        if n == 0:
            return 0.0
        variance = weight**2 / precisions + noise
        spread = weight**2 / (beta * precisions)
        # x_n = w mu + e_n: covariance of the members is variance I + spread 1 1'.
        total = variance + n * spread
        square = (chosen**2).sum() / variance - spread / (variance * total) * chosen.sum() ** 2
        logs = -0.5 * (n * math.log(2 * math.pi) + (n - 1) * np.log(variance) + np.log(total) + square)
        return logsumexp(logs) - math.log(len(precisions))

    terms = []
    concentration = float(prior.concentration[0])
    for assignment in itertools.product(range(k), repeat=len(values)):
        chosen = np.array(assignment)
        counts = np.bincount(chosen, minlength=k)
        log_prior = gammaln(k * concentration) - gammaln(k * concentration + len(values))
        log_prior += (gammaln(concentration + counts) - gammaln(concentration)).sum()
        terms.append(log_prior + sum(of_members(values[chosen == component]) for component in range(k)))
    return logsumexp(terms)


@pytest.mark.parametrize("seed", range(4))
def test_f_stays_below_the_enumerated_evidence_under_any_order(seed):
    x = data(seed, n=6, columns=1, k=2, d=1)
    graph, ppca, gmm = joined(x, k=2, d=1)
    dice = random.Random(seed)
    for round in range(12):
        order = [*dice.sample(["ppca", "gmm"], 2), *dice.choices(["ppca", "gmm"], k=2)]
        result = fit(graph, rounds=1, schedule=order if round else ["ppca", "gmm"], seed=seed)
        assert result.history["F"][-1] < log_evidence(x, ppca, gmm)


def test_inference_settles_where_learning_has_settled():
    graph, _, _ = joined(data(2))
    result = fit(graph, rounds=300, strict=True)
    again = infer(graph)
    torch.testing.assert_close(again["ppca.z"].mean, result.beliefs["ppca.z"].mean, rtol=0, atol=1e-3)
    torch.testing.assert_close(again["gmm.c"].probs, result.beliefs["gmm.c"].probs, rtol=0, atol=1e-3)


@pytest.mark.parametrize("temperature", [0.25, 2.0])
def test_at_a_temperature_it_draws_from_the_covariance_times_it(temperature):
    """X is N(mean, W W' + noise I) where z is the module's own; both its factors to the power, and so x."""
    graph = ModelGraph(data=(observed := Observation(data(0))), ppca=(ppca := PPCA(2)))
    graph.connect(observed.value, ppca.x)
    fit(graph, rounds=20)
    drawn = generate(graph, n=40_000, temperature=temperature)["data"]
    weights = ppca.loadings[:, :-1]
    covariance = temperature * (weights @ weights.T + ppca.noise * torch.eye(6, dtype=torch.float64))
    factor, away = torch.linalg.cholesky(covariance), drawn - ppca.loadings[:, -1]
    white = torch.linalg.solve_triangular(factor, away.T, upper=False)
    torch.testing.assert_close(
        white @ white.T / 40_000, torch.eye(6, dtype=torch.float64), rtol=0, atol=6 * (2 / 40_000) ** 0.5
    )
