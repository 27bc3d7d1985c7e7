"""Learning: reproducible to the bit, undone where it fails, stopped where F stands still."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch

from pgmgraph import Categorical, Gaussian, Guarantee, ModelGraph, Observation, fit, generate, infer
from pgmgraph.config import from_config, to_config
from pgmgraph.errors import DataError, DivergedError, NotFittedError
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.vae import VAE
from tests.refusals import refused
from tests.toys import (
    Centre,
    Failing,
    Noisy,
    Regression,
    Speaking,
    StochasticDrifting,
    Walk,
    Weights,
    blobs,
    intensities,
    observed,
)

Build = Callable[[], ModelGraph]


def mixture(values: torch.Tensor | None = None, missing: torch.Tensor | None = None) -> ModelGraph:
    data = Observation(blobs(45)[0] if values is None else values, missing=missing)
    graph = ModelGraph(data=data, gmm=(gmm := GMM(3, starts=2)))
    graph.connect(data.value, gmm.x)
    return graph


def vae_mixture(**options: object) -> ModelGraph:
    data = Observation(intensities(40))
    vae, gmm = VAE(2, hidden=(4,), batch_size=16, lr=1e-2, **options), GMM(2, starts=2)  # type: ignore[arg-type]
    graph = ModelGraph(pixels=data, vae=vae, gmm=gmm)
    graph.connect(data.value, vae.x)
    graph.connect(vae.z, gmm.x)
    return graph


def chain(parent: Centre | None = None) -> ModelGraph:
    data, noisy, centre = observed(), Noisy(), parent or Centre()
    graph = ModelGraph(data=data, noisy=noisy, centre=centre)
    graph.connect(data.value, noisy.y)
    graph.connect(noisy.z, centre.x)
    return graph


def same(one: object, other: object) -> bool:
    """Bitwise equality of states, messages and results."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    return one == other


def states(graph: ModelGraph) -> dict[str, object]:
    return {name: module.state_dict() for name, module in graph.modules.items()}  # type: ignore[attr-defined]


def moments(result_beliefs: object, name: str) -> tuple[torch.Tensor, ...]:
    belief = result_beliefs[name]  # type: ignore[index]
    return tuple(getattr(belief, part) for part in belief.per_item)


@pytest.mark.parametrize("build", [mixture, vae_mixture, chain])
def test_the_same_seed_gives_the_same_result_to_the_bit(build: Build) -> None:
    one, other = build(), build()
    first, second = fit(one, rounds=3, seed=7), fit(other, rounds=3, seed=7)
    assert same(states(one), states(other))
    assert [entry.terms for entry in first.trace] == [entry.terms for entry in second.trace]
    assert all(same(moments(first.beliefs, name), moments(second.beliefs, name)) for name in first.beliefs)


def test_another_seed_gives_another_result() -> None:
    one, other = vae_mixture(), vae_mixture()
    fit(one, seed=0)
    fit(other, seed=1)
    assert not same(states(one), states(other))


def test_an_unrelated_module_disturbs_nobody():
    alone, together = vae_mixture(), ModelGraph()
    more, walk, extra = observed(n=9), Walk(), VAE(2, hidden=(3,), likelihood="gaussian")
    second = vae_mixture()
    together.add("more", more)
    together.add("walk", walk)
    together.add("extra", extra)
    together.connect(more.value, walk.x)
    together.connect(more.value, extra.x)
    more.plate = "elsewhere"
    for name in ("pixels", "vae", "gmm"):
        together.add(name, second[name])
    together.connect(second.observations["pixels"].value, second.modules["vae"].x)
    together.connect(second.modules["vae"].z, second.modules["gmm"].x)
    first, result = fit(alone, rounds=3), fit(together, rounds=3)
    assert same(states(alone)["vae"], states(together)["vae"])
    assert same(states(alone)["gmm"], states(together)["gmm"])
    last = first.trace[-1].terms
    terms = [entry.terms for entry in result.trace if entry.terms]
    assert not terms or {name: terms[-1][name] for name in last} == last


def test_nobody_elses_generators_are_touched():
    graph = vae_mixture()
    graph.add("walk", walk := Walk())
    graph.connect(graph.observations["pixels"].value, walk.x)
    torch.manual_seed(5)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    fit(graph, rounds=2)
    infer(graph)
    graph = vae_mixture()
    fit(graph)
    generate(graph, n=3)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()
    assert random.getstate() == before[2]


def test_the_state_of_the_worlds_generators_does_not_matter() -> None:
    one, other = vae_mixture(), vae_mixture()
    torch.manual_seed(1)
    fit(one)
    torch.manual_seed(2)
    np.random.seed(3)
    fit(other)
    assert same(states(one), states(other))


@pytest.mark.parametrize("build", [mixture, vae_mixture])
def test_going_on_is_the_same_as_never_having_stopped(build: Build) -> None:
    whole, parts = build(), build()
    expected = fit(whole, rounds=5)
    fit(parts, rounds=2)
    result = fit(parts, rounds=3)
    assert same(states(whole), states(parts))
    assert all(same(moments(result.beliefs, name), moments(expected.beliefs, name)) for name in expected.beliefs)
    assert result.history["F"] == expected.history["F"][2:]
    assert parts.rounds_done == whole.rounds_done == 5
    assert [entry.round for entry in result.trace] == [entry.round for entry in expected.trace][-len(result.trace) :]


def test_going_on_without_the_objective_learns_the_same() -> None:
    one, other = vae_mixture(), vae_mixture()
    fit(one, rounds=3)
    fit(other, rounds=3, objective=False)
    assert same(states(one), states(other))


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("no")])
def test_a_failed_update_leaves_the_last_good_state(error: BaseException) -> None:
    data, walk, failing = observed(), Walk(), Failing(error, at=2)
    graph = ModelGraph(data=data, walk=walk, failing=failing)
    graph.connect(data.value, walk.x)
    graph.connect(data.value, failing.x)
    fit(graph, rounds=2)
    before = copy.deepcopy(states(graph)["failing"])
    with pytest.raises(type(error)):
        fit(graph, rounds=3)
    assert same(states(graph)["failing"], before)
    assert graph.rounds_done == 2
    failing.at = -1
    fit(graph)  # and it learns on
    assert len(failing.path) == 3


@pytest.mark.filterwarnings("ignore:Encountered NaN")  # Pyro's own warning
def test_a_loss_that_turns_nan_stops_the_run() -> None:
    data, regression = observed(n=20), Regression(breaks=3)
    graph = ModelGraph(data=data, regression=regression)
    graph.connect(data.value, regression.x)
    fit(graph, rounds=3)
    before = copy.deepcopy(states(graph))
    with refused(DivergedError, "loss of regression", "round 3", "minibatch 2", "is as it was before") as caught:
        fit(graph, rounds=2)
    assert (caught.value.module, caught.value.round, caught.value.minibatch) == ("regression", 3, 2)
    assert same(states(graph), before)
    regression.breaks = None
    fit(graph)
    assert not same(states(graph), before)


def test_a_message_that_turns_nan_stops_the_run() -> None:
    data, speaking = observed(), Speaking(at=1)
    graph = ModelGraph(data=data, speaking=speaking)
    graph.connect(data.value, speaking.x)
    fit(graph)
    before = copy.deepcopy(states(graph))
    with refused(DivergedError, "Gaussian.mean from speaking.z", "1 of 12 rows", "Round 1"):
        fit(graph)
    assert same(states(graph), before)


def test_a_vae_whose_learning_rate_is_absurd_is_put_back():
    graph = vae_mixture()
    fit(graph, rounds=1)
    before = copy.deepcopy(states(graph))
    vae = graph.modules["vae"]
    for group in vae._optimiser.param_groups:
        group["lr"] = 1e30
    with pytest.raises(DivergedError, match="turned nan in round 1, epoch 0, minibatch 1"):
        fit(graph, rounds=3)
    assert graph.rounds_done == 1
    assert same(states(graph)["gmm"], before["gmm"])
    after = states(graph)["vae"]
    assert isinstance(after, dict)
    assert isinstance(before["vae"], dict)
    assert same(after["networks"], before["vae"]["networks"])


def test_missing_rows_are_as_if_they_were_not_there() -> None:
    values, _ = blobs(45)
    mask = torch.zeros(45, dtype=torch.bool)
    mask[[0, 7, 30]] = True
    broken = values.clone()
    broken[mask] = torch.nan
    with_gaps, without = mixture(broken, mask), mixture(values[~mask])
    first, second = fit(with_gaps, rounds=3, strict=True), fit(without, rounds=3, strict=True)
    assert same(states(with_gaps), states(without))
    assert first.history["F"] == second.history["F"]
    c, expected = first.beliefs["gmm.c"], second.beliefs["gmm.c"]
    assert isinstance(c, Categorical)
    assert isinstance(expected, Categorical)
    assert torch.equal(c.probs[~mask], expected.probs)
    assert torch.equal(c.missing_rows(), mask)


def test_missing_rows_are_missing_all_the_way_up() -> None:
    values = intensities(40)
    mask = torch.arange(40) % 10 == 3
    data, vae, gmm = Observation(values, missing=mask), VAE(2, hidden=(4,)), GMM(2, starts=1)
    graph = ModelGraph(pixels=data, vae=vae, gmm=gmm)
    graph.connect(data.value, vae.x)
    graph.connect(vae.z, gmm.x)
    result = fit(graph, rounds=2)
    for name in ("vae.z", "gmm.c"):
        assert torch.equal(result.beliefs[name].missing_rows(), mask)
    assert gmm.context.plate_size == 36


def test_frozen_modules_do_not_change_and_send_all_the_same() -> None:
    graph = vae_mixture()
    fit(graph)
    before = copy.deepcopy(states(graph))
    result = fit(graph, rounds=2, frozen=["vae"])
    assert same(states(graph)["vae"], before["vae"])
    assert not same(states(graph)["gmm"], before["gmm"])
    assert isinstance(result.beliefs["vae.z"], Gaussian)


def test_what_starts_from_data_is_not_frozen_before_it_has_seen_any():
    graph = mixture()
    with refused(NotFittedError, "Cannot freeze 'gmm'", "starts from data"):
        fit(graph, frozen=["gmm"])
    assert not hasattr(graph.modules["gmm"], "context")
    images = vae_mixture()
    result = fit(images, frozen=["vae"])  # an encoder sends without having learnt
    assert images.modules["vae"].context.updates == 0
    assert result.history["F"][-1] is not None


def test_a_mixture_whose_parent_comes_later():
    graph = mixture()
    alone = fit(graph, rounds=2).trace[-1]
    graph.add("weights", weights := Weights())
    graph.connect(graph.modules["gmm"].c, weights.c)
    joint = fit(graph, rounds=2, strict=True).trace[-1]
    assert set(joint.terms["gmm"]) == {"log p(x|c)", "-KL components"} < set(alone.terms["gmm"])


def test_all_rounds_without_tol() -> None:
    result = fit(mixture(), rounds=4)
    assert (result.rounds, result.reason) == (4, "rounds")
    assert [len(column) for column in result.history.values()] == [4, 4]
    assert result.seconds > 0


@pytest.mark.parametrize("patience", [1, 3])
def test_a_mixture_converges(patience: int) -> None:
    result = fit(mixture(), rounds=60, tol=1e-6, patience=patience)
    assert result.reason == "converged"
    assert result.rounds < 60
    f = [value for value in result.history["F"] if value is not None]
    rises = [abs(after - before) / abs(after) for before, after in pairwise(f)]
    assert all(rise <= 1e-6 for rise in rises[-patience:])
    assert len(rises) == patience or not all(rise <= 1e-6 for rise in rises[-patience - 1 :])


def test_a_fall_is_never_convergence() -> None:
    result = fit(chain(StochasticDrifting()), rounds=8, tol=1e-9, patience=1)
    assert (result.reason, result.rounds) == ("rounds", 8)
    f = [value for value in result.history["F"] if value is not None]
    assert f[-1] < f[0]


def test_without_a_guarantee_nothing_stops_early() -> None:
    class Promising(Centre):
        guarantee: Guarantee = "none"

    assert fit(chain(), rounds=30, tol=1.0, patience=2).reason == "converged"
    assert fit(chain(Promising()), rounds=30, tol=1.0, patience=2).rounds == 30
    assert fit(vae_mixture(kl_weight=0.5), rounds=4, tol=10.0, patience=1).rounds == 4


def test_a_fit_on_other_data_goes_on_from_what_was_learnt():
    graph = mixture()
    fit(graph, rounds=5)
    before = graph.modules["gmm"].means.clone()
    values, _ = blobs(90)
    result = fit(graph, {"data": values}, rounds=1)
    assert len(result.beliefs["gmm.c"]) == 90
    torch.testing.assert_close(graph.modules["gmm"].means, before, atol=1.0, rtol=0)  # labels have not jumped


def test_one_minibatch_or_many_learn_the_same():
    whole, pieces = chain(), chain()
    for module in pieces.modules.values():
        module.at_once = 5
    fit(whole, rounds=4, strict=True)
    fit(pieces, rounds=4, strict=True)
    torch.testing.assert_close(whole.modules["centre"].mean, pieces.modules["centre"].mean, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(whole.modules["noisy"].shift, pieces.modules["noisy"].shift, rtol=1e-12, atol=1e-12)


def test_a_placeholder_is_nothing_to_learn_from():
    graph = from_config(to_config(mixture()))
    with refused(DataError, "'data'", "placeholder", "fit(graph, {'data': values})") as caught:
        fit(graph)
    assert caught.value.observation == "data"
    assert fit(graph, {"data": blobs(45)[0]}).rounds == 1


def test_the_order_is_that_of_the_modules_whenever_observations_were_added():
    first = ModelGraph(a=GMM(2), data=Observation(blobs(9)[0]), more=Observation(blobs(9)[0]), b=GMM(2))
    first.connect(first["data"].value, first["b"].x)
    first.connect(first["more"].value, first["a"].x)
    assert first.bottom_up() == from_config(to_config(first)).bottom_up() == ("a", "b")
