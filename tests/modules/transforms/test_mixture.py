"""scikit-learn's mixtures as modules: its own numbers, and log-likelihoods without the weights to a parent."""

import io
import warnings

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import BayesianGaussianMixture, GaussianMixture

from pgmgraph import (
    Categorical,
    CategoricalPotential,
    In,
    ModelGraph,
    Module,
    Observation,
    Outbox,
    fit,
    generate,
    infer,
)
from pgmgraph.config import from_config, to_config
from pgmgraph.errors import DataError, LearningError, MessageTypeError, NotFittedError
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.hmm import HMM
from pgmgraph_modules.linear_gaussian import PPCA
from pgmgraph_modules.transforms import SklearnMixture
from tests.refusals import refused
from tests.toys import blobs

torch.set_num_threads(1)

TYPES = ["full", "tied", "diag", "spherical"]
STICKS, DIRICHLET = "dirichlet_process", "dirichlet_distribution"
MIXTURES = [GaussianMixture(n_components=3, covariance_type=kind, max_iter=1000) for kind in TYPES] + [
    BayesianGaussianMixture(
        n_components=3, covariance_type=kind, weight_concentration_prior_type=weights, max_iter=5000, tol=1e-5
    )
    for kind, weights in zip([*TYPES, "full"], [STICKS, DIRICHLET, STICKS, DIRICHLET, DIRICHLET], strict=True)
]
IDS = [f"{type(one).__name__}-{one.covariance_type}-{place}" for place, one in enumerate(MIXTURES)]


def rows(n=90, seed=0):
    """Three clusters of unequal size that overlap a little."""
    generator = np.random.default_rng(seed)
    kinds = generator.choice(3, size=n, p=[0.5, 0.3, 0.2])
    return 3.0 * np.eye(3)[kinds, :2] + generator.normal(size=(n, 2)) @ np.array([[1.0, 0.4], [0.0, 0.7]])


def covariance_of(fitted, k):
    """The (D, D) covariance of a component."""
    d = fitted.means_.shape[1]
    match fitted.covariance_type:
        case "tied":
            return fitted.covariances_
        case "full":
            return fitted.covariances_[k]
    return np.diag(np.broadcast_to(fitted.covariances_[k], d))


class Holder(Module):
    """A parent with a fixed p(c): it holds c, and keeps what came."""

    c = In(CategoricalPotential, back=Categorical)
    guarantee = "exact"
    dtype = torch.float64

    def __init__(self, log_weights):
        self.log_weights = torch.as_tensor(log_weights)

    def event_shapes(self, c):
        return {}

    def send(self, c):
        self.seen = c
        return Outbox(c=Categorical(torch.softmax(c.log_weights + self.log_weights, 1)))

    def elbo(self, c):
        return {"log p(c)": c.probs @ self.log_weights, "H[c]": c.entropy()}


def alone(estimator, data=None, missing=None, **options):
    observation, module = (
        Observation(rows() if data is None else data, missing=missing),
        SklearnMixture(estimator, **options),
    )
    graph = ModelGraph(data=observation, mixture=module)
    graph.connect(observation.value, module.x)
    return graph, module


def learnt(graph, **options):
    """Remarks of `check`, which some of these graphs have, are not what is asked here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*F lacks the divergence")
        return fit(graph, **options)


def under_parent(estimator, weights, data=None):
    graph, module = alone(estimator, data)
    holder = Holder(np.log(weights))
    graph.add("holder", holder)
    graph.connect(module.c, holder.c)
    return graph, module, holder


@pytest.mark.parametrize("estimator", MIXTURES, ids=IDS)
def test_the_belief_is_scikit_learns_and_f_its_log_evidence_for_old_rows_and_new(estimator):
    graph, module = alone(estimator)
    result = learnt(graph, rounds=1)
    np.testing.assert_allclose(result.beliefs["mixture.c"].probs, module.fitted.predict_proba(rows()), atol=1e-12)
    assert result.history["F"][-1] == pytest.approx(module.fitted.score_samples(rows()).sum(), abs=1e-9)
    new = rows(40, seed=7) + 1
    np.testing.assert_allclose(
        infer(graph, {"data": new})["mixture.c"].probs, module.fitted.predict_proba(new), atol=1e-12
    )


@pytest.mark.parametrize("estimator", MIXTURES, ids=IDS)
def test_a_parent_gets_log_likelihoods_without_the_weights(estimator):
    """By public names of scikit-learn alone: log p(x | c) = log q(c | x) + log p(x) - log p(c)."""
    graph, module, holder = under_parent(estimator, [0.2, 0.3, 0.5])
    learnt(graph, rounds=1)
    fitted, sent = module.fitted, holder.seen.log_weights.numpy()
    joint = np.log(fitted.predict_proba(rows())) + fitted.score_samples(rows())[:, None]
    weights = fitted.weights_ if isinstance(fitted, GaussianMixture) else np.exp(module.log_weights.numpy())
    np.testing.assert_allclose(sent, joint - np.log(weights), atol=1e-8)


@pytest.mark.parametrize("kind", TYPES)
def test_the_message_is_the_log_density_of_each_component(kind):
    graph, module, holder = under_parent(GaussianMixture(n_components=3, covariance_type=kind), [0.2, 0.3, 0.5])
    learnt(graph, rounds=1)
    fitted = module.fitted
    for k in range(3):
        expected = multivariate_normal(fitted.means_[k], covariance_of(fitted, k)).logpdf(rows())
        np.testing.assert_allclose(holder.seen.log_weights[:, k], expected, atol=1e-10)


def test_far_away_components_keep_their_log_likelihoods():
    """Responsibilities are 0 there, and their logarithms tell a parent nothing."""
    graph, module, holder = under_parent(GaussianMixture(n_components=3), [0.2, 0.3, 0.5])
    learnt(graph, rounds=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        infer(graph, {"data": rows() + 500})
    assert module.fitted.predict_proba(rows() + 500).min() == 0
    assert torch.isfinite(holder.seen.log_weights).all()


def test_under_a_parent_f_is_the_log_evidence_of_the_parents_weights():
    """Posterior and F by enumeration over the components."""
    weights = np.array([0.2, 0.3, 0.5])
    graph, module, _ = under_parent(GaussianMixture(n_components=3), weights)
    result = learnt(graph, rounds=2)
    fitted = module.fitted
    densities = [
        multivariate_normal(m, s).logpdf(rows()) for m, s in zip(fitted.means_, fitted.covariances_, strict=True)
    ]
    joint = np.log(weights) + np.stack(densities, 1)
    assert result.history["F"][-1] == pytest.approx(logsumexp(joint, axis=1).sum(), abs=1e-8)
    posterior = np.exp(joint - logsumexp(joint, axis=1, keepdims=True))
    np.testing.assert_allclose(result.beliefs["mixture.c"].probs, posterior, atol=1e-10)
    assert set(result.trace[-1].terms["mixture"]) == {"log p(x|c)"}, "p(c) is the parent's"


def test_the_message_is_the_derivative_of_the_bound():
    graph, module = alone(GaussianMixture(n_components=3))
    learnt(graph, rounds=1)
    probs = torch.full((90, 3), 1 / 3, dtype=torch.float64, requires_grad=True)
    module.context.owned = frozenset()
    x = graph.observations["data"].point
    term = module.elbo(x, Categorical(probs))["log p(x|c)"].sum()
    [slope] = torch.autograd.grad(term, probs)
    torch.testing.assert_close(slope, module.send(x, None).messages["c"].log_weights)


def test_what_is_weak_about_f_is_said():
    [remark] = alone(BayesianGaussianMixture(n_components=3))[0].check().remarks
    assert "F lacks the divergence of the parameters" in remark
    assert under_parent(GaussianMixture(n_components=3), [0.2, 0.3, 0.5])[0].check().remarks == ()


def test_an_hmm_above_learns_the_order_in_which_clusters_come():
    kinds = np.arange(120) % 3
    points = 3 * np.eye(3)[kinds, :2] + np.random.default_rng(0).normal(size=(120, 2))
    graph, module = alone(GaussianMixture(n_components=3), points)
    hmm = HMM(states=3, starts=3)
    graph.add("hmm", hmm)
    graph.connect(module.c, hmm.c)
    learnt(graph, rounds=15)
    assert torch.equal(hmm.transitions.argmax(1)[hmm.transitions.argmax(1)[hmm.transitions.argmax(1)]], torch.arange(3))
    assert float(hmm.transitions.amax(1).min()) > 0.8


def test_each_update_goes_on_from_the_last_so_components_keep_their_places():
    estimator = GaussianMixture(n_components=3)
    graph, module = alone(estimator)
    learnt(graph, rounds=1)
    before = module.fitted
    moved = rows() + 0.2
    learnt(graph, data={"data": moved}, rounds=3)
    assert module.fitted is not before
    np.testing.assert_allclose(module.fitted.means_, before.means_ + 0.2, atol=0.05)
    assert not hasattr(estimator, "means_")
    assert estimator.warm_start is False


def test_without_refit_it_stays_what_it_was():
    graph, module = alone(GaussianMixture(n_components=3), refit=False)
    learnt(graph, rounds=1)
    before = module.fitted
    learnt(graph, data={"data": rows() + 5}, rounds=2)
    assert module.fitted is before


def test_a_frozen_mixture_is_not_fitted():
    graph, module = alone(GaussianMixture(n_components=3))
    learnt(graph, rounds=1)
    before = module.fitted
    learnt(graph, data={"data": rows() + 5}, rounds=1, frozen=["mixture"])
    assert module.fitted is before


def test_beliefs_come_in_by_their_means_alone():
    data, below, module = (
        Observation(rows() @ np.ones((2, 4))),
        PPCA(1),
        SklearnMixture(GaussianMixture(n_components=2)),
    )
    graph = ModelGraph(data=data, below=below, mixture=module)
    graph.connect(data.value, below.x)
    with pytest.raises(MessageTypeError, match="via='mean'"):
        graph.connect(below.z, module.x)
    graph.connect(below.z, module.x, via="mean")
    result = learnt(graph, rounds=3)
    means = result.beliefs["below.z"].mean.double().numpy()
    np.testing.assert_allclose(result.beliefs["mixture.c"].probs, module.fitted.predict_proba(means), atol=1e-12)
    plain = ModelGraph(data=data, below=PPCA(1))
    plain.connect(data.value, plain.modules["below"].x)
    expected = sum(fit(plain, rounds=3).trace[-1].terms["below"].values())
    assert sum(result.trace[-1].terms["below"].values()) == pytest.approx(expected), "learns as if it were alone"


@pytest.mark.parametrize("kind", TYPES)
def test_drawn_rows_have_the_mixtures_moments_and_predictions_are_its_means(kind):
    graph, module = alone(GaussianMixture(n_components=3, covariance_type=kind))
    learnt(graph, rounds=1)
    fitted = module.fitted
    drawn = generate(graph, {"mixture.c": 1}, n=20_000)["data"].numpy()
    covariance = covariance_of(fitted, 1)
    error = 5 * np.sqrt(np.diag(covariance) / 20_000)
    assert (np.abs(drawn.mean(0) - fitted.means_[1]) < error).all()
    np.testing.assert_allclose(np.cov(drawn.T), covariance, atol=5 * np.sqrt(2 / 20_000) * covariance.max())
    assert torch.equal(
        generate(graph, {"mixture.c": 1}, n=2, temperature=0)["data"], torch.tensor(fitted.means_[[1, 1]])
    )
    counted = np.bincount(generate(graph, n=5_000)["mixture.c"], minlength=3) / 5_000
    np.testing.assert_allclose(counted, fitted.weights_, atol=5 * np.sqrt(0.25 / 5_000))
    expected = fitted.predict_proba(rows()) @ fitted.means_
    np.testing.assert_allclose(infer(graph, predict=["data"])["data"].value, expected, atol=1e-10)


def test_events_of_any_shape_are_flattened_and_given_back_their_shape():
    images = np.repeat(rows(), 3, axis=1).reshape(-1, 2, 3) + np.random.default_rng(0).normal(size=(90, 2, 3))
    graph, _ = alone(GaussianMixture(n_components=2, covariance_type="diag"), images)
    learnt(graph, rounds=1)
    assert generate(graph, n=4)["data"].shape == (4, 2, 3)
    assert infer(graph, predict=["data"])["data"].value.shape == (90, 2, 3)


@pytest.mark.parametrize("estimator", MIXTURES, ids=IDS)
def test_the_state_goes_through_a_file_that_runs_no_code_and_learning_goes_on_the_same(estimator):
    graph, module = alone(estimator)
    learnt(graph, rounds=1)
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    other_graph, other = alone(estimator)
    learnt(other_graph, rounds=1, seed=8)
    other.load_state_dict(torch.load(file, weights_only=True))
    for one in (graph, other_graph):
        learnt(one, data={"data": rows(seed=3)}, rounds=1)
    np.testing.assert_array_equal(module.fitted.means_, other.fitted.means_)
    np.testing.assert_array_equal(module.fitted.weights_, other.fitted.weights_)


def test_a_run_that_was_broken_off_goes_on_as_if_it_had_not_been(tmp_path):
    wholes = []
    for rounds in ([4], [2, 4]):
        for last in rounds:
            graph, module = alone(GaussianMixture(n_components=3, max_iter=2, init_params="random"))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                fit(graph, rounds=last, run_dir=tmp_path / str(len(rounds)), resume=last != rounds[0])
        wholes.append(module.fitted.means_)
    np.testing.assert_array_equal(*wholes)


def test_missing_rows_enter_no_fit():
    missing = np.arange(90) % 4 == 0
    holed = rows()
    holed[missing] = np.nan
    graph, module = alone(GaussianMixture(n_components=3), holed, missing)
    belief = learnt(graph, rounds=1).beliefs["mixture.c"]
    assert np.array_equal(belief.missing, missing)
    seen = clone(module.fitted).set_params(warm_start=False).fit(rows()[~missing])
    np.testing.assert_allclose(np.sort(module.fitted.means_, 0), np.sort(seen.means_, 0), atol=1e-6)


def test_one_item_and_constant_columns_are_free_of_nan():
    graph, _ = alone(GaussianMixture(n_components=2), np.ones((2, 3)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        assert torch.isfinite(fit(graph).beliefs["mixture.c"].probs).all()
    with refused(LearningError, "GaussianMixture of mixture cannot be fitted to 1 x 2 values", "1"):
        fit(alone(GaussianMixture(n_components=2), rows(1))[0])


def test_what_cannot_serve_is_refused():
    for thing, text in [(GaussianMixture, "got GaussianMixture"), (GMM(2), "got GMM"), (3, "got int")]:
        with refused(ValueError, "Expected a GaussianMixture or a BayesianGaussianMixture", text):
            SklearnMixture(thing)
    with refused(ValueError, "random_state as an integer", "got a RandomState"):
        SklearnMixture(GaussianMixture(n_components=2, random_state=np.random.RandomState(0)))
    graph, module = alone(GaussianMixture(n_components=3))
    with refused(NotFittedError, "SklearnMixture has fitted nothing yet"):
        assert module.fitted
    learnt(graph, rounds=1)
    with refused(DataError, "vectors of 2 numbers at mixture.x", "got 3"):
        module.log_likelihoods(torch.zeros(4, 3, dtype=torch.float64))


def test_a_configuration_makes_it():
    graph, _ = alone(GaussianMixture(n_components=3, covariance_type="tied"))
    config = to_config(graph)
    assert config["modules"]["mixture"] == {
        "module": "sklearn_mixture",
        "estimator": {"call": "sklearn.mixture:GaussianMixture", "n_components": 3, "covariance_type": "tied"},
    }
    assert to_config(from_config(config)) == config


def test_rows_of_blobs_fall_into_their_clusters():
    values, labels = blobs(120)
    graph, _ = alone(GaussianMixture(n_components=3, n_init=3), values)
    found = learnt(graph, rounds=1).beliefs["mixture.c"].most_probable()
    table = np.zeros((3, 3))
    np.add.at(table, (np.asarray(labels), found.numpy()), 1)
    assert table.max(0).sum() > 0.95 * len(found)
