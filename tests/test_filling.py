"""What nothing was observed of is filled in with its predictive distribution given all that was observed."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from sklearn.decomposition import PCA
from torch import Tensor

from pgmgraph import (
    Beliefs,
    Categorical,
    Gaussian,
    In,
    Message,
    ModelGraph,
    Module,
    Observation,
    Out,
    Outbox,
    Point,
    fit,
    infer,
    save_beliefs,
)
from pgmgraph.errors import DataError
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.hmm import HMM
from pgmgraph_modules.lda import LDA
from pgmgraph_modules.linear_gaussian import PPCA
from pgmgraph_modules.multimodal import MultimodalMixture, SharedVector
from pgmgraph_modules.supervised import Classifier, Regressor
from pgmgraph_modules.transforms import FunctionTransform, SklearnTransform
from pgmgraph_modules.vae import VAE
from tests.refusals import refused
from tests.toys import Noisy, Relay, blobs, intensities, observed

torch.set_num_threads(1)


def kinds_of(n: int) -> tuple[Tensor, Tensor]:
    """Vectors of three kinds, and the kinds."""
    vectors, kinds = blobs(n)
    return vectors.float(), kinds


def gaussian(message: Message) -> Gaussian:
    assert isinstance(message, Gaussian)
    return message


def categorical(message: Message) -> Categorical:
    assert isinstance(message, Categorical)
    return message


def standard_scores(found: Tensor, exact: Tensor) -> Tensor:
    """How many standard errors the mean of rows, which are independent estimates of one number, is off."""
    return ((found.mean(0) - exact) / (found.std(0) / math.sqrt(len(found)))).abs()


def components(module: GMM) -> tuple[Tensor, Tensor]:
    """The mean and the covariance of each component's posterior predictive, a Student t (Bishop 10.81)."""
    assert module.posterior is not None
    found = module.posterior.components
    freedom = found.nu + 1 - found.size
    spread = ((1 + found.beta) / (found.beta * (freedom - 2)))[:, None, None] * found.inverse_scale[:, 0]
    return module.means, spread


def mixed(weights: Tensor, means: Tensor, covariances: Tensor) -> tuple[Tensor, Tensor]:
    """The mean and the covariance of mixtures, (n, K), (K, D), (K, D, D) to (n, D), (n, D, D)."""
    mean = weights @ means
    away = means - mean.unsqueeze(1)
    inside = torch.einsum("nk,kij->nij", weights, covariances)
    return mean, inside + torch.einsum("nk,nki,nkj->nij", weights, away, away)


def ppca_mixture() -> tuple[ModelGraph, PPCA, GMM]:
    torch.manual_seed(0)
    points, _ = kinds_of(150)
    values = points @ torch.randn(2, 4) + 0.3 * torch.randn(150, 4)
    data, ppca, gmm = Observation(values), PPCA(2), GMM(3, starts=2)
    graph = ModelGraph(data=data, ppca=ppca, gmm=gmm)
    graph.connect(data.value, ppca.x)
    graph.connect(ppca.z, gmm.x)
    fit(graph, rounds=5)
    return graph, ppca, gmm


LOST = torch.arange(150) % 5 == 0


@pytest.fixture(scope="module")
def linear() -> tuple[ModelGraph, PPCA, GMM]:
    return ppca_mixture()


def values_of(graph: ModelGraph, name: str) -> Tensor:
    point = graph.observations[name].point
    assert isinstance(point, Point)
    return point.value


def holed(graph: ModelGraph, name: str = "data") -> dict[str, Observation]:
    values = values_of(graph, name).clone()
    values[LOST[: len(values)]] = float("nan")
    return {name: Observation(values, missing=LOST[: len(values)])}


def test_missing_rows_have_the_exact_moments_of_a_linear_model(linear: tuple[ModelGraph, PPCA, GMM]) -> None:
    """30 rows alike, 400 draws each: their mean is within four standard errors of the closed form."""
    graph, ppca, gmm = linear
    beliefs = infer(graph, holed(graph), draws=400)
    mean, covariance = mixed(gmm.weights[None], *components(gmm))
    z, x, c = gaussian(beliefs["ppca.z"]), gaussian(beliefs["data"]), categorical(beliefs["gmm.c"])
    assert standard_scores(c.probs[LOST], gmm.weights).max() < 4
    assert standard_scores(z.mean[LOST], mean[0]).max() < 4
    assert standard_scores(z.variance[LOST].flatten(1), covariance[0].flatten()).max() < 4
    seen = ppca.loadings @ covariance[0] @ ppca.loadings.T
    assert standard_scores(x.mean[LOST].double(), ppca.loadings @ mean[0] + ppca.mean).max() < 4
    assert standard_scores(x.variance[LOST].double(), seen.diagonal() + ppca.noise_variances).max() < 4


def test_the_flag_stays_and_what_was_observed_is_untouched(linear: tuple[ModelGraph, PPCA, GMM]) -> None:
    graph, *_ = linear
    data = holed(graph)
    bare, full = infer(graph, data, draws=0), infer(graph, data, draws=3)
    assert set(full) == {*bare, "data"}
    for name, message in bare.items():
        assert torch.equal(full[name].missing_rows(), LOST)
        for field in message.per_item:
            assert torch.equal(getattr(full[name], field)[~LOST], getattr(message, field)[~LOST])
            assert not torch.equal(getattr(full[name], field)[LOST], getattr(message, field)[LOST])
    observed_rows = gaussian(full["data"])[~LOST]
    assert torch.equal(observed_rows.mean, values_of(graph, "data")[~LOST])
    assert not observed_rows.variance.any()


def test_without_draws_nothing_is_filled(linear: tuple[ModelGraph, PPCA, GMM]) -> None:
    graph, *_ = linear
    z, c = (infer(graph, holed(graph), draws=0)[name] for name in ("ppca.z", "gmm.c"))
    assert not gaussian(z).mean[LOST].any()
    assert (categorical(c).probs[LOST] == 1 / 3).all()
    with refused(DataError, "draws of 0 or more", "-1"):
        infer(graph, draws=-1)


def test_with_nothing_missing_nothing_is_added(linear: tuple[ModelGraph, PPCA, GMM]) -> None:
    graph, *_ = linear
    assert set(infer(graph, draws=5)) == {"ppca.z", "gmm.c"}


def test_the_error_falls_with_the_root_of_the_draws(linear: tuple[ModelGraph, PPCA, GMM]) -> None:
    graph, _, gmm = linear
    exact = mixed(gmm.weights[None], *components(gmm))[0]
    data = {"data": graph.observations["data"].absent(400)}
    few, many = (
        (gaussian(infer(graph, data, draws=draws)["ppca.z"]).mean - exact).square().mean().sqrt() for draws in (8, 128)
    )
    assert 3.5 < few / many < 4.5  # 4 is expected; 800 squares tell a ratio to a twentieth


def test_the_same_seed_fills_in_the_same(linear: tuple[ModelGraph, PPCA, GMM]) -> None:
    graph, *_ = linear
    one, again, other = (gaussian(infer(graph, holed(graph), draws=5, seed=seed)["data"]).mean for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.isclose(one, other)[LOST].all(1).any()


def test_rows_of_one_kind_are_drawn_each_by_itself(linear: tuple[ModelGraph, PPCA, GMM]) -> None:
    graph, *_ = linear
    z = gaussian(infer(graph, holed(graph), draws=5)["ppca.z"]).mean[LOST]
    assert len(z.unique(dim=0)) == len(z)


def test_blocks_have_the_same_moments_and_draws_of_their_own(linear: tuple[ModelGraph, PPCA, GMM]) -> None:
    graph, _, gmm = linear
    exact = mixed(gmm.weights[None], *components(gmm))[0][0]
    z = gaussian(infer(graph, holed(graph), draws=200, batch_size=40)["ppca.z"]).mean[LOST]
    assert standard_scores(z, exact).max() < 4
    assert len(z.unique(dim=0)) == len(z)
    sizes = {name: len(message) for name, message in infer(graph, holed(graph), draws=2, batch_size=1).items()}
    assert sizes == {"ppca.z": 150, "gmm.c": 150, "data": 150}


def test_a_plate_of_which_all_is_missing_is_the_prior(linear: tuple[ModelGraph, PPCA, GMM]) -> None:
    graph, _, gmm = linear
    found = infer(graph, {"data": graph.observations["data"].absent(60)}, draws=200)
    assert found["data"].missing_rows().all()
    assert standard_scores(categorical(found["gmm.c"]).probs, gmm.weights).max() < 4


def test_predictions_of_missing_rows_are_filled_in_as_they_are(linear: tuple[ModelGraph, PPCA, GMM]) -> None:
    graph, ppca, gmm = linear
    found = infer(graph, holed(graph), predict=["data"], draws=300)["data"]
    assert isinstance(found, Point)
    mean = mixed(gmm.weights[None], *components(gmm))[0][0]
    assert standard_scores(found.value[LOST], ppca.loadings @ mean + ppca.mean).max() < 4


@pytest.mark.parametrize("ending", [".npz", ".parquet"])
def test_what_was_filled_in_is_saved(linear: tuple[ModelGraph, PPCA, GMM], tmp_path: Path, ending: str) -> None:
    graph, *_ = linear
    found = infer(graph, holed(graph), draws=3)
    path = save_beliefs([found], tmp_path / f"filled{ending}")
    if ending == ".npz":
        again = Beliefs.load(path)
        for name, message in found.items():
            assert type(again[name]) is type(message)
            for field in (*message.per_item, "missing"):
                assert torch.equal(getattr(again[name], field), getattr(message, field))
        return
    from pyarrow import parquet

    table = parquet.read_table(path)
    torch.testing.assert_close(torch.tensor(table["data.mean"].to_pylist()), gaussian(found["data"]).mean)
    assert table["data.missing"].to_pylist() == LOST.tolist()


def modalities() -> tuple[ModelGraph, MultimodalMixture, GMM]:
    """Words and vectors of three kinds under a class; other vectors below a mixture of their own."""
    torch.manual_seed(2)
    vectors, kinds = kinds_of(90)
    words = torch.poisson(torch.full((90, 6), 0.5).scatter_(1, 2 * kinds[:, None] + torch.arange(2), 2.5))
    shapes = vectors + 1.5 * torch.randn(90, 2)
    graph = ModelGraph(mixture=(mixture := MultimodalMixture(3, starts=2, cooling=10)), gmm=(gmm := GMM(4, starts=2)))
    for name, values in {"vectors": vectors, "words": words, "shapes": shapes}.items():
        graph.add(name, Observation(values))
    graph.connect(graph.observations["vectors"].value, mixture.v["image"])
    graph.connect(graph.observations["words"].value, mixture.w["word"])
    graph.connect(graph.observations["shapes"].value, gmm.x)
    graph.connect(gmm.c, mixture.x["shape"])
    fit(graph, rounds=5)
    return graph, mixture, gmm


@pytest.fixture(scope="module")
def sorted_together() -> tuple[ModelGraph, MultimodalMixture, GMM]:
    return modalities()


def test_from_words_the_vectors(sorted_together: tuple[ModelGraph, MultimodalMixture, GMM]) -> None:
    """The posterior predictive, summed over classes, at 90 rows that differ."""
    graph, mixture, gmm = sorted_together
    words = values_of(graph, "words").clone()
    words[:60] = (words[:60] > 2).float()  # so few words that the class stays open
    found = infer(graph, {"words": words}, draws=400)
    probs = categorical(found["mixture.c"]).probs
    assert (probs.amax(1) < 0.9).sum() > 10
    assert found["mixture.c"].missing is None
    shape = categorical(found["gmm.c"])
    assert torch.equal(shape.probs, categorical(infer(graph, {"words": words}, draws=0)["gmm.c"]).probs)
    torch.testing.assert_close(shape.probs, probs @ mixture.table("shape"))
    mean, covariance = mixed(shape.probs, *components(gmm))
    told = gaussian(found["shapes"])
    scores = (told.mean - mean) / (covariance.diagonal(dim1=1, dim2=2) / 400).sqrt()
    assert scores.abs().max() < 5  # of 180
    assert 0.7 < scores.std() < 1.3
    ratio = told.variance / covariance.diagonal(dim1=1, dim2=2)
    assert (ratio.mean() - 1).abs() < 0.05
    assert "words" not in found


def test_from_vectors_the_words(sorted_together: tuple[ModelGraph, MultimodalMixture, GMM]) -> None:
    graph, mixture, _ = sorted_together
    vectors = values_of(graph, "vectors")
    between = (vectors[:30] + vectors[30:60]) / 2  # where the class is open
    found = infer(graph, {"vectors": between}, draws=400)
    probs, phi = categorical(found["mixture.c"]).probs, mixture.words("word")
    length = round(float(values_of(graph, "words").sum(1).mean()))
    exact = infer(graph, {"vectors": between}, draws=0, predict=["words"])["words"]
    assert isinstance(exact, Point)
    told = gaussian(found["words"])
    between_classes = mixed(probs, length * phi, torch.zeros(3, 6, 6).double())[1].diagonal(dim1=1, dim2=2)
    variance = between_classes + probs @ (length * phi * (1 - phi))
    assert ((told.mean - exact.value).abs() < 5 * (between_classes / 400).sqrt() + 1e-5).all()
    assert ((told.variance / variance).mean() - 1).abs() < 0.05


def test_a_row_without_any_modality_is_the_prior(sorted_together: tuple[ModelGraph, MultimodalMixture, GMM]) -> None:
    graph, mixture, _ = sorted_together
    given = {"words": Observation(values_of(graph, "words"), missing=LOST[:90])}
    found = infer(graph, given, draws=300)
    assert torch.equal(found["mixture.c"].missing_rows(), LOST[:90])
    assert standard_scores(categorical(found["mixture.c"]).probs[LOST[:90]], mixture.class_probs).max() < 4
    marginal = mixture.class_probs @ mixture.table("shape")
    assert standard_scores(categorical(found["gmm.c"]).probs[LOST[:90]], marginal).max() < 4


def test_topics_foretell_a_modality_by_their_proportions() -> None:
    torch.manual_seed(1)
    kinds = torch.arange(60) % 3
    counts = torch.poisson(0.2 + 3 * torch.eye(3)[kinds].repeat_interleave(2, 1))
    graph = ModelGraph(lda=(lda := LDA(3, concentration=1.0)))
    for key in ("sight", "sound"):
        graph.add(key, Observation(counts))
        graph.connect(graph.observations[key].value, lda.x[key])
    fit(graph, rounds=20)
    exact = infer(graph, {"sight": counts}, predict=["sound"], draws=0)["sound"]
    assert isinstance(exact, Point)
    told = gaussian(infer(graph, {"sight": counts}, draws=600)["sound"])
    length = float(counts.sum(1).mean())
    assert (told.mean - exact.value).abs().max() < 5 * length / 2 / math.sqrt(600)  # a share varies by at most 1/2


def labelled(module: Classifier | Regressor, targets: Tensor) -> ModelGraph:
    vectors, _ = kinds_of(150)
    data, labels, ppca = Observation(vectors), Observation(targets, missing=LOST), PPCA(2)
    graph = ModelGraph(data=data, labels=labels, ppca=ppca, module=module)
    graph.connect(data.value, ppca.x)
    graph.connect(ppca.z, module.z)
    graph.connect(labels.value, module.y)
    fit(graph, rounds=3)
    return graph


def test_labels_are_told_as_probabilities() -> None:
    _, kinds = kinds_of(150)
    graph = labelled(Classifier(3), kinds)
    found = infer(graph, draws=1)
    labels, predicted = categorical(found["labels"]), categorical(found["module.predicted"])
    assert torch.equal(labels.missing_rows(), LOST)
    assert torch.equal(labels.probs, predicted.probs)
    assert torch.equal(labels.probs[~LOST], torch.nn.functional.one_hot(kinds[~LOST], 3).double())
    assert (labels.most_probable() == kinds)[LOST].float().mean() > 0.9


def test_targets_are_told_with_their_variance() -> None:
    vectors, _ = kinds_of(150)
    graph = labelled(Regressor(), vectors[:, 0])
    found = infer(graph, draws=1)
    targets, predicted = gaussian(found["labels"]), gaussian(found["module.predicted"])
    torch.testing.assert_close(targets.mean[LOST].double(), predicted.mean[LOST])
    torch.testing.assert_close(targets.variance[LOST].double(), predicted.marginal_variance()[LOST])
    assert torch.equal(targets.mean[~LOST, 0], vectors[~LOST, 0])


def test_ninety_per_cent_intervals_hold_ninety_per_cent() -> None:
    torch.manual_seed(5)
    z = torch.randn(1500, 2)
    left, right = (z @ torch.randn(2, 3) + 0.5 * torch.randn(1500, 3) for _ in range(2))
    graph = ModelGraph(shared=(shared := SharedVector(2)))
    for name, values in {"left": left, "right": right}.items():
        graph.add(name, Observation(values[:500]))
        graph.connect(graph.observations[name].value, shared.x[name])
    fit(graph, rounds=30)
    told = gaussian(infer(graph, {"left": left[500:]}, draws=200)["right"])
    held = ((right[500:] - told.mean).abs() < 1.645 * told.variance.sqrt()).float().mean(0)
    # Four binomial deviations of 1,000 rows, and 0.02 for parameters learnt from 500.
    assert (held - 0.9).abs().max() < 4 * math.sqrt(0.09 / 1000) + 0.02


def test_images_are_laid_out_as_vectors_and_predictions_are_not() -> None:
    images = intensities(40).reshape(40, 2, 4)
    data, vae, gmm = Observation(images), VAE(2, hidden=(4,), batch_size=16), GMM(2, starts=2)
    graph = ModelGraph(data=data, vae=vae, gmm=gmm)
    graph.connect(data.value, vae.x)
    graph.connect(vae.z, gmm.x)
    fit(graph, rounds=2)
    given = holed(graph)
    told = gaussian(infer(graph, given, draws=40)["data"])
    assert told.mean.shape == told.variance.shape == (40, 8)
    assert torch.equal(told.mean[~LOST[:40]].reshape(-1, 2, 4), images[~LOST[:40]])
    seen = infer(graph, given, predict=["data"], draws=40)["data"]
    assert isinstance(seen, Point)
    assert seen.value.shape == (40, 2, 4)
    assert ((told.mean[LOST[:40]] > 0) & (told.mean[LOST[:40]] < 1)).all()
    # The decoder's mean varies with z alone.
    assert (told.variance[LOST[:40]] > 0).all()


def test_bytes_are_told_on_the_scale_of_the_model() -> None:
    stored = (intensities(40) * 255).byte()
    data, ppca = Observation(stored, scale=1 / 255, missing=LOST[:40]), PPCA(2)
    graph = ModelGraph(data=data, ppca=ppca)
    graph.connect(data.value, ppca.x)
    fit(graph, rounds=2)
    told = gaussian(infer(graph, draws=200)["data"])
    torch.testing.assert_close(told.mean[~LOST[:40]], stored[~LOST[:40]] / 255)
    assert standard_scores(told.mean[LOST[:40]].double(), ppca.mean).max() < 4


def test_along_time_states_are_told_by_their_neighbours() -> None:
    torch.manual_seed(3)
    states = torch.arange(150) % 3
    values = 4 * torch.eye(3)[states][:, :2] + 0.3 * torch.randn(150, 2)
    data, hmm = Observation(values, missing=LOST), HMM(3, starts=2)
    graph = ModelGraph(data=data, hmm=hmm)
    graph.connect(data.value, hmm.x)
    fit(graph, rounds=10)
    found = infer(graph, draws=400)
    probs, told = categorical(found["hmm.s"]).probs, gaussian(found["data"])
    assert found["hmm.s"].missing is None
    between = mixed(probs, hmm.means, torch.zeros(3, 2, 2).double())[1].diagonal(dim1=1, dim2=2)
    assert ((told.mean - probs @ hmm.means).abs()[LOST] < (5 * (between / 400).sqrt() + 1e-4)[LOST]).all()


def test_a_gap_in_time_is_drawn_from_the_class_that_the_neighbours_tell() -> None:
    torch.manual_seed(3)
    values = 4 * torch.eye(3)[torch.arange(150) % 3][:, :2] + 0.6 * torch.randn(150, 2)
    data, gmm, hmm = Observation(values, missing=LOST), GMM(3, starts=2), HMM(3)
    graph = ModelGraph(data=data, gmm=gmm, hmm=hmm)
    graph.connect(data.value, gmm.x)
    graph.connect(gmm.c, hmm.c)
    fit(graph, rounds=10)
    found = infer(graph, draws=400)
    probs, told = categorical(found["gmm.c"]).probs, gaussian(found["data"])
    assert found["gmm.c"].missing is None
    mean, covariance = mixed(probs, *components(gmm))
    variance = covariance.diagonal(dim1=1, dim2=2)
    scores = ((told.mean - mean) / (variance / 400).sqrt())[LOST]
    assert scores.abs().max() < 5
    assert ((told.variance / variance)[LOST].mean() - 1).abs() < 0.1


def reduced(inverse: bool) -> ModelGraph:
    values = kinds_of(60)[0] @ torch.tensor([[1.0, 0.5, 0.2], [0.0, 1.0, -0.4]])
    data, reduce, gmm = Observation(values), SklearnTransform(Reduction() if not inverse else PCA(2)), GMM(3, starts=2)
    graph = ModelGraph(data=data, reduce=reduce, gmm=gmm)
    graph.connect(data.value, reduce.x)
    graph.connect(reduce.y, gmm.x)
    fit(graph, rounds=2)
    return graph


class Reduction(PCA):  # type: ignore[misc]  # scikit-learn is not typed
    """The principal axes, and no way back."""

    def __init__(self, n_components: int = 2) -> None:
        super().__init__(n_components)

    inverse_transform = property(lambda self: (_ for _ in ()).throw(AttributeError("inverse_transform")))


def test_a_transform_with_a_way_back_decodes_what_is_filled_in() -> None:
    graph = reduced(inverse=True)
    found = infer(graph, holed(graph), draws=300)
    y, lost = found["reduce.y"], LOST[:60]
    assert isinstance(y, Point)
    gmm, reduce = graph.modules["gmm"], graph.modules["reduce"]
    assert isinstance(gmm, GMM)
    assert isinstance(reduce, SklearnTransform)
    mean = mixed(gmm.weights[None], *components(gmm))[0][0]
    assert standard_scores(y.value[lost].double(), mean).max() < 4
    decoded = torch.from_numpy(reduce.fitted.inverse_transform(y.value[lost].numpy()))  # type: ignore[attr-defined]
    torch.testing.assert_close(gaussian(found["data"]).mean[lost], decoded.float(), rtol=1e-4, atol=1e-4)


def test_without_a_way_back_the_observation_stays_missing() -> None:
    graph = reduced(inverse=False)
    found = infer(graph, holed(graph), draws=5)
    assert "data" not in found
    assert torch.equal(found["reduce.y"].missing_rows(), LOST[:60])


class Mute(Module):
    """Believes that z is what it sees, give or take, and can neither sample nor predict."""

    x = In(Point)
    z = Out(Gaussian)

    def event_shapes(self, x: tuple[int, ...] | None) -> dict[str, tuple[int, ...]]:
        assert x is not None
        return {"z": x}

    def send(self, x: Point, z: None) -> Outbox:
        return Outbox(z=Gaussian(x.value, torch.ones_like(x.value)))


def test_a_module_that_cannot_sample_leaves_placeholders() -> None:
    one, two, low, high = Observation(torch.ones(8, 2)), observed(n=8), Mute(), Noisy()
    graph = ModelGraph(one=one, two=two, low=low, high=high)
    graph.connect(one.value, low.x)
    graph.connect(two.value, high.y)
    fit(graph)
    found = infer(graph, {"two": torch.zeros(5, 2)}, draws=7)
    assert set(found) == {"low.z", "high.z"}
    assert found["low.z"].missing_rows().all()
    assert not gaussian(found["low.z"]).mean.any()


class Listening(Module):
    """May hear from elsewhere, and so close a cycle."""

    x = In(Point)
    y = In(Gaussian, optional=True)
    z = Out(Gaussian)

    def event_shapes(self, x: tuple[int, ...] | None, y: tuple[int, ...] | None) -> dict[str, tuple[int, ...]]:
        assert x is not None
        return {"z": x}

    def send(self, x: Point, y: Gaussian | None, z: None) -> Outbox:
        return Outbox(z=Gaussian(x.value, torch.ones_like(x.value)))


def test_in_a_cycle_there_is_no_way_down_and_placeholders_stay() -> None:
    data, first, second = observed(n=20), Listening(), Relay()
    graph = ModelGraph(data=data, first=first, second=second)
    graph.connect(data.value, first.x)
    graph.connect(first.z, second.x)
    graph.connect(second.z, first.y)
    fit(graph, schedule=["first", "second"])
    found = infer(graph, holed(graph), draws=5)
    assert set(found) == {"first.z", "second.z"}
    assert torch.equal(found["second.z"].missing_rows(), LOST[:20])


def test_where_an_inverse_has_no_value_placeholders_stay() -> None:
    torch.manual_seed(0)
    shares = torch.rand(60, 2)
    root = FunctionTransform(torch.square, inverse=torch.sqrt)
    graph = ModelGraph(data=(data := Observation(shares)), root=root, gmm=(gmm := GMM(1, starts=1)))
    graph.connect(data.value, root.x)
    graph.connect(root.y, gmm.x)
    fit(graph, rounds=2)
    told = gaussian(infer(graph, holed(graph), draws=2)["data"])
    filled = told.mean[LOST[:60]].bool().all(1)
    assert told.mean.isfinite().all()
    assert 0 < filled.sum() < len(filled)
