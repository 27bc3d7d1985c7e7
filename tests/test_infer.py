"""Inference: what was learnt, asked of data; nothing changes by it."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pgmgraph import (
    Beliefs,
    Categorical,
    Gaussian,
    ModelGraph,
    Observation,
    Point,
    fit,
    infer,
    infer_blocks,
)
from pgmgraph.errors import DataError, NotFittedError, UnknownNameError
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.vae import VAE
from tests.refusals import refused
from tests.toys import Centre, Gathering, Noisy, Sink, Walk, blobs, intensities, observed


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


def assert_equal(one: Beliefs, other: Beliefs) -> None:
    """The same messages, bit for bit."""
    assert list(one) == list(other)
    for name, message in one.items():
        assert torch.equal(message.missing_rows(), other[name].missing_rows())
        for field in message.per_item:
            assert torch.equal(getattr(message, field), getattr(other[name], field))


@pytest.mark.parametrize("batch_size", [1, 7, 12, 100])
def test_blocks_are_the_whole(batch_size: int) -> None:
    """Messages that go round included, where every row comes to stand still in the same round."""
    graph = chain()
    fit(graph, rounds=3)
    values = torch.randn(12, 2, generator=torch.Generator().manual_seed(4)).double()
    data = {"data": Observation(values, missing=torch.arange(12) % 5 == 0)}
    whole = infer(graph, data, predict=["data"], draws=0)
    assert_equal(infer(graph, data, predict=["data"], draws=0, batch_size=batch_size), whole)
    blocks = list(infer_blocks(graph, data, predict=["data"], draws=0, batch_size=batch_size))
    assert [len(block["noisy.z"]) for block in blocks] == [len(part) for part in values.split(batch_size)]
    assert_equal(Beliefs.concatenate(blocks), whole)


def test_blocks_of_a_network_and_a_mixture_are_the_whole() -> None:
    graph, images = vae_mixture(), intensities(5_000)
    fit(graph, rounds=2)
    whole = infer(graph, {"pixels": images}, predict=["pixels"])
    parts = infer(graph, {"pixels": images}, predict=["pixels"], batch_size=2_048)
    for name, message in whole.items():
        for field in message.per_item:
            # Other sizes of matrix products round otherwise.
            torch.testing.assert_close(getattr(parts[name], field), getattr(message, field), rtol=1e-5, atol=1e-6)


def test_blocks_without_any_row_that_is_there_are_flagged() -> None:
    for graph in (vae_mixture(), chain()):
        [name] = graph.observations
        fit(graph, rounds=2)
        values = torch.rand(9, *graph.observations[name].point.event_shape)
        mask = torch.tensor([False, True, False, True, True, True, False, False, False])
        data = {name: Observation(values, missing=mask)}
        whole = infer(graph, data, predict=[name], draws=0)
        parts = infer(graph, data, predict=[name], draws=0, batch_size=3)
        for variable, message in parts.items():
            assert torch.equal(message.missing_rows(), mask)
            assert torch.equal(whole[variable].missing_rows(), mask)
            for field in message.per_item:
                torch.testing.assert_close(getattr(message, field), getattr(whole[variable], field))


def test_a_module_that_sends_draws_has_noise_of_its_own_in_every_block() -> None:
    data, vae, sink = Observation(intensities(40)), VAE(2, hidden=(4,), batch_size=16, send="sample"), Sink()
    graph = ModelGraph(pixels=data, vae=vae, sink=sink)
    graph.connect(data.value, vae.x)
    graph.connect(vae.z, sink.x)
    fit(graph)
    noise = []
    for block in infer_blocks(graph, {"pixels": intensities(40)[:1].expand(8, -1)}, batch_size=4):
        belief = block["vae.z"]
        assert isinstance(belief, Gaussian)
        assert isinstance(sink.seen, Gaussian)
        noise.append(sink.seen.mean - belief.mean)
    assert not torch.isclose(noise[0], noise[1]).any()


def test_that_beliefs_still_change_is_said_once() -> None:
    graph = chain(learn_shift=False)
    fit(graph, rounds=2)
    with pytest.warns(UserWarning, match="still change after 1 rounds") as caught:
        infer(graph, rounds=1, batch_size=3)
    assert len(caught) == 1


class Whole(Walk):
    """Takes the whole plate at once."""

    at_once = None


def test_a_module_that_takes_the_plate_at_once_is_given_it_unless_told_otherwise(monkeypatch) -> None:
    monkeypatch.setattr(sys.modules["pgmgraph.infer"], "_BATCH_SIZE", 5)
    for module, sizes in ((Walk(), [5, 5, 2]), (Whole(), [12])):
        graph = ModelGraph(data=(data := observed()), module=module, noisy=(noisy := Noisy()))
        graph.connect(data.value, module.x)
        graph.connect(data.value, noisy.y)
        fit(graph)
        assert [len(block["noisy.z"]) for block in infer_blocks(graph)] == sizes
        assert [len(block["noisy.z"]) for block in infer_blocks(graph, batch_size=8)] == [8, 4]


def test_several_plates_are_inferred_whole() -> None:
    few, many = Observation(torch.randn(3, 2)), Observation(torch.randn(8, 2), plate="others")
    low, high = Noisy(), Noisy()
    graph = ModelGraph(few=few, many=many, low=low, high=high)
    graph.connect(few.value, low.y)
    graph.connect(many.value, high.y)
    fit(graph)
    beliefs = infer(graph)
    assert (len(beliefs["low.z"]), len(beliefs["high.z"])) == (3, 8)
    with refused(DataError, "one plate", "2 rows at a time", "items", "others", "Leave batch_size out"):
        infer(graph, batch_size=2)


def test_what_is_wrong_is_said_before_the_first_block() -> None:
    graph = chain()
    with refused(NotFittedError, "noisy"):
        infer_blocks(graph)
    fit(graph)
    with refused(UnknownNameError, "'dat'", "Did you mean 'data'?"):
        infer_blocks(graph, {"dat": torch.zeros(3, 2)})
    for size in (0, -1):
        with refused(DataError, "batch_size of at least 1", str(size)):
            infer_blocks(graph, batch_size=size)


MEMORY = """
import sys
import numpy as np
from pgmgraph import ModelGraph, Observation, fit, infer_blocks, save_beliefs
from pgmgraph_modules.vae import VAE

def own():
    [line] = [line for line in open("/proc/self/status") if line.startswith("RssAnon")]
    return int(line.split()[1]) / 1024

data, vae = Observation(np.ones((10, 512), np.uint8), scale=1 / 255), VAE(2, hidden=(4,))
graph = ModelGraph(data=data, vae=vae)
graph.connect(data.value, vae.x)
fit(graph)
big = np.memmap(sys.argv[1] + "/big", np.uint8, "w+", shape=(600_000, 512))
before, most = own(), 0.0

def watched():
    global most
    for block in infer_blocks(graph, {"data": big}, batch_size=8192):
        most = max(most, own() - before)
        yield block

save_beliefs(watched(), sys.argv[1] + "/beliefs.npz")
print(most)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read off Linux's /proc")
def test_memory_stays_flat_whatever_the_size_of_the_data(tmp_path: Path) -> None:
    """300 MB of bytes, which the network takes as 1.2 GB of floats."""
    command = [sys.executable, "-c", MEMORY, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100)
    (tmp_path / "big").unlink()
    assert float(done.stdout) < 50  # MB
    z = Beliefs.load(tmp_path / "beliefs.npz")["vae.z"]
    assert isinstance(z, Gaussian)
    assert z.mean.shape == (600_000, 2)
    assert torch.equal(z.mean, z.mean[:1].expand(600_000, -1))
