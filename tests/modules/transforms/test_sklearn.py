"""Transformers of scikit-learn in a graph: fitted once, one-way, without a term in F."""

import copy
import io

import joblib  # type: ignore[import-untyped]  # it ships neither types nor stubs
import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator, clone
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA, KernelPCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.feature_selection import VarianceThreshold
from sklearn.manifold import TSNE
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, PolynomialFeatures, StandardScaler
from sklearn.random_projection import GaussianRandomProjection

from pgmgraph import ModelGraph, Observation, Point, fit, generate, infer
from pgmgraph.datasets import load_bundled_digits
from pgmgraph.errors import (
    CapabilityError,
    DivergedError,
    LearningError,
    MessageTypeError,
    NotFittedError,
    ShapeError,
)
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.transforms import SklearnTransform
from pgmgraph_modules.vae import VAE
from tests.refusals import refused

torch.set_num_threads(1)


def values(n=90, columns=5, seed=0):
    """Three clusters on a line in space, so that what a transform does to them can be told."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.arange(n) % 3
    noise = 0.3 * torch.randn(n, columns, dtype=torch.float64, generator=generator)
    return centres[:, None] * torch.arange(1.0, columns + 1, dtype=torch.float64) + noise


def alone(transformer, data=None, missing=None, **options):
    observation = Observation(values() if data is None else data, missing=missing)
    module = SklearnTransform(transformer, **options)
    graph = ModelGraph(data=observation, reduce=module)
    graph.connect(observation.value, module.x)
    return graph, module


def under_mixture(transformer, data=None, **options):
    graph, module = alone(transformer, data, **options)
    gmm = GMM(3, starts=2)
    graph.add("gmm", gmm)
    graph.connect(module.y, gmm.x)
    return graph, module, gmm


def test_what_is_sent_is_what_scikit_learn_makes():
    graph, module = alone(PCA(n_components=2))
    y = fit(graph, rounds=1).beliefs["reduce.y"]
    assert isinstance(y, Point)
    assert y.value.dtype == torch.float64
    expected = clone(module.fitted).fit(values().numpy()).transform(values().numpy())
    assert np.array_equal(y.value.numpy(), expected)


def test_new_values_are_transformed_by_what_was_fitted_to_the_old():
    graph, _ = alone(StandardScaler())
    fit(graph, rounds=1)
    new = values(40, seed=3) + 10
    y = infer(graph, {"data": new})["reduce.y"].value
    torch.testing.assert_close(y, (new - values().mean(0)) / values().std(0, correction=0))


def test_events_of_any_shape_are_flattened_and_given_back_their_shape():
    images = values(columns=6).reshape(-1, 2, 3)
    graph, _ = alone(PCA(n_components=6), images)
    fit(graph, rounds=1)
    assert graph.check().shapes["reduce"] == {"x": (2, 3), "y": (6,)}
    torch.testing.assert_close(infer(graph, predict=["data"])["data"].value, images)


def test_f_is_that_of_the_modules_beside_it():
    graph, module, _ = under_mixture(PCA(n_components=2))
    y = fit(graph, rounds=4)
    reduced = module.fitted.transform(values().numpy())
    data, gmm = Observation(reduced), GMM(3, starts=2)
    plain = ModelGraph(data=data, gmm=gmm)
    plain.connect(data.value, gmm.x)
    assert y.history["F"] == fit(plain, rounds=4).history["F"]
    assert y.trace[-1].terms["reduce"] == {}


def test_f_of_what_lies_above_moves_with_the_scale_of_y_as_is_documented():
    """With priors taken from the data, a mixture of s y has the F of y less N D log s."""
    rows, s = values(), 10.0
    bounds = []
    for scale in (1.0, s):
        graph, _, _ = under_mixture(PCA(n_components=2), rows * scale)
        bounds.append(fit(graph, rounds=5).history["F"][-1])
    assert bounds[0] - bounds[1] == pytest.approx(len(rows) * 2 * np.log(s), rel=1e-6)


def test_nothing_goes_back_and_the_vae_below_learns_as_if_it_were_alone():
    digits = load_bundled_digits().train_images[:120]
    networks = []
    for above in (True, False):
        data, vae = Observation(digits, scale=1 / 255), VAE(3, hidden=(16,), batch_size=40)
        graph = ModelGraph(pixels=data, vae=vae)
        graph.connect(data.value, vae.x)
        if above:
            reduce, gmm = SklearnTransform(make_pipeline(StandardScaler(), PCA(n_components=2))), GMM(3, starts=2)
            graph.add("reduce", reduce)
            graph.add("gmm", gmm)
            with pytest.raises(MessageTypeError, match="via='mean'"):
                graph.connect(vae.z, reduce.x)
            graph.connect(vae.z, reduce.x, via="mean")
            graph.connect(reduce.y, gmm.x)
        result = fit(graph, rounds=3)
        networks.append(list(vae.encoder.parameters()))
        if above:
            assert set(result.trace[-1].terms["vae"]) == {"log p(x)", "-KL z"}, "p(z) stays the VAE's own"
            assert result.history["F"][-1] == pytest.approx(
                sum(sum(terms.values()) for terms in result.trace[-1].terms.values())
            )
            expected = reduce.fitted.transform(result.beliefs["vae.z"].mean.double().numpy())
            assert np.allclose(result.beliefs["reduce.y"].value, expected)
            assert generate(graph, {"gmm.c": 1}, n=4)["pixels"].shape == (4, 64)
    assert all(torch.equal(one, other) for one, other in zip(*networks, strict=True))


class Counting(BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """Shifts by the mean of what it was fitted to, and counts its fits, in a list that clones share."""

    def __init__(self, seen=None):
        self.seen = seen

    def __sklearn_clone__(self):
        return Counting(self.seen)

    def fit(self, X, y=None):
        self.seen.append(len(X))
        self.mean_ = X.mean(0)
        return self

    def transform(self, X):
        return X - self.mean_


@pytest.mark.parametrize(("refit", "fits"), [(False, 1), (True, 3)])
def test_it_is_fitted_once_or_at_each_update(refit, fits):
    seen = []
    graph, module = alone(Counting(seen), refit=refit)
    fit(graph, rounds=3)
    assert seen == [90] * fits
    infer(graph)
    fit(graph, {"data": values(30) + 1}, frozen=["reduce"])
    assert len(seen) == fits
    fit(graph, {"data": values(30) + 1})
    assert np.allclose(module.fitted.mean_, (values(30) + 1).mean(0) if refit else values().mean(0))
    assert len(seen) == fits + refit


def test_the_estimator_that_was_given_is_not_touched():
    given = PCA(n_components=2, svd_solver="randomized")
    before = dict(vars(given))
    graph, module = alone(given)
    fit(graph, rounds=2)
    assert vars(given) == before
    assert module.fitted is not given
    assert given.random_state is None


class InPlace(BaseEstimator):  # type: ignore[misc]  # as above
    """Writes into what it is given."""

    def fit(self, X, y=None):
        X -= X.mean(0)
        return self

    def transform(self, X):
        return X


def test_values_in_the_mail_cannot_be_written_to():
    data = values()
    graph, _ = alone(InPlace(), data)
    with refused(LearningError, "InPlace of reduce cannot be fitted to 90 x 5 values", "read-only"):
        fit(graph)
    assert torch.equal(data, values())


def test_the_random_state_follows_from_the_seed_and_one_that_was_given_is_kept():
    states = []
    for seed in (0, 0, 1):
        graph, module = alone(make_pipeline(StandardScaler(), GaussianRandomProjection(n_components=2)))
        fit(graph, seed=seed)
        states.append((module.fitted[-1].random_state, module.fitted[-1].components_))
    assert states[0][0] == states[1][0] != states[2][0]
    assert np.array_equal(states[0][1], states[1][1])
    graph, module = alone(GaussianRandomProjection(n_components=2, random_state=7))
    fit(graph)
    assert module.fitted.random_state == 7


def test_missing_rows_enter_no_fit():
    missing = torch.arange(90) % 4 == 0
    holed = values().clone()
    holed[missing] = float("nan")
    graph, module = alone(StandardScaler(), holed, missing)
    y = fit(graph).beliefs["reduce.y"]
    assert torch.equal(y.missing, missing)
    assert np.allclose(module.fitted.mean_, values()[~missing].mean(0))


@pytest.mark.parametrize("transformer", [StandardScaler(), KernelPCA(n_components=2, kernel="rbf")], ids=repr)
def test_a_failed_update_leaves_the_transformer_that_was(transformer, monkeypatch):
    graph, module = alone(transformer, refit=True)
    fit(graph, rounds=1)
    before = infer(graph)["reduce.y"].value

    def broken(x, y):
        outbox = SklearnTransform.send(module, x, y)
        outbox.messages["y"].value[3] = float("nan")
        return outbox

    monkeypatch.setattr(module, "send", broken)
    with pytest.raises(DivergedError, match=r"from reduce\.y; got NaN"):
        fit(graph, {"data": values(seed=4) * 3}, rounds=1)
    monkeypatch.undo()
    assert torch.equal(infer(graph)["reduce.y"].value, before)
    fit(graph, {"data": values(seed=4) * 3}, rounds=1)
    assert not torch.equal(infer(graph)["reduce.y"].value, before)


def test_what_a_transformer_returns_may_be_part_of_it():
    class Remembering(Counting):
        def transform(self, X):
            return self.rows_

        def fit(self, X, y=None):
            self.rows_ = X.copy()
            return self

        def __sklearn_clone__(self):
            return Remembering()

    graph, module = alone(Remembering())
    fit(graph).beliefs["reduce.y"].value.zero_()
    assert np.array_equal(module.fitted.rows_, values())


def test_a_transformer_that_is_fitted_already_is_used_as_it_is():
    file = io.BytesIO()
    joblib.dump(KernelPCA(n_components=2, kernel="rbf").fit(values(seed=5).numpy()), file)
    file.seek(0)
    fitted = joblib.load(file)
    graph, module = alone(fitted, prefit=True)
    y = fit(graph, rounds=2).beliefs["reduce.y"]
    assert module.fitted is fitted
    assert np.array_equal(y.value, fitted.transform(values().numpy()))
    module.load_state_dict({})
    assert module.fitted is fitted


def test_decoding_is_the_inverse_and_y_itself_is_drawn_by_what_lies_above():
    graph, module, gmm = under_mixture(PCA(n_components=2))
    fit(graph, rounds=3)
    drawn = generate(graph, n=200)
    assert np.allclose(drawn["data"], module.fitted.inverse_transform(drawn["reduce.y"].numpy()))
    nearest = torch.cdist(drawn["reduce.y"], gmm.means).argmin(1)
    assert (nearest == drawn["gmm.c"]).double().mean() > 0.95
    y = torch.tensor([[1.0, 2.0]], dtype=torch.float64)
    given = generate(graph, {"reduce.y": y}, n=1)
    assert np.allclose(given["data"], module.fitted.inverse_transform(y.numpy()))


def test_draws_that_nobody_can_make_are_refused():
    graph, _ = alone(PCA(n_components=2))
    with refused(NotFittedError, "reduce"):
        infer(graph)
    fit(graph)
    with refused(CapabilityError, "no prior", "graph.connect(reduce.y, gmm.x)", "{'reduce.y': values}"):
        generate(graph)
    graph, _ = alone(VarianceThreshold())
    fit(graph)
    generate(graph, {"reduce.y": values()[:1]}, n=1)
    graph, _ = alone(PolynomialFeatures(degree=1))
    with refused(ShapeError, "PolynomialFeatures of reduce", "(90, 5)", "got (90, 6)", "dimensions=6"):
        fit(graph)
    graph, _ = alone(PolynomialFeatures(degree=1), dimensions=6)
    fit(graph)
    with refused(CapabilityError, "PolynomialFeatures of reduce", "inverse_transform", "it has none"):
        infer(graph, predict=["data"])


def test_sparse_results_are_made_dense():
    data = torch.arange(12).reshape(-1, 1) % 3
    graph, _ = alone(OneHotEncoder(), data, dimensions=3)
    y = fit(graph).beliefs["reduce.y"].value
    assert torch.equal(y, torch.nn.functional.one_hot(data[:, 0], 3).double())


@pytest.mark.parametrize(
    ("transformer", "options", "columns"),
    [
        (PCA(n_components=3), {}, 3),
        (PCA(n_components=np.int64(2)), {}, 2),
        (StandardScaler(), {}, 5),
        (PCA(), {"dimensions": 5}, 5),
        (make_pipeline(PCA(n_components=4), StandardScaler()), {}, 4),
        (make_pipeline(StandardScaler(), "passthrough"), {}, 5),
        (make_pipeline(PCA(n_components=4), make_pipeline(StandardScaler(), PCA(n_components=1))), {}, 1),
        (KMeans(n_clusters=3, n_init=1), {"dimensions": 3}, 3),
    ],
)
def test_the_columns_of_y_are_known_before_anything_runs(transformer, options, columns):
    graph, _ = alone(transformer, **options)
    assert graph.check().shapes["reduce"]["y"] == (columns,)
    assert fit(graph).beliefs["reduce.y"].event_shape == (columns,)


def test_columns_that_cannot_be_known_are_asked_for():
    with refused(ValueError, "PCA", "n_components=None", "SklearnTransform(PCA(...), dimensions=...)"):
        SklearnTransform(PCA())
    with refused(ValueError, "n_components=0.9"):
        SklearnTransform(make_pipeline(StandardScaler(), PCA(n_components=0.9)))
    with refused(ShapeError, "cycle", "SklearnTransform(StandardScaler(...), dimensions=...)"):
        SklearnTransform(StandardScaler()).event_shapes(None)
    assert SklearnTransform(PCA(n_components=2)).event_shapes(None) == {"y": (2,)}


@pytest.mark.parametrize(
    ("transformer", "options", "text"),
    [
        (PCA, {}, "got the class PCA itself"),
        (TSNE(), {}, "a method 'transform'; TSNE has none, and so cannot place new rows"),
        (3, {}, "a method 'fit'; int has none"),
        (Observation, {}, "got the class Observation itself"),
        (PCA(n_components=2), {"dimensions": 0}, "dimensions of at least 1; got 0"),
        (PCA(n_components=2), {"refit": True, "prefit": True}, "one of refit and prefit"),
        (LinearDiscriminantAnalysis(n_components=1), {}, "LinearDiscriminantAnalysis.fit asks for y"),
    ],
)
def test_estimators_and_arguments_that_cannot_serve_are_refused(transformer, options, text):
    with refused(ValueError, text):
        SklearnTransform(transformer, **options)


def test_data_that_the_transformer_refuses_name_the_module():
    graph, module = alone(PCA(n_components=9))
    with refused(LearningError, "PCA of reduce cannot be fitted to 90 x 5 values", "n_components=9"):
        fit(graph)
    with refused(NotFittedError, "reduce has fitted nothing yet"):
        assert module.fitted


@pytest.mark.slow
def test_umap_keeps_digits_together_places_new_ones_and_is_the_same_for_the_same_seed():
    umap = pytest.importorskip("umap")
    digits = load_bundled_digits()
    images, labels = digits.train_images[:700], digits.train_labels[:700]

    def learnt(transformer):
        graph, module = alone(transformer, images)
        old = fit(graph).beliefs["reduce.y"].value
        new = infer(graph, {"data": digits.test_images})["reduce.y"].value
        nearest = torch.cdist(new, old).argmin(1).numpy()
        return module, old, new, float((labels[nearest] != digits.test_labels).mean())

    given = umap.UMAP(n_neighbors=15, min_dist=0.0, n_components=2)
    module, old, new, errors = learnt(given)
    _, again, new_again, _ = learnt(given)
    assert torch.equal(old, again)
    assert torch.equal(new, new_again)
    assert np.array_equal(old, module.fitted.embedding_), "no approximation for what was fitted"
    assert errors < learnt(PCA(n_components=2))[-1] / 2
    assert not hasattr(given, "embedding_")
    assert given.random_state is None
    state = module.state_dict()
    assert copy.deepcopy(state)["fitted"].estimator is module.fitted
    with pytest.raises(CapabilityError, match="a fitted UMAP"):
        torch.save(state, io.BytesIO())
