"""What classifiers and regressors share: messages as derivatives, rows without a y, who owns p(z), the ascent of F."""

import math
from itertools import pairwise

import pytest
import torch
from torch.distributions import MultivariateNormal

from pgmgraph import Gaussian, GaussianEvidence, ModelGraph, Observation, Point, fit, generate, infer
from pgmgraph.errors import MessageTypeError, WiringError
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.linear_gaussian import PPCA
from pgmgraph_modules.supervised import Classifier, Regressor
from pgmgraph_modules.vae import VAE
from tests.refusals import refused
from tests.toys import Noisy

torch.set_num_threads(1)

N = 60


def draws(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def vectors(n=N, columns=5):
    z = draws(n, 2) + 3 * (torch.arange(n)[:, None] % 3 == torch.arange(2))
    return z @ draws(2, columns, seed=1) + 0.5 * draws(n, columns, seed=2)


def labels(n=N):
    return torch.arange(n) % 3


def targets(n=N):
    return vectors(n)[:, :2] * torch.tensor([1.0, -3.0]) + 10


def mostly(n=N):
    """Missing for three items in four."""
    return torch.arange(n) % 4 != 0


def joined(predictor, y, below=None, missing=None, backward=True, x=None):
    data, known = Observation(vectors() if x is None else x), Observation(y, missing=missing)
    below = below or PPCA(2)
    graph = ModelGraph(data=data, known=known, below=below, predictor=predictor)
    graph.connect(data.value, below.x)
    graph.connect(below.z, predictor.z, backward=backward)
    graph.connect(known.value, predictor.y)
    return graph


def learnt(predictor, y, **options):
    graph = joined(predictor, y, **options)
    fit(graph, rounds=3)
    return graph


MADE = {
    "classifier": lambda **options: (Classifier(3, **options), labels()),
    "regressor": lambda **options: (Regressor(**options), targets()),
}
EACH = pytest.mark.parametrize("name", MADE)


def belief(n=N, full=True, seed=5):
    root = draws(n, 2, 2, seed=seed)
    covariance = 0.3 * root @ root.mT + 0.1 * torch.eye(2)
    return Gaussian(draws(n, 2, seed=seed + 1), covariance if full else covariance.diagonal(dim1=1, dim2=2))


def slopes_by_differences(function, tensor):
    """d sum(function) / d tensor by central differences; function acts on each row by itself."""
    found = torch.zeros_like(tensor)
    for place in range(tensor[0].numel()):
        step = torch.zeros_like(tensor).flatten(1)
        step[:, place] = 1e-5
        step = step.reshape(tensor.shape)
        found += (
            step
            / 1e-5
            * ((function(tensor + step) - function(tensor - step)) / 2e-5).reshape(-1, *[1] * (tensor.ndim - 1))
        )
    return found


@EACH
@pytest.mark.filterwarnings("ignore:predictor. weight")
@pytest.mark.parametrize("weight", [1.0, 2.5])
@pytest.mark.parametrize("full", [True, False])
def test_its_message_is_the_derivative_of_its_terms(name, weight, full):
    predictor, y = MADE[name](weight=weight)
    learnt(predictor, y)
    z, y = belief(full=full), Point(y.double())
    sent = predictor.send(z, y, None).messages["z"]

    def term(mean, variance):
        return predictor.elbo(Gaussian(mean, variance), y, None)["log p(y|z)"]

    by_mean = slopes_by_differences(lambda mean: term(mean, z.variance), z.mean)
    by_variance = slopes_by_differences(lambda variance: term(z.mean, variance), z.variance)
    precision = sent.precision if full else sent.precision.diagonal(dim1=1, dim2=2)
    torch.testing.assert_close(by_variance, -0.5 * precision, rtol=1e-6, atol=1e-6)
    pulled = (sent.precision @ z.mean.unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(by_mean, sent.shift - pulled, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(sent.expectation(z), term(z.mean, z.variance), rtol=0, atol=1e-9)


@EACH
def test_with_hidden_layers_it_is_that_of_the_tangent(name):
    predictor, y = MADE[name](hidden=(4,))
    learnt(predictor, y)
    z, y = belief(), Point(y.double())
    sent = predictor.send(z, y, None).messages["z"]
    assert predictor.guarantee == "none"
    assert (torch.linalg.eigvalsh(sent.precision) > -1e-9).all()
    torch.testing.assert_close(sent.expectation(z), predictor.elbo(z, y, None)["log p(y|z)"], rtol=0, atol=1e-9)
    mean = z.mean.clone().requires_grad_()
    predictor.log_likelihood(predictor.network(mean), y.value).sum().backward()
    pulled = (sent.precision @ z.mean.unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(mean.grad, sent.shift - pulled, rtol=0, atol=1e-9)


@EACH
def test_unknown_items_say_nothing_of_z_and_nothing_in_f(name):
    predictor, y = MADE[name]()
    learnt(predictor, y)
    z, missing = belief(), mostly()
    whole = predictor.send(z, Point(y.double()), None).messages["z"]
    terms = predictor.elbo(z, Point(y.double()), None)["log p(y|z)"]
    partly = Point(y.double(), missing=missing)
    sent = predictor.send(z, partly, None).messages["z"]
    assert type(sent) is GaussianEvidence
    for field in sent.per_item:
        assert not getattr(sent, field)[missing].any()
        torch.testing.assert_close(getattr(sent, field)[~missing], getattr(whole, field)[~missing])
    kept = predictor.elbo(z, partly, None)["log p(y|z)"]
    torch.testing.assert_close(kept, torch.where(missing, 0.0, terms))
    nothing = predictor.send(z, None, None).messages["z"]
    assert not any(getattr(nothing, field).any() for field in nothing.per_item)


@EACH
def test_a_known_y_of_an_item_that_nothing_else_is_known_of_moves_nothing(name):
    """It is not explained by a vector that nobody has seen; it stays known."""
    absent = torch.arange(N) % 6 == 0
    results = []
    for y_missing in (mostly(), mostly() | absent):
        predictor, y = MADE[name](batch_size=N)
        data, known = Observation(vectors(), missing=absent), Observation(y, missing=y_missing)
        graph = ModelGraph(data=data, known=known, below=(below := PPCA(2)), predictor=predictor)
        graph.connect(data.value, below.x)
        graph.connect(below.z, predictor.z)
        graph.connect(known.value, predictor.y)
        results.append(fit(graph, rounds=3).beliefs)
    one, other = (result["below.z"].mean[~absent] for result in results)
    torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
    assert results[0]["below.z"].missing[absent].all()
    believed = results[0]["predictor.predicted"]
    sure = believed.probs.amax(1) if name == "classifier" else 1 - believed.variance.amax(1)
    assert (sure[absent & ~mostly()] == 1).all()


@EACH
def test_what_lies_at_unknown_rows_changes_nothing_of_what_it_learns(name):
    networks = []
    for x in (vectors(), torch.where(mostly()[:, None], 100 * draws(N, 5, seed=7), vectors())):
        predictor, y = MADE[name](batch_size=16)
        data, known = Observation(x), Observation(y, missing=mostly())
        graph = ModelGraph(data=data, known=known, predictor=predictor)
        graph.connect(data.value, predictor.z)
        graph.connect(known.value, predictor.y)
        networks.append((fit(graph, rounds=2).history["F"], predictor.network.state_dict()))
    (bounds, one), (others, other) = networks
    assert bounds == others
    assert all(torch.equal(one[key], other[key]) for key in one)


@EACH
def test_its_f_alone_is_that_of_its_network_at_its_best(name):
    """Gradient steps come as far as a quasi-Newton method does on the same objective."""
    predictor, y = MADE[name](batch_size=N, epochs=200, lr=0.05)
    graph = learnt(predictor, y, backward=False)
    bound = fit(graph, rounds=1, frozen=["below"]).trace[-1].terms["predictor"]
    z = infer(graph)["below.z"]
    parameters = [parameter for network in predictor.networks.values() for parameter in network.parameters()]
    optimiser = torch.optim.LBFGS(parameters, max_iter=500, line_search_fn="strong_wolfe", tolerance_grad=1e-10)
    known = Point(y.double())

    def loss():
        optimiser.zero_grad()
        total = -predictor._terms(z, known).sum() - predictor._log_prior()
        total.backward()
        return total

    optimiser.step(loss)
    assert sum(bound.values()) == pytest.approx(-float(loss().detach()), rel=1e-3)


@EACH
def test_the_module_below_keeps_its_prior_and_multiplies_it(name):
    predictor, y = MADE[name]()
    below = PPCA(2)
    graph = joined(predictor, y, below=below, missing=mostly())
    assert graph.check().remarks == ()
    result = fit(graph, rounds=3)
    assert "log p(z)" in result.trace[-1].terms["below"]
    unlabelled = joined(*MADE[name](), below=PPCA(2), missing=mostly(), backward=False)
    without = fit(unlabelled, rounds=1)
    assert "log p(z)" in without.trace[-1].terms["below"]
    # With the parameters as they are: the posterior of what is unknown is as if nothing stood above.
    again = infer(graph, {"data": vectors()})["below.z"]
    expected = below.send(Point(vectors()), None).messages["z"]
    torch.testing.assert_close(again.mean, expected.mean)
    torch.testing.assert_close(again.variance, expected.variance)


def test_an_exact_regressor_and_ppca_have_the_evidence_of_one_normal():
    """Given their parameters, x and y are jointly normal, and the messages must find just that."""
    predictor, y = MADE["regressor"]()
    ppca = PPCA(2)
    graph = learnt(predictor, y, below=ppca)
    result = fit(graph, rounds=2, frozen=["below", "predictor"])
    [layer] = predictor.network
    units = predictor.units
    slopes = torch.cat([ppca.loadings, units.scale[:, None] * layer.weight.detach()])
    mean = torch.cat([ppca.mean, units.centre + units.scale * layer.bias.detach()])
    noise = torch.cat([ppca.noise_variances, units.noise().detach()])
    covariance = slopes @ slopes.T + noise.diag()
    both = torch.cat([vectors(), y.double()], 1)
    evidence = float(MultivariateNormal(mean, covariance).log_prob(both).sum())
    prior = result.trace[-1].terms["predictor"]["log p(weights)"]
    assert result.history["F"][-1] - prior == pytest.approx(evidence, abs=1e-8)
    gain = torch.linalg.solve(covariance, slopes).T
    found = result.beliefs["below.z"]
    torch.testing.assert_close(found.mean, (both - mean) @ gain.T, rtol=0, atol=1e-10)
    torch.testing.assert_close(found.variance[0], torch.eye(2) - gain @ slopes, rtol=0, atol=1e-10)


def test_a_linear_classifier_and_ppca_stay_below_the_evidence_and_climb():
    """With the parameters fixed, each round of messages raises F, up to a bound of log p(x, y) by quadrature."""
    x = vectors()[:, :3]
    predictor, ppca = Classifier(3, epochs=200), PPCA(1)
    graph = learnt(predictor, labels(), below=ppca, x=x)
    predictor.network[0].weight.data *= 3  # a step away from where the messages stood
    result = fit(graph, rounds=50, frozen=["below", "predictor"])
    bounds = [entry.F for entry in result.trace if entry.F is not None]
    assert all(after >= before - 1e-9 * abs(before) for before, after in pairwise(bounds))
    grid = torch.linspace(-12, 12, 4_001, dtype=torch.float64)[:, None]
    emission = MultivariateNormal(grid @ ppca.loadings.T + ppca.mean, ppca.noise_variances.diag())
    log_joint = emission.log_prob(x[:, None]) + torch.log_softmax(predictor.network(grid), 1).T[labels()]
    log_joint = log_joint - 0.5 * (grid[:, 0].square() + math.log(2 * math.pi))
    evidence = float((torch.logsumexp(log_joint, 1) + math.log(24 / 4_000)).sum().detach())
    prior = result.trace[-1].terms["predictor"]["log p(weights)"]
    assert bounds[0] < bounds[-1]
    assert bounds[-1] - prior < evidence


@EACH
def test_beside_a_mixture_f_remains_a_bound_and_ppcas_steps_never_lower_it(name):
    predictor, y = MADE[name]()
    graph = joined(predictor, y, missing=mostly())
    graph.add("gmm", gmm := GMM(3, starts=2))
    graph.connect(graph.modules["below"].z, gmm.x)
    assert graph.check().remarks == ()
    fit(graph, rounds=3)
    result = fit(graph, rounds=30, frozen=["predictor"], strict=True)
    bounds = [entry.F for entry in result.trace if entry.F is not None]
    assert all(after >= before - 1e-9 * abs(before) for before, after in pairwise(bounds))
    assert "log p(z)" not in result.trace[-1].terms["below"]


@EACH
def test_over_a_vae_alone_the_prior_is_a_standard_normal(name):
    predictor, y = MADE[name]()
    data = torch.sigmoid(vectors()).float()
    vae = VAE(2, hidden=(8,), batch_size=20, epochs=2)
    graph = joined(predictor, y, below=vae, missing=mostly(), x=data)
    result = fit(graph, rounds=3)
    assert "-KL z" in result.trace[-1].terms["below"]
    evidence = predictor.send(belief(4), Point(y[:4].double()), None).messages["z"]
    prior = vae.prior(evidence, 2)
    points = draws(4, 2, seed=9)
    standard = -0.5 * (points.square().sum(1) + 2 * math.log(2 * math.pi))
    torch.testing.assert_close(prior.log_prob(points), evidence.value(points) + standard)


def test_a_whole_mixture_beside_it_is_refused():
    predictor, y = MADE["classifier"]()
    graph = joined(predictor, y, below=VAE(2, hidden=(8,)), x=torch.sigmoid(vectors()).float())
    graph.add("gmm", gmm := GMM(3, starts=2, message="mixture"))
    graph.connect(graph.modules["below"].z, gmm.x)
    with refused(WiringError, "gmm.x sends a whole mixture to below.z", "predictor.z", "message='expected'"):
        graph.check()


def test_a_child_that_knows_no_evidence_is_refused():
    predictor, _ = MADE["classifier"]()
    data, noisy = Observation(vectors()), Noisy(0.5)
    graph = ModelGraph(data=data, noisy=noisy, predictor=predictor)
    graph.connect(data.value, noisy.y)
    with refused(MessageTypeError, "Expected GaussianPotential back at noisy.z; got GaussianEvidence"):
        graph.connect(noisy.z, predictor.z)


@EACH
def test_a_weight_is_remarked_on_and_takes_the_guarantee(name):
    predictor, y = MADE[name](weight=20)
    graph = joined(predictor, y)
    assert predictor.guarantee == "none"
    [remark] = graph.check().remarks
    assert remark.startswith("predictor: weight=20 counts each known y so often")
    assert MADE[name]()[0].guarantee == "stochastic"


@EACH
def test_generation_labels_what_it_draws(name):
    predictor, y = MADE[name](epochs=50)
    graph = learnt(predictor, y, missing=mostly())
    drawn = generate(graph, n=50, temperature=0)
    assert set(drawn) == {"data", "known", "below.z", "predictor.predicted"}
    drawn = generate(graph, n=50)
    again = generate(graph, {"below.z": drawn["below.z"]}, n=50, temperature=0)["predictor.predicted"]
    [layer] = predictor.network
    mean = layer(drawn["below.z"]).detach()
    expected = mean.argmax(1) if name == "classifier" else predictor.units.centre + predictor.units.scale * mean
    torch.testing.assert_close(again, expected, rtol=1e-5, atol=1e-5)
    assert torch.equal(drawn["known"], drawn["predictor.predicted"])
    assert drawn["known"].shape[1:] == y.shape[1:]


POOR = {
    "nothing known but one": torch.arange(N) != 7,
    "all known": torch.zeros(N, dtype=torch.bool),
}


@EACH
@pytest.mark.parametrize("hidden", [(), (4,)])
@pytest.mark.parametrize("missing", POOR)
def test_few_labels_or_one_value_end_finite(name, hidden, missing):
    predictor, y = MADE[name](hidden=hidden, batch_size=16)
    result = fit(joined(predictor, torch.zeros_like(y), missing=POOR[missing]), rounds=3)
    assert all(math.isfinite(bound) for bound in result.history["F"] if bound is not None)
    result = fit(joined(MADE[name](hidden=hidden)[0], y[:1], x=vectors()[:1]), rounds=3)
    assert math.isfinite(result.history["F"][-1])


@EACH
def test_arguments_that_make_no_sense_are_refused(name):
    for options, part in (
        ({"hidden": (0,)}, "hidden layers of at least 1"),
        ({"weight": 0.0}, "finite weight; got 0"),
        ({"prior_variance": -1.0}, "finite prior_variance; got -1"),
    ):
        with refused(ValueError, part):
            MADE[name](**options)


@pytest.mark.parametrize("module", [Classifier(2), Regressor()])
def test_there_must_be_something_to_predict(module):
    data = Observation(torch.rand(9, 2))
    graph = ModelGraph(data=data, module=module)
    graph.connect(data.value, module.z)
    with refused(WiringError, "Wire y to the targets", "missing"):
        graph.check()
