"""What is learnt first is learnt once, is the same when it is read, and is copied for each scheme."""

import numpy as np
import pytest
import torch

from benchmarks import first_learning as module
from benchmarks.first_learning import first_learning
from pgmgraph import Observation
from pgmgraph_modules.vae import Ramp

ARGUMENTS = {"latent_dim": 2, "hidden": (8,), "batch_size": 50, "first_epochs": 3, "kl_weight": Ramp(0.05, 1.0, 4)}


@pytest.fixture
def pixels():
    values = np.random.default_rng(0).integers(256, size=(100, 64), dtype=np.uint8)
    return Observation(values, scale=1 / 255)


@pytest.fixture
def fits(monkeypatch):
    """The calls of `fit`, with the VAE that each had."""
    calls = []

    def fit(graph, **arguments):
        calls.append(graph.modules["vae"])
        return original(graph, **arguments)

    original = module.fit
    monkeypatch.setattr(module, "fit", fit)
    return calls


def parameters(first):
    return [*first.encoder.parameters(), *first.decoder.parameters()]


def same(one, other):
    return all(torch.equal(mine, theirs) for mine, theirs in zip(parameters(one), parameters(other), strict=True))


def learnt(pixels, folder, seed=0, **changes):
    return first_learning(pixels, {**ARGUMENTS, **changes}, seed, "cpu", folder)


def test_it_learns_all_first_epochs_but_one_at_the_first_weight_and_once(pixels, fits, tmp_path):
    one = learnt(pixels, tmp_path)
    other = learnt(pixels, tmp_path)
    [vae] = fits
    assert vae.epochs == 2
    assert vae.kl_weight == 0.05
    assert same(one, other)
    assert (one.seconds, one.cpu_seconds) == (other.seconds, other.cpu_seconds)


def test_what_plays_no_part_in_it_does_not_make_it_learn_again(pixels, fits, tmp_path):
    learnt(pixels, tmp_path)
    learnt(pixels, tmp_path, send="mean", epochs=7, kl_weight=Ramp(0.05, 2.0, 9))
    assert len(fits) == 1


@pytest.mark.parametrize(
    "changes", [{"seed": 1}, {"hidden": (9,)}, {"first_epochs": 4}, {"kl_weight": 1.0}, {"precision": "bf16"}]
)
def test_what_plays_a_part_does(pixels, fits, tmp_path, changes):
    learnt(pixels, tmp_path)
    learnt(pixels, tmp_path, **changes)
    assert len(fits) == 2


def test_other_images_make_it_learn_again(pixels, fits, tmp_path):
    learnt(pixels, tmp_path)
    other = pixels.point.value.clone()
    other[3, 5] ^= 1
    learnt(Observation(other, scale=1 / 255), tmp_path)
    assert len(fits) == 2


def test_each_scheme_gets_copies_with_one_epoch_to_come(pixels, tmp_path):
    first = learnt(pixels, tmp_path)
    one, other = first.arguments(ARGUMENTS), first.arguments(ARGUMENTS)
    assert one["first_epochs"] == 1
    assert one["kl_weight"] == ARGUMENTS["kl_weight"]
    assert "hidden" not in one
    with torch.no_grad():
        next(one["encoder"].parameters()).zero_()
    assert same(first, learnt(pixels, tmp_path))
    assert next(other["encoder"].parameters()).any()
