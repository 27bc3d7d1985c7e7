"""The engine: set-up once, seeds of one's own, what may change between two fits and what may not."""

from __future__ import annotations

import pytest
import torch

from pgmgraph import Gaussian, ModelGraph, Observation, fit
from pgmgraph.engine import Engine, fitted, require_fitted, silent
from pgmgraph.errors import NotFittedError, ShapeError, UnknownNameError, WiringError
from pgmgraph.randomness import seed_of
from pgmgraph_modules.gmm import GMM
from tests.refusals import refused
from tests.toys import Centre, Noisy, Sink, Walk, observed


def chain() -> ModelGraph:
    data, noisy, centre = observed(), Noisy(), Centre()
    graph = ModelGraph(data=data, noisy=noisy, centre=centre)
    graph.connect(data.value, noisy.y)
    graph.connect(noisy.z, centre.x)
    return graph


def engine(graph: ModelGraph, seed: int = 0) -> Engine:
    return Engine(graph, None, seed=seed, device="cpu", executor=None, watcher=silent)


def test_an_update_reports_and_delivers() -> None:
    graph = chain()
    one = engine(graph)
    stage = one.update(["noisy"])
    [report] = one.wait(stage)
    assert (report.module, report.guarantee, stage.changed) == ("noisy", "exact", {"noisy.z"})
    assert one.update(["centre"]).changed == set()
    assert graph.calls == {"noisy": 1, "centre": 1}
    terms = one.evaluate(["noisy", "centre"])()
    assert terms["noisy"] is not None
    assert set(terms["noisy"].values) == {"log p(y|z)", "H[z]"}


def test_who_has_learnt():
    graph = chain()
    sink = Sink()
    graph.add("sink", sink)
    graph.connect(graph.modules["noisy"].z, sink.x)
    assert fitted(graph) == ("sink",)  # it has nothing to learn
    with refused(NotFittedError, "noisy has learnt nothing yet", "fit(graph") as caught:
        require_fitted(graph)
    assert caught.value.module == "noisy"
    fit(graph)
    assert fitted(graph) == ("noisy", "centre", "sink")
    require_fitted(graph)


def test_set_up_runs_on_a_seed_of_its_own_and_once() -> None:
    graph = chain()
    engine(graph, seed=4)
    noisy = graph.modules["noisy"]
    context = noisy.context
    assert context.seed == seed_of(4, "noisy", "setup", 0)
    engine(graph, seed=9)
    assert noisy.context is context


def test_calls_run_on_seeds_of_their_own() -> None:
    data, walk = observed(), Walk()
    graph = ModelGraph(data=data, walk=walk)
    graph.connect(data.value, walk.x)
    fit(graph, rounds=3)
    assert len(set(walk.path)) == 3
    for number, (drawn, _, _) in enumerate(walk.path):
        generator = torch.Generator().manual_seed(seed_of(0, "walk", "update", number))
        assert drawn == float(torch.rand((), generator=generator))


def test_shapes_stay_as_they_were_set_up() -> None:
    graph = chain()
    fit(graph)
    with refused(ShapeError, "(2,) at noisy.y", "as it was set up", "(3,)"):
        fit(graph, {"data": torch.zeros(5, 3)})
    fit(graph, {"data": torch.zeros(5, 2)})  # another N is another plate of the same kind


def test_names_of_data() -> None:
    with refused(UnknownNameError, "'noisy'", "It has: data"):
        fit(chain(), {"noisy": torch.zeros(5, 2)})


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_device_that_is_not_there() -> None:
    with refused(WiringError, "'cuda:0'", "no GPU", "device='auto'"):
        fit(chain(), device="cuda:0")


def test_order_in_a_graph_without_cycles() -> None:
    assert engine(chain()).order() == ("noisy", "centre")


def test_beliefs_are_the_engines_own() -> None:
    graph = chain()
    first, second = engine(graph), engine(graph)
    first.update(["noisy"])
    assert isinstance(first.mail.beliefs["noisy.z"], Gaussian)
    assert len(second.mail.beliefs) == 0


def test_data_of_the_graph_are_left_as_they_are() -> None:
    data, gmm = Observation(torch.randn(20, 2)), GMM(2, starts=1)
    graph = ModelGraph(data=data, gmm=gmm)
    graph.connect(data.value, gmm.x)
    result = fit(graph, {"data": torch.randn(30, 2)})
    assert len(result.beliefs["gmm.c"]) == 30
    assert len(graph.observations["data"]) == 20


def test_rows_are_laid_on_empty_wires() -> None:
    graph = chain()
    fit(graph)
    running = engine(graph)
    running.send("noisy")
    whole = running.mail.beliefs["noisy.z"]
    running.take(slice(3, 5))
    assert not running.mail.beliefs
    running.send("noisy", block=1)
    part = running.mail.beliefs["noisy.z"]
    assert isinstance(whole, Gaussian)
    assert isinstance(part, Gaussian)
    assert torch.equal(part.mean, whole.mean[3:5])
