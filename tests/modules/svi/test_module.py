"""SVIModule: priors, plates, minibatches and state of any Pyro model and guide."""

import math
import warnings

import pyro
import pytest
import torch
from pyro import distributions as dist
from torch import nn
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence

from pgmgraph import (
    Context,
    Gaussian,
    GaussianPotential,
    In,
    ModelGraph,
    Module,
    Observation,
    Out,
    Outbox,
    Point,
    fit,
    infer,
)
from pgmgraph.errors import DefinitionError, DivergedError
from pgmgraph_modules.svi import PotentialPrior, SVIModule
from pgmgraph_modules.vae import VAE

torch.set_num_threads(1)


def potential(n=4, d=3, diagonal=False, seed=0):
    generator = torch.Generator().manual_seed(seed)
    root = torch.randn(n, d, d, generator=generator, dtype=torch.float64)
    precision = root @ root.mT + torch.eye(d, dtype=torch.float64)
    if diagonal:
        precision = precision.diagonal(dim1=1, dim2=2).contiguous()
    shift = torch.randn(n, d, generator=generator, dtype=torch.float64)
    return GaussianPotential(shift, precision, torch.randn(n, generator=generator, dtype=torch.float64))


@pytest.mark.parametrize("diagonal", [True, False])
def test_kl_to_a_potential_is_the_kl_to_its_normal_less_its_normaliser(diagonal):
    message = potential(diagonal=diagonal)
    dense = message.precision.diag_embed() if diagonal else message.precision
    mean = torch.linalg.solve(dense, message.shift)
    proper = MultivariateNormal(mean, precision_matrix=dense)
    # potential(z) = log N(z) + its log-integral, so that KL(q || potential) = KL(q || N) - log-integral.
    at_zero = torch.zeros(3, dtype=torch.float64)
    log_integral = message.log_scale - proper.log_prob(at_zero)
    location = torch.randn(4, 3, dtype=torch.float64)
    for q in (
        Independent(Normal(location, torch.full((4, 3), 0.7, dtype=torch.float64)), 1),
        MultivariateNormal(location, torch.eye(3, dtype=torch.float64) * 0.3 + 0.1),
    ):
        full = q if isinstance(q, MultivariateNormal) else MultivariateNormal(location, q.variance.diag_embed())
        expected = kl_divergence(full, proper) - log_integral
        torch.testing.assert_close(kl_divergence(q, PotentialPrior(message)), expected)


@pytest.mark.parametrize("diagonal", [True, False])
def test_log_prob_is_the_potential_and_draws_come_from_its_normal(diagonal):
    message = potential(diagonal=diagonal)
    prior = PotentialPrior(message)
    value = torch.randn(4, 3, dtype=torch.float64)
    expected = message.expectation(Gaussian(value, torch.zeros_like(value)))
    torch.testing.assert_close(prior.log_prob(value), expected)
    torch.manual_seed(0)
    dense = message.precision.diag_embed() if diagonal else message.precision
    drawn = prior.sample((20_000,))
    torch.testing.assert_close(drawn.mean(0), torch.linalg.solve(dense, message.shift), rtol=0, atol=0.05)


def test_the_analytic_kl_survives_a_plate():
    message = potential()

    def model():
        with pyro.plate("items", 4, dim=-1):
            pyro.sample("z", PotentialPrior(message))

    trace = pyro.poutine.trace(pyro.poutine.condition(model, {"z": torch.zeros(4, 3).double()})).get_trace()
    q = Independent(Normal(torch.zeros(4, 3).double(), torch.ones(4, 3).double()), 1)
    assert kl_divergence(q, trace.nodes["z"]["fn"]).shape == (4,)


class Line(SVIModule):
    """x_n = w z_n + b + noise, with a guide that is linear in x; the user's thirty lines."""

    x = In(Point)
    z = Out(Gaussian, back=GaussianPotential)

    def event_shapes(self, x):
        return {"z": (1,)}

    def build(self):
        self.decode = nn.Linear(1, self.context.shapes["x"][0])
        self.encode = nn.Linear(self.context.shapes["x"][0], 1)
        self.log_deviation = nn.Parameter(torch.zeros(1))

    def model(self, x, z):
        with self.items(x):
            latent = pyro.sample("z", self.prior(z, 1))
            pyro.sample("x", dist.Normal(self.decode(latent), 0.5).to_event(1), obs=x.value)

    def guide(self, x, z):
        with self.items(x):
            pyro.sample("z", dist.Normal(self.encode(x.value), self.log_deviation.exp()).to_event(1))


def line_data(n=300):
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(n, 1, generator=generator)
    return z @ torch.tensor([[2.0, -1.0]]) + 0.5 * torch.randn(n, 2, generator=generator)


def line(**options):
    data, module = Observation(line_data()), Line(**{"epochs": 20, "batch_size": 50, "lr": 0.02, **options})
    graph = ModelGraph(data=data, line=module)
    graph.connect(data.value, module.x)
    return graph, module


def log_evidence(module, x):
    """log p(x) of the linear-Gaussian model, exactly."""
    with torch.no_grad():
        w, b = module.decode.weight, module.decode.bias
        return float(MultivariateNormal(b, w @ w.T + 0.25 * torch.eye(2)).log_prob(x).sum())


def test_a_linear_model_comes_near_its_evidence_and_never_above():
    graph, module = line()
    result = fit(graph, rounds=10)
    bound, evidence = result.history["F"][-1], log_evidence(module, line_data())
    error = result.trace[-1].standard_error
    assert error == 0.0, "300 items are fewer than elbo_items: all of them are evaluated"
    assert bound < evidence + 15, "one draw an item leaves some noise"
    assert bound > evidence - 30
    loose = line()[0]
    assert fit(loose, rounds=1).history["F"][0] < bound


def test_terms_are_those_of_the_model_under_the_belief():
    graph, module = line()
    result = fit(graph, rounds=2)
    belief = result.beliefs["line.z"]
    terms = result.trace[-1].terms["line"]
    own = kl_divergence(belief.distribution(), Independent(Normal(torch.zeros(1), torch.ones(1)), 1)).double()
    assert terms["-KL z"] == pytest.approx(-float(own.sum()), rel=1e-5)
    with torch.no_grad():
        w, b = module.decode.weight, module.decode.bias
        mean = belief.mean @ w.T + b
        squares = (line_data() - mean).square().sum(1) + belief.variance[:, 0] * w.square().sum()
        expected = -0.5 * (squares / 0.25).sum() - len(mean) * 2 * math.log(0.5 * math.sqrt(2 * math.pi))
    assert terms["log p(x)"] == pytest.approx(float(expected), rel=0.05)


class Above(Module):
    """A parent that sends back a potential of its own for each item, and keeps what it was sent."""

    z = In(Gaussian, back=GaussianPotential)

    def __init__(self, shift):
        self.shift = shift

    def event_shapes(self, z):
        return {}

    def send(self, z):
        n = len(z)
        return Outbox(z=GaussianPotential(self.shift, torch.full((n, 1), 100.0), torch.zeros(n)))

    def elbo(self, z):
        return {"log p(z)": -50 * z.mean[:, 0].square()}


class Watching(Line):
    """Looks whether the prior of each minibatch is that of its items."""

    def model(self, x, z):
        if z is not None:
            torch.testing.assert_close(z.shift[:, 0], x.value[:, 0])
        super().model(x, z)


def test_priors_reach_their_items_in_every_minibatch():
    data, module, parent = Observation(line_data()), Watching(epochs=2, batch_size=32), Above(line_data()[:, :1])
    graph = ModelGraph(data=data, line=module, parent=parent)
    graph.connect(data.value, module.x)
    graph.connect(module.z, parent.z)
    result = fit(graph, rounds=3)
    assert set(result.trace[-1].terms["line"]) == {"log p(x)", "H[z]"}, "p(z) belongs to the parent"


def test_a_strong_prior_from_above_pulls_the_belief():
    target = line_data()[:, :1] * 3
    data, module, parent = Observation(line_data()), Line(epochs=30, lr=0.02), Above(100 * target)
    graph = ModelGraph(data=data, line=module, parent=parent)
    graph.connect(data.value, module.x)
    graph.connect(module.z, parent.z)
    result = fit(graph, rounds=6)
    gap = (result.beliefs["line.z"].mean - target).square().mean()
    assert gap < 0.05 * target.square().mean()


def test_parameters_and_optimiser_live_on_between_rounds():
    graph, module = line(epochs=3)
    fit(graph, rounds=1)
    first = module.state_dict()["optimiser"]["state"][0]["step"].clone()
    weights = module.decode.weight.detach().clone()
    fit(graph, rounds=1)
    assert module.state_dict()["optimiser"]["state"][0]["step"] == 2 * first
    assert (module.decode.weight - weights).abs().max() < 0.5, "gone on from where it was"


def test_lone_parameters_learn_and_are_part_of_the_state():
    graph, module = line()
    fit(graph, rounds=3)
    assert float(module.log_deviation.detach()) < -0.5
    state = module.state_dict()
    other_graph, other = line()
    fit(other_graph, rounds=1, seed=9)
    other.load_state_dict(state)
    assert torch.equal(other.log_deviation, module.log_deviation)
    before, after = infer(graph)["line.z"], infer(other_graph)["line.z"]
    assert torch.equal(before.mean, after.mean)


def test_nothing_enters_pyros_global_store():
    graph, _ = line(epochs=1)
    fit(graph, rounds=1)
    infer(graph)
    assert list(pyro.get_param_store().keys()) == []


class Stray(Line):
    def guide(self, x, z):
        with self.items(x):
            deviation = pyro.param("deviation", torch.ones(1))
            pyro.sample("z", dist.Normal(self.encode(x.value), deviation).to_event(1))


def test_global_parameters_are_refused_by_name():
    data, module = Observation(line_data()), Stray()
    graph = ModelGraph(data=data, line=module)
    graph.connect(data.value, module.x)
    with pytest.raises(DefinitionError, match="Stray put 'deviation' into Pyro's global parameter store"):
        fit(graph)
    assert list(pyro.get_param_store().keys()) == []


class Turning(Line):
    """Its loss turns NaN in the third minibatch of the second round: the first call checks the shapes."""

    def model(self, x, z):
        self.seen = getattr(self, "seen", 0) + 1
        if self.context.round == 1:
            self.late = getattr(self, "late", 0) + 1
            if self.late == 4:
                x = Point(x.value * float("nan"))
        super().model(x, z)


def test_a_loss_that_turns_nan_names_its_place_and_changes_nothing():
    data, module = Observation(line_data()), Turning(epochs=1, batch_size=50)
    graph = ModelGraph(data=data, line=module)
    graph.connect(data.value, module.x)
    fit(graph, rounds=1)
    before = {name: value.clone() for name, value in module.decode.state_dict().items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pyro warns of the NaN too
        with pytest.raises(DivergedError, match="loss of line turned nan in round 1, epoch 0, minibatch 2") as caught:
            fit(graph, rounds=1)
    assert (caught.value.module, caught.value.round, caught.value.minibatch) == ("line", 1, 2)
    assert all(torch.equal(value, before[name]) for name, value in module.decode.state_dict().items())
    assert graph.rounds_done == 1


def test_another_optimiser_may_be_given():
    graph, _ = line(optimiser=lambda parameters: torch.optim.SGD(parameters, lr=1e-3))
    result = fit(graph, rounds=2)
    assert result.history["F"][1] > result.history["F"][0]


def test_impossible_arguments_are_refused():
    with pytest.raises(ValueError, match="positive batch_size; got 0"):
        Line(batch_size=0)


@pytest.mark.parametrize(
    ("n", "epochs", "items"),
    [(100, 1, 512), (3_000, 1, 512), (10_000, 1, 1_500), (10_000, 2, 3_000), (60_000, 1, 4_096)],
)
def test_f_is_taken_on_few_enough_items_to_cost_little(n, epochs, items):
    vae = VAE(2, epochs=epochs)
    x, z, shapes = frozenset({"x"}), frozenset({"z"}), {"x": (4,), "z": (2,)}
    context = Context("vae", shapes, x, z, torch.device("cpu"), torch.float32, seed=0)
    vae.setup(context)
    context.plate_size = n
    assert vae.elbo_items == items
