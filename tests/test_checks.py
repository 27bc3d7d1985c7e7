"""Every mismatch is found before anything is computed."""

from __future__ import annotations

import torch

from pgmgraph import Gaussian, In, ModelGraph, Module, Observation, Out, Outbox, Point, fit
from pgmgraph.errors import ShapeError, WiringError
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.vae import VAE
from tests.refusals import refused
from tests.toys import Centre, Gathering, Noisy, Relay, Sink, Walk, observed


def test_a_required_port_left_open() -> None:
    noisy, centre, data = Noisy(), Centre(), observed()
    graph = ModelGraph(data=data, noisy=noisy, centre=centre)
    graph.connect(data.value, noisy.y)
    with refused(WiringError, "a wire at centre.x, which takes Gaussian", "open", "graph.connect(") as caught:
        fit(graph)
    assert caught.value.ports == ("centre.x",)
    assert not hasattr(noisy, "context")  # nothing was computed


def test_several_types_are_all_named() -> None:
    with refused(WiringError, "sink.x, which takes Gaussian or Point"):
        ModelGraph(sink=Sink()).check()


def test_an_optional_port_may_stay_open() -> None:
    class Easy(Walk):
        w = In(Point, optional=True)

        def send(self, x, w):
            self.got = w
            return Outbox()

    easy, data = Easy(), observed()
    graph = ModelGraph(data=data, easy=easy)
    graph.connect(data.value, easy.x)
    fit(graph)
    assert easy.got is None


def test_an_observation_that_nobody_explains() -> None:
    noisy, data, idle = Noisy(), observed(), observed()
    graph = ModelGraph(data=data, noisy=noisy, idle=idle)
    graph.connect(data.value, noisy.y)
    with refused(WiringError, "'idle' is connected to nothing", "graph.connect(idle.value"):
        graph.check()


def test_a_graph_without_modules() -> None:
    with refused(WiringError, "at least one module", "ModelGraph(gmm=GMM(...))"):
        ModelGraph().check()


def test_images_do_not_go_where_vectors_are_expected() -> None:
    data, gmm = Observation(torch.zeros(4, 5, 5)), GMM(2)
    graph = ModelGraph(pixels=data, gmm=gmm)
    graph.connect(data.value, gmm.x)
    with refused(
        ShapeError, "vectors (D,) at gmm.x", "(5, 5) from pixels.value", "Reshape the data to N x D"
    ) as caught:
        graph.check()
    assert caught.value.ports == ("pixels.value", "gmm.x")


def test_a_module_may_state_what_it_expects() -> None:
    data, vae, gmm = Observation(torch.zeros(4, 5)), VAE(3, hidden=(2,)), GMM(2, mean=[0.0, 0.0])
    graph = ModelGraph(pixels=data, vae=vae, gmm=gmm)
    graph.connect(data.value, vae.x)
    graph.connect(vae.z, gmm.x)
    with refused(ShapeError, "shape (2,) at gmm.x", "(3,) from vae.z") as caught:
        graph.check()
    assert caught.value.ports == ("vae.z", "gmm.x")


def test_shapes_of_out_ports_must_be_stated() -> None:
    class Vague(Module):
        x = In(Point)
        z = Out(Gaussian)

        def event_shapes(self, x):
            return {}

        def send(self, x, z):
            raise NotImplementedError

    data, vague = observed(), Vague()
    graph = ModelGraph(data=data, vague=vague)
    graph.connect(data.value, vague.x)
    with refused(ShapeError, "vague.event_shapes", "'z'", "{}"):
        graph.check()


def test_shapes_go_up_through_the_graph() -> None:
    data, first, second, top = observed(d=4), Noisy(), Noisy(), Gathering()
    graph = ModelGraph(top=top, data=data, first=first, second=second)
    graph.connect(data.value, first.y)
    graph.connect(first.z, second.y, via="mean")
    graph.connect(second.z, top.x["only"], via="mean")
    checked = graph.check()
    assert checked.shapes["first"] == {"y": (4,), "z": (4,)}
    assert checked.shapes["top"] == {"x.only": (4,), "z": (4,)}
    assert dict(checked.plates) == {"first": "items", "second": "items", "top": "items"}


def test_shapes_in_a_cycle_come_from_those_who_know_them() -> None:
    first, second = Relay(), Relay()
    graph = ModelGraph(first=first, second=second)
    graph.connect(first.z, second.x)
    graph.connect(second.z, first.x)
    assert graph.check().shapes == {"first": {"x": (2,), "z": (2,)}, "second": {"x": (2,), "z": (2,)}}


def test_other_data_are_checked_in_place_of_the_graphs_own() -> None:
    data, noisy = observed(d=2), Noisy()
    graph = ModelGraph(data=data, noisy=noisy)
    graph.connect(data.value, noisy.y)
    assert graph.check({"data": observed(d=5)}).shapes["noisy"]["z"] == (5,)
    assert graph.check().shapes["noisy"]["z"] == (2,)
