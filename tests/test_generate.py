"""Generation: some variables clamped, the others drawn from the posterior that follows."""

from __future__ import annotations

import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.preprocessing import PolynomialFeatures

from pgmgraph import Gaussian, ModelGraph, Observation, fit, generate, infer
from pgmgraph.errors import CapabilityError, CycleError, DataError, NotFittedError, UnknownNameError
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.transforms import SklearnTransform
from pgmgraph_modules.vae import VAE
from tests.refusals import refused
from tests.toys import Centre, Noisy, Relay, Weights, blobs, dense, intensities, observed


@pytest.fixture(scope="module")
def images() -> ModelGraph:
    stored = (intensities(40) * 255).byte()
    data, vae, gmm = Observation(stored, scale=1 / 255), VAE(2, hidden=(4,), batch_size=16, lr=1e-2), GMM(3, starts=2)
    graph = ModelGraph(pixels=data, vae=vae, gmm=gmm)
    graph.connect(data.value, vae.x)
    graph.connect(vae.z, gmm.x)
    fit(graph, rounds=2)
    return graph


@pytest.fixture(scope="module")
def mixture() -> ModelGraph:
    graph = ModelGraph(data=(data := Observation(blobs(60)[0])), gmm=(gmm := GMM(3, starts=2)))
    graph.connect(data.value, gmm.x)
    fit(graph, rounds=3)
    return graph


def test_with_nothing_clamped_everything_is_drawn(images: ModelGraph) -> None:
    drawn = generate(images, n=6)
    assert {name: tuple(value.shape) for name, value in drawn.items()} == {
        "gmm.c": (6,),
        "vae.z": (6, 2),
        "pixels": (6, 8),
    }
    assert ((drawn["pixels"] >= 0) & (drawn["pixels"] <= 1)).all()


def test_the_same_seed_draws_the_same(images: ModelGraph) -> None:
    first, second, other = generate(images, n=5, seed=3), generate(images, n=5, seed=3), generate(images, n=5, seed=4)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["vae.z"], other["vae.z"])


def test_frequencies_and_means_are_the_models(mixture):
    gmm = mixture.modules["gmm"]
    drawn = generate(mixture, n=6000)
    shares = torch.bincount(drawn["gmm.c"], minlength=3) / 6000
    torch.testing.assert_close(shares.double(), gmm.weights, atol=0.03, rtol=0)
    for k in range(3):
        torch.testing.assert_close(drawn["data"][drawn["gmm.c"] == k].mean(0), gmm.means[k], atol=0.2, rtol=0)


def test_a_clamped_component_is_what_is_drawn_from(mixture):
    gmm = mixture.modules["gmm"]
    drawn = generate(mixture, {"gmm.c": 2}, n=2000)
    assert (drawn["gmm.c"] == 2).all()
    torch.testing.assert_close(drawn["data"].mean(0), gmm.means[2], atol=0.2, rtol=0)
    each = generate(mixture, {"gmm.c": [0, 1, 2] * 700}, n=2100)
    assert each["gmm.c"].tolist() == [0, 1, 2] * 700
    torch.testing.assert_close(each["data"].reshape(700, 3, 2).mean(0), gmm.means, atol=0.3, rtol=0)


def test_a_clamped_vector_is_explained_and_decoded(images: ModelGraph) -> None:
    z = torch.tensor([0.5, -1.0])
    drawn = generate(images, {"vae.z": z}, n=3)
    assert torch.equal(drawn["vae.z"], z.expand(3, 2))
    assert torch.equal(drawn["pixels"][0], drawn["pixels"][2])  # the mean of the decoder
    rows = torch.randn(4, 2)
    assert torch.equal(generate(images, {"vae.z": rows.tolist()}, n=4)["vae.z"], rows)


def test_clamped_data_are_explained_upwards(mixture):
    gmm = mixture.modules["gmm"]
    drawn = generate(mixture, {"data": gmm.means}, n=3)
    assert drawn["gmm.c"].tolist() == [0, 1, 2]
    assert torch.equal(drawn["data"], gmm.means)
    one = generate(mixture, {"data": gmm.means[1]}, n=50)
    assert (one["gmm.c"] == 1).all()


def test_clamped_bytes_are_scaled_as_the_data_are(images: ModelGraph) -> None:
    stored = dense(images.observations["pixels"])[:20]
    scaled = stored.float() / 255
    as_bytes, as_floats = (generate(images, {"pixels": values}, n=20)["gmm.c"] for values in (stored, scaled))
    assert torch.equal(as_bytes, as_floats)


def test_a_latent_below_the_root_is_drawn_from_what_the_data_say_of_it(images: ModelGraph) -> None:
    image = dense(images.observations["pixels"])[7]
    drawn = generate(images, {"pixels": image}, n=4_000)["vae.z"]
    belief = infer(images, {"pixels": image[None]})["vae.z"]
    assert isinstance(belief, Gaussian)
    torch.testing.assert_close(drawn.mean(0), belief.mean[0], rtol=0, atol=0.06)
    torch.testing.assert_close(drawn.var(0), belief.variance[0], rtol=0.15, atol=0)


def test_a_posterior_is_drawn_from_in_its_proportions() -> None:
    """Between two components the draws divide as the responsibilities do."""
    values = torch.cat([torch.randn(40, 1).double() - 2, torch.randn(40, 1).double() + 2])
    graph = ModelGraph(data=(data := Observation(values)), gmm=(gmm := GMM(2, starts=2)))
    graph.connect(data.value, gmm.x)
    fit(graph, rounds=5)
    point = gmm.means.mean(0)
    probs = infer(graph, {"data": point[None]})["gmm.c"].probs[0]  # type: ignore[attr-defined]
    shares = torch.bincount(generate(graph, {"data": point}, n=4000)["gmm.c"], minlength=2) / 4000
    torch.testing.assert_close(shares.double(), probs, atol=0.04, rtol=0)


def test_a_chain_is_sampled_from_its_top() -> None:
    data, noisy, centre = Observation(torch.randn(50, 2).double() + 4), Noisy(), Centre()
    graph = ModelGraph(data=data, noisy=noisy, centre=centre)
    graph.connect(data.value, noisy.y)
    graph.connect(noisy.z, centre.x)
    fit(graph, rounds=5)
    drawn = generate(graph, n=2000)
    torch.testing.assert_close(drawn["noisy.z"].mean(0), centre.mean, atol=0.15, rtol=0)
    torch.testing.assert_close(drawn["data"], drawn["noisy.z"] + noisy.shift)


def test_a_parent_that_holds_the_components_draws_them() -> None:
    graph = ModelGraph(data=(data := Observation(blobs(60)[0])), gmm=(gmm := GMM(3, starts=2)), top=(top := Weights()))
    graph.connect(data.value, gmm.x)
    graph.connect(gmm.c, top.c)
    fit(graph, rounds=2)
    drawn = generate(graph, n=3000)
    shares = torch.bincount(drawn["gmm.c"], minlength=3) / 3000
    torch.testing.assert_close(shares.double(), top.weights, atol=0.04, rtol=0)
    assert (generate(graph, {"gmm.c": 1}, n=3)["gmm.c"] == 1).all()


def test_names_that_are_not_there(images: ModelGraph) -> None:
    with refused(UnknownNameError, "'gmm.z' to clamp", "Did you mean 'gmm.c'?", "pixels, vae.z, gmm.c"):
        generate(images, {"gmm.z": 1})
    with refused(UnknownNameError, "'pixels.value'", "Did you mean 'pixels'?"):
        generate(images, {"pixels.value": torch.zeros(8)})
    with refused(UnknownNameError, "Nothing was drawn for 'gmm.x'", "There are: "):
        generate(images)["gmm.x"]


@pytest.mark.parametrize("value", [3, -1, [0, 3], 1.0, [0.5, 0.5]])
def test_components_that_are_not_there(images: ModelGraph, value: object) -> None:
    with refused(DataError, "integers from 0 to 2", "'gmm.c'", str(value)):
        generate(images, {"gmm.c": value}, n=2)  # type: ignore[dict-item]


def test_values_of_the_wrong_shape(images: ModelGraph) -> None:
    with refused(DataError, "(2,) or (4, 2)", "'vae.z'", "(3,)"):
        generate(images, {"vae.z": torch.zeros(3)}, n=4)
    with refused(DataError, "(2,) or (4, 2)", "'vae.z'", "(5, 2)"):
        generate(images, {"vae.z": torch.zeros(5, 2)}, n=4)
    with refused(DataError, "() or (4,)", "'gmm.c'", "(3,)"):
        generate(images, {"gmm.c": [0, 1, 2]}, n=4)
    with refused(DataError, "(8,) or (1, 8)", "'pixels'", "(7,)"):
        generate(images, {"pixels": torch.zeros(7)})
    with refused(DataError, "finite values for 'vae.z'", "NaN"):
        generate(images, {"vae.z": torch.tensor([0.0, torch.nan])})
    with refused(DataError, "n of at least 1", "0"):
        generate(images, n=0)


def test_before_fit_it_is_refused_and_sets_nothing_up() -> None:
    graph = ModelGraph(data=(data := observed()), noisy=(noisy := Noisy()))
    graph.connect(data.value, noisy.y)
    with refused(NotFittedError, "noisy has learnt nothing yet", "fit(graph"):
        generate(graph)
    assert not hasattr(noisy, "context")


def test_a_cycle_has_no_way_down() -> None:
    first, second = Relay(), Relay()
    graph = ModelGraph(first=first, second=second)
    graph.connect(first.z, second.x)
    graph.connect(second.z, first.x)
    with refused(CycleError, "first -> second -> first"):
        generate(graph)


# What follows from known values


def transformed(transformer: object, columns: int) -> tuple[ModelGraph, SklearnTransform]:
    data, low = Observation(blobs(60, d=3)[0]), SklearnTransform(transformer, dimensions=columns)  # type: ignore[arg-type]
    graph = ModelGraph(data=data, low=low, gmm=(gmm := GMM(3, starts=2)))
    graph.connect(data.value, low.x)
    graph.connect(low.y, gmm.x)
    fit(graph, rounds=2)
    return graph, low


def test_what_a_transform_makes_of_clamped_data_is_computed_and_not_drawn() -> None:
    graph, low = transformed(PCA(n_components=2), 2)
    rows = dense(graph.observations["data"])[:4]
    drawn = generate(graph, {"data": rows}, n=4)
    assert torch.equal(drawn["low.y"], torch.from_numpy(low.fitted.transform(rows.numpy())))
    found = infer(graph)["gmm.c"].probs[:4]  # type: ignore[attr-defined]
    assert torch.equal(drawn["gmm.c"], found.argmax(1))


def test_a_module_that_cannot_sample_is_not_asked_where_all_around_it_is_known() -> None:
    graph, _ = transformed(PolynomialFeatures(degree=1), 4)
    rows = dense(graph.observations["data"])[:4]
    assert generate(graph, {"data": rows}, n=4)["gmm.c"].shape == (4,)
    with refused(CapabilityError, "PolynomialFeatures of low", "inverse_transform"):
        generate(graph, {"gmm.c": 1}, n=4)


def test_clamped_data_are_checked_as_data_are(images: ModelGraph) -> None:
    with refused(DataError, "within [0, 1] at vae.x", "from 200 to 200", "pixels"):
        generate(images, {"pixels": torch.full((8,), 200.0)}, n=2)
    with refused(DataError, "finite values for 'pixels'", "NaN"):
        generate(images, {"pixels": torch.full((8,), torch.nan)}, n=2)


def test_one_of_several_observations_may_be_clamped() -> None:
    sound, image = observed(n=10), observed(n=10, seed=1)
    graph = ModelGraph(sound=sound, image=image, low=(low := Noisy()), high=(high := Noisy()))
    graph.connect(sound.value, low.y)
    graph.connect(image.value, high.y)
    fit(graph)
    drawn = generate(graph, {"sound": torch.ones(2)}, n=4)
    assert (drawn["sound"] == 1).all()
    assert drawn["image"].std() > 0


# Temperature


@pytest.fixture(scope="module")
def unequal() -> ModelGraph:
    """Three clusters, of 60, 30 and 10 of a hundred items."""
    values, labels = blobs(300, d=2)
    kept = torch.cat([(labels == k).nonzero().flatten()[:size] for k, size in enumerate((60, 30, 10))])
    graph = ModelGraph(data=(data := Observation(values[kept])), gmm=(gmm := GMM(3, starts=4)))
    graph.connect(data.value, gmm.x)
    fit(graph, rounds=5)
    return graph


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_frequencies_and_covariances_are_those_of_the_temperature(unequal, temperature):
    gmm, n = unequal.modules["gmm"], 20_000
    drawn = generate(unequal, n=n, temperature=temperature)
    shares = gmm.weights ** (1 / temperature) / (gmm.weights ** (1 / temperature)).sum()
    frequencies = torch.bincount(drawn["gmm.c"], minlength=3) / n
    torch.testing.assert_close(frequencies.double(), shares, rtol=0, atol=5 * 0.5 / n**0.5)
    for k in range(3):
        rows = generate(unequal, {"gmm.c": k}, n=n, temperature=temperature)["data"]
        q = gmm.posterior.components
        freedom = (q.nu[k] + 1) / temperature - 2
        covariance = (1 + q.beta[k]) / q.beta[k] * q.inverse_scale[k, 0] / (freedom - 2)
        torch.testing.assert_close(torch.cov(rows.T), covariance, rtol=0.2, atol=0.1 * float(covariance.trace()))


def test_at_temperature_zero_the_mode_is_drawn(unequal):
    gmm = unequal.modules["gmm"]
    drawn = generate(unequal, n=3, temperature=0)
    assert (drawn["gmm.c"] == gmm.weights.argmax()).all()
    torch.testing.assert_close(drawn["data"], gmm.means[drawn["gmm.c"]])


def test_a_network_draws_its_latents_at_the_temperature() -> None:
    graph = ModelGraph(pixels=(data := Observation(intensities(40))), vae=(vae := VAE(2, hidden=(4,), batch_size=16)))
    graph.connect(data.value, vae.x)
    fit(graph)
    z = generate(graph, n=20_000, temperature=0.25)["vae.z"]
    torch.testing.assert_close(torch.cov(z.T), 0.25 * torch.eye(2), rtol=0, atol=5 * 0.25 * (2 / 20_000) ** 0.5)


def test_what_is_believed_of_clamped_data_is_drawn_at_the_temperature(images: ModelGraph) -> None:
    image = dense(images.observations["pixels"])[7]
    belief = infer(images, {"pixels": image[None]})["vae.z"]
    assert isinstance(belief, Gaussian)
    drawn = generate(images, {"pixels": image}, n=20_000, temperature=4.0)["vae.z"]
    torch.testing.assert_close(drawn.var(0), 4 * belief.variance[0], rtol=0.06, atol=0)
    assert torch.equal(generate(images, {"pixels": image}, temperature=0)["vae.z"], belief.mean)


def test_temperatures_that_nothing_is_drawn_at(unequal, images: ModelGraph) -> None:
    for temperature in (-0.5, float("nan"), float("inf")):
        with refused(DataError, "temperature of 0 or more", str(temperature)):
            generate(images, temperature=temperature)
    smallest = int(unequal.modules["gmm"].weights.argmin())
    with refused(DataError, "temperature below", "gmm", "got 1000"):
        generate(unequal, {"gmm.c": smallest}, temperature=1000.0)


def test_a_module_that_knows_no_temperature_is_named() -> None:
    graph = ModelGraph(data=(data := observed()), noisy=(noisy := Noisy()))
    graph.connect(data.value, noisy.y)
    fit(graph)
    with refused(CapabilityError, "noisy (Noisy)", "draw at a temperature", "temperature=1.0"):
        generate(graph, temperature=0.5)
    known = {"data": torch.zeros(2), "noisy.z": torch.zeros(2)}
    assert (generate(graph, known, temperature=0.5)["data"] == 0).all()
