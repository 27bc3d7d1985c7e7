"""A run: how it is wired, what it starts from and how it is scored."""

import numpy as np
import pytest
import torch

from benchmarks.digits import load
from benchmarks.schemes import SETTINGS, Scheme, plan, quick
from benchmarks.trial import can_embed, clusters, learn, observed, points, wire
from pgmgraph import Beliefs, Categorical, Gaussian, Point
from pgmgraph.errors import ShapeError

SETTING = quick(SETTINGS["mnist"])


@pytest.fixture(scope="module")
def digits():
    return load(SETTING.images, bundled=True)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def planned(name="", seed=0, **changes):
    schemes = {scheme.name: scheme for scheme in SETTING.schemes}
    scheme = schemes[name] if name else Scheme("made", **changes)
    return plan(SETTING, scheme, seed, "digits", SETTING.images)


def learnt(digits, cache, *given, **changes):
    heard = []
    return learn(planned(*given, **changes), digits, device="cpu", cache=cache, watch=heard.append), heard


def test_without_messages_back_a_run_is_the_same_until_the_first_message(digits, cache):
    mutual, _ = learnt(digits, cache, "expected")
    control, _ = learnt(digits, cache, "control")
    assert mutual.history["accuracy"][0] == control.history["accuracy"][0]
    assert mutual.F != control.F


def test_a_run_repeats_itself_and_follows_its_seed(digits, cache):
    one, _ = learnt(digits, cache, "expected")
    again, _ = learnt(digits, cache, "expected")
    other, _ = learnt(digits, cache, "expected", 1)
    assert (one.training, one.test, one.history["F"]) == (again.training, again.test, again.history["F"])
    assert one.history["F"] != other.history["F"]


def test_the_outcome_is_that_of_the_last_round_and_scikit_learn_is_beside_it_where_asked_for(digits, cache):
    outcome, heard = learnt(digits, cache, "expected")
    assert outcome.history["F"][-1] == outcome.F
    assert outcome.training.accuracy == outcome.history["accuracy"][-1]
    assert outcome.training.nmi == pytest.approx(outcome.history["nmi"][-1])
    assert len(outcome.history["F"]) == 2
    assert [type(event).__name__ for event in heard].count("RoundEnded") == 2
    assert outcome.peer is not None
    assert learnt(digits, cache, gmm={"starts": 1})[0].peer is None


def test_restarts_tell_the_objective_of_each_beginning(digits, cache):
    outcome, _ = learnt(digits, cache, vae={"kl_weight": 1.0}, gmm={"starts": 1}, fit={"restarts": 3})
    assert len(outcome.beginnings) == 3
    assert all(F is not None and np.isfinite(F) for F in outcome.beginnings)


def test_a_convolutional_vae_is_given_images_and_a_perceptron_rows(digits):
    flat = observed(digits.train_images, (8, 8), {})
    square = observed(digits.train_images, (8, 8), {"architecture": "conv"})
    assert flat.point.event_shape == (64,)
    assert square.point.event_shape == (8, 8)
    assert flat.value_range == square.value_range == (0.0, 1.0)
    conv = planned(vae={"architecture": "conv", "hidden": None})
    wire(conv, square).graph.check()
    with pytest.raises(ShapeError):
        wire(conv, flat).graph.check()


def test_the_graph_is_wired_as_planned(digits):
    pixels = observed(digits.train_images, (8, 8), {})
    for backward in (True, False):
        wired = wire(planned(backward=backward), pixels)
        [above] = wired.graph.wires_above("vae")
        assert above.variable == wired.latents == "vae.z"
        assert above.sends_back is backward


def test_points_are_means_or_values_and_clusters_the_most_probable_components():
    values = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert (points(Gaussian(values, torch.ones(2, 2))) == values.numpy()).all()
    assert (points(Point(values)) == values.numpy()).all()
    probs = torch.tensor([[0.2, 0.8], [0.9, 0.1]], dtype=torch.float64)
    assert clusters(Beliefs({"gmm.c": Categorical(probs)})).tolist() == [1, 0]


@pytest.mark.slow
@pytest.mark.skipif(not can_embed(), reason="wants umap-learn")
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("embedding", ["wired", "after"])
def test_umap_stands_in_the_graph_or_above_it(digits, cache, embedding):
    setting = quick(SETTINGS["best"])
    [scheme] = [one for one in setting.schemes if one.embedding == embedding]
    made = plan(setting, scheme, 0, "digits", setting.images)
    outcome = learn(made, digits, device="cpu", cache=cache, watch=lambda event: None)
    assert outcome.training.accuracy > 0.3
    assert outcome.peer is not None
