"""Inference: what was learnt, asked of data; nothing changes by it."""

from __future__ import annotations

import copy

import pytest
import torch

from pgmgraph import Categorical, Gaussian, ModelGraph, Observation, Point, fit, infer
from pgmgraph.errors import NotFittedError, UnknownNameError
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.vae import VAE
from tests.refusals import refused
from tests.toys import Centre, Gathering, Noisy, Sink, blobs, intensities, observed


def vae_mixture() -> ModelGraph:
    data, vae, gmm = Observation(intensities(40)), VAE(2, hidden=(4,), batch_size=16, lr=1e-2), GMM(2, starts=2)
    graph = ModelGraph(pixels=data, vae=vae, gmm=gmm)
    graph.connect(data.value, vae.x)
    graph.connect(vae.z, gmm.x)
    return graph


def chain(learn_shift: bool = True) -> ModelGraph:
    data, noisy, centre = observed(), Noisy(learn_shift=learn_shift), Centre()
    graph = ModelGraph(data=data, noisy=noisy, centre=centre)
    graph.connect(data.value, noisy.y)
    graph.connect(noisy.z, centre.x)
    return graph


def test_on_the_data_of_training_it_gives_the_beliefs_of_the_last_round() -> None:
    graph = vae_mixture()
    result = fit(graph, rounds=3)
    for beliefs in (infer(graph), infer(graph, {"pixels": intensities(40)})):
        assert torch.equal(beliefs["vae.z"].mean, result.beliefs["vae.z"].mean)  # type: ignore[attr-defined]
        assert torch.equal(beliefs["vae.z"].variance, result.beliefs["vae.z"].variance)  # type: ignore[attr-defined]
        torch.testing.assert_close(beliefs["gmm.c"].probs, result.beliefs["gmm.c"].probs)  # type: ignore[attr-defined]


def test_where_beliefs_depend_on_what_comes_from_above_messages_go_round_until_they_stand_still() -> None:
    graph = chain(learn_shift=False)
    result = fit(graph, rounds=400)
    found, expected = infer(graph)["noisy.z"], result.beliefs["noisy.z"]
    assert isinstance(found, Gaussian)
    assert isinstance(expected, Gaussian)
    torch.testing.assert_close(found.mean, expected.mean, rtol=1e-6, atol=1e-6)
    with pytest.warns(UserWarning, match=r"still change after 1 rounds.*rounds=n"):
        infer(graph, rounds=1)


def test_rows_of_an_amortised_graph_do_not_depend_on_one_another() -> None:
    graph = vae_mixture()
    fit(graph, rounds=2)
    whole, part = infer(graph), infer(graph, {"pixels": intensities(40)[5:9]})
    torch.testing.assert_close(part["vae.z"].mean, whole["vae.z"].mean[5:9])  # type: ignore[attr-defined]
    torch.testing.assert_close(part["gmm.c"].probs, whole["gmm.c"].probs[5:9])  # type: ignore[attr-defined]


def test_nothing_changes_by_it():
    graph = vae_mixture()
    fit(graph, rounds=2)
    vae, gmm = graph.modules["vae"], graph.modules["gmm"]
    weights = [parameter.clone() for parameter in vae.encoder.parameters()]
    state, rounds, calls = copy.deepcopy(gmm.state_dict()), graph.rounds_done, dict(graph.calls)
    infer(graph, {"pixels": torch.zeros(3, 8)}, predict=["pixels"])
    assert all(torch.equal(a, b) for a, b in zip(weights, vae.encoder.parameters(), strict=True))
    assert torch.equal(gmm.state_dict()["posterior"]["mean"], state["posterior"]["mean"])
    assert (graph.rounds_done, dict(graph.calls)) == (rounds, calls)
    again, other = vae_mixture(), vae_mixture()
    fit(again, rounds=1)
    infer(again, {"pixels": torch.zeros(3, 8)})
    fit(again, rounds=1)
    fit(other, rounds=2)
    assert torch.equal(again.modules["gmm"].means, other.modules["gmm"].means)


def test_before_fit_it_is_refused_and_sets_nothing_up():
    graph, other = vae_mixture(), vae_mixture()
    with refused(NotFittedError, "vae has learnt nothing yet", "fit(graph, rounds=...)"):
        infer(graph, seed=3)
    assert not hasattr(graph.modules["vae"], "context")
    fit(graph, seed=1)
    fit(other, seed=1)
    assert torch.equal(graph.modules["gmm"].means, other.modules["gmm"].means)


def test_unknown_names() -> None:
    graph = vae_mixture()
    fit(graph)
    with refused(UnknownNameError, "No observation named 'pixel'", "Did you mean 'pixels'?", "It has: pixels"):
        infer(graph, {"pixel": intensities(3)})
    with refused(UnknownNameError, "'vae'", "It has: pixels"):
        infer(graph, {"vae": intensities(3)})
    with refused(UnknownNameError, "No observation named 'pixls' to predict", "Did you mean 'pixels'?"):
        infer(graph, predict=["pixls"])
    with refused(UnknownNameError, "No belief about 'gmm.z'", "gmm.c"):
        infer(graph)["gmm.z"]


def test_missing_rows_have_beliefs_that_are_flagged() -> None:
    values, _ = blobs(30)
    graph = ModelGraph(data=(data := Observation(values)), gmm=(gmm := GMM(3, starts=2)))
    graph.connect(data.value, gmm.x)
    fit(graph, rounds=3)
    mask = torch.arange(30) < 4
    whole, gaps = infer(graph), infer(graph, {"data": Observation(values, missing=mask)})
    c, expected = gaps["gmm.c"], whole["gmm.c"]
    assert isinstance(c, Categorical)
    assert isinstance(expected, Categorical)
    assert torch.equal(c.missing_rows(), mask)
    torch.testing.assert_close(c.probs[~mask], expected.probs[~mask])
    torch.testing.assert_close(c.probs.sum(1), torch.ones(30, dtype=torch.float64))


def test_observations_that_are_not_given_are_missing() -> None:
    sound, image = observed(n=10), observed(n=10, seed=1)
    low, high, top = Noisy(), Noisy(), Sink()
    graph = ModelGraph(sound=sound, image=image, low=low, high=high, top=top)
    graph.connect(sound.value, low.y)
    graph.connect(image.value, high.y)
    graph.connect(high.z, top.x)
    fit(graph)
    beliefs = infer(graph, {"sound": torch.zeros(4, 2)})
    assert len(beliefs["low.z"]) == len(beliefs["high.z"]) == 4
    assert beliefs["low.z"].missing is None
    assert beliefs["high.z"].missing_rows().all()


def test_predictions_are_what_the_model_sees():
    graph = chain()
    fit(graph, rounds=3)
    beliefs = infer(graph, predict=["data"])
    predicted, z = beliefs["data"], beliefs["noisy.z"]
    assert isinstance(predicted, Point)
    assert isinstance(z, Gaussian)
    torch.testing.assert_close(predicted.value, z.mean + graph.modules["noisy"].shift)
    images = vae_mixture()
    fit(images)
    seen = infer(images, {"pixels": intensities(5)}, predict=["pixels"])["pixels"]
    assert isinstance(seen, Point)
    assert seen.value.shape == (5, 8)
    assert ((seen.value > 0) & (seen.value < 1)).all()


def test_modules_that_learn_nothing_need_no_fit() -> None:
    one, module = Observation(torch.ones(3, 2)), Gathering()
    graph = ModelGraph(one=one, module=module)
    graph.connect(one.value, module.x["a"])
    graph.add("two", two := Observation(torch.full((3, 2), 2.0)))
    graph.connect(two.value, module.x["b"])
    z = infer(graph)["module.z"]
    assert isinstance(z, Gaussian)
    assert (z.mean == 3.0).all()
