"""Wiring: what fits, what does not, and what the error says."""

from __future__ import annotations

import pytest
import torch

from pgmgraph import Gaussian, GaussianPotential, ModelGraph, Observation, Point, fit
from pgmgraph.errors import CycleError, MessageTypeError, UnknownNameError, WiringError
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.vae import VAE
from tests.refusals import refused
from tests.toys import Centre, Gathering, Noisy, Relay, Sink, Walk, Weights, blobs, observed


def chain() -> ModelGraph:
    data, noisy, centre = observed(), Noisy(), Centre()
    graph = ModelGraph(data=data, noisy=noisy, centre=centre)
    graph.connect(data.value, noisy.y)
    graph.connect(noisy.z, centre.x)
    return graph


def test_a_wire_knows_its_ends_and_its_types() -> None:
    first, second = chain().wires
    assert (first.variable, first.target, first.forward, first.back) == ("data.value", "noisy.y", Point, None)
    assert (second.variable, second.target) == ("noisy.z", "centre.x")
    assert (second.forward, second.back, second.held_by_parent) == (Gaussian, GaussianPotential, False)
    assert second.owned_by_parent
    assert second.sends_back


def test_a_parent_may_hold_the_variable():
    graph = ModelGraph(data=observed(), gmm=GMM(3), weights=Weights())
    data, gmm, weights = graph.observations["data"], graph.modules["gmm"], graph.modules["weights"]
    graph.connect(data.value, gmm.x)
    graph.connect(gmm.c, weights.c)
    assert graph.wires[1].held_by_parent


def test_the_wrong_type_names_both_ports_and_both_types() -> None:
    data, gmm, centre = observed(), GMM(3), Centre()
    graph = ModelGraph(data=data, gmm=gmm, centre=centre)
    with refused(MessageTypeError, "Gaussian at centre.x", "CategoricalPotential from gmm.c") as caught:
        graph.connect(gmm.c, centre.x)
    assert caught.value.ports == ("gmm.c", "centre.x")
    assert graph.wires == []


def test_a_conversion_that_loses_something_is_offered_and_must_be_asked_for() -> None:
    noisy, walk, data = Noisy(), Walk(), observed()
    graph = ModelGraph(data=data, noisy=noisy, walk=walk)
    graph.connect(data.value, noisy.y)
    with refused(MessageTypeError, "Point at walk.x", "Gaussian from noisy.z", "must be asked for: via='mean'"):
        graph.connect(noisy.z, walk.x)
    with refused(MessageTypeError, "walk.x", "noisy.z", "via='mode' makes none of it", "via='mean'"):
        graph.connect(noisy.z, walk.x, via="mode")
    graph.connect(noisy.z, walk.x, via="mean")
    assert graph.wires[-1].via == "mean"
    assert not graph.wires[-1].owned_by_parent


def test_back_messages_are_typed_too() -> None:
    class Misfit(Centre):
        x = type(Centre.x)(Gaussian, back=Point)

    noisy, misfit = Noisy(), Misfit()
    graph = ModelGraph(noisy=noisy, misfit=misfit)
    with refused(MessageTypeError, "GaussianPotential back at noisy.z", "Point from misfit.x"):
        graph.connect(noisy.z, misfit.x)


def test_the_wrong_direction_says_which_comes_first() -> None:
    noisy, centre, data = Noisy(), Centre(), observed()
    graph = ModelGraph(data=data, noisy=noisy, centre=centre)
    with refused(
        WiringError, "connect(an Out port, an In port), child first", "In port 'x' of Centre", "Out port 'z' of Noisy"
    ):
        graph.connect(centre.x, noisy.z)  # type: ignore[arg-type]
    with refused(WiringError, "the Noisy itself, not one of its ports y, z"):
        graph.connect(noisy, centre.x)  # type: ignore[arg-type]
    with refused(WiringError, "the In port 'y' of Noisy", "the In port 'x' of Centre"):
        graph.connect(noisy.y, centre.x)  # type: ignore[arg-type]


def test_an_in_port_takes_one_wire() -> None:
    first, second, centre, data = Noisy(), Noisy(), Centre(), observed()
    graph = ModelGraph(data=data, first=first, second=second, centre=centre)
    graph.connect(first.z, centre.x)
    with refused(WiringError, "centre.x is wired to first.z already", "second.z", "takes one wire") as caught:
        graph.connect(second.z, centre.x)
    assert caught.value.ports == ("centre.x", "second.z")


def test_a_member_of_a_family_takes_one_wire_and_families_are_named_by_key() -> None:
    one, other, module = observed(), observed(), Gathering()
    graph = ModelGraph(one=one, other=other, module=module)
    with refused(WiringError, "family", "x['sound']"):
        graph.connect(one.value, module.x)  # type: ignore[arg-type]
    graph.connect(other.value, module.x["second"])
    graph.connect(one.value, module.x["first"])
    with refused(WiringError, "module.x.first is wired to one.value already", "other.value"):
        graph.connect(other.value, module.x["first"])
    fit(graph)
    assert module.keys == ("second", "first")


def test_a_second_parent_of_a_variable_that_its_parent_holds() -> None:
    data, gmm, one, other = observed(), GMM(3), Weights(), Weights()
    graph = ModelGraph(data=data, gmm=gmm, one=one, other=other)
    graph.connect(gmm.c, one.c)
    with refused(WiringError, "gmm.c has a parent already", "takes one", "other.c", "product module") as caught:
        graph.connect(gmm.c, other.c)
    assert caught.value.ports == ("gmm.c", "other.c")


def test_several_parents_of_a_variable_that_its_child_holds_are_remarked_on():
    graph = chain()
    third = Centre()
    graph.add("third", third)
    graph.connect(graph.modules["noisy"].z, third.x)
    [remark] = graph.check().remarks
    assert all(part in remark for part in ("noisy.z", "centre, third", "product", "no bound"))
    with pytest.warns(UserWarning, match=r"noisy\.z has several parents"):
        fit(graph)


def test_nodes_must_be_in_the_graph():
    graph, stranger = chain(), Centre()
    with refused(WiringError, "Centre() is not in this graph", "graph.add"):
        graph.connect(graph.modules["noisy"].z, stranger.x)
    other = chain()
    with refused(WiringError, "Noisy() is not in this graph"):
        graph.connect(other.modules["noisy"].z, graph.modules["centre"].x)


def test_a_module_belongs_to_one_graph() -> None:
    graph = chain()
    fit(graph)
    with refused(WiringError, "'again' has learnt in another graph already", "Make a module of its own"):
        ModelGraph(again=graph.modules["noisy"])


def test_names() -> None:
    graph = chain()
    with refused(WiringError, "The name 'noisy' is taken by Noisy()", "Choose another"):
        graph.add("noisy", Noisy())
    with refused(WiringError, "'twin' is the same object as 'centre'"):
        graph.add("twin", graph.modules["centre"])
    with refused(WiringError, "Python identifier", "'two words'"):
        graph.add("two words", Noisy())
    with refused(WiringError, "a Module or an Observation as 'array'", "Tensor"):
        graph.add("array", torch.zeros(3))  # type: ignore[arg-type]


def test_an_unknown_name_gets_the_nearest_one_suggested() -> None:
    graph = chain()
    with refused(UnknownNameError, "'nosiy'", "Did you mean 'noisy'?", "data, noisy, centre"):
        graph["nosiy"]
    assert graph["noisy"] is graph.modules["noisy"]
    with refused(UnknownNameError, "Cannot freeze 'nosiy'", "Did you mean 'noisy'?"):
        fit(graph, frozen=["nosiy"])
    with refused(UnknownNameError, "No observation named 'dat'", "Did you mean 'data'?"):
        fit(graph, {"dat": torch.zeros(3, 2)})


def test_a_module_is_not_wired_to_itself() -> None:
    relay = Relay()
    graph = ModelGraph(relay=relay)
    with refused(WiringError, "relay.z", "relay.x", "its own module"):
        graph.connect(relay.z, relay.x)


def test_bottom_up_puts_children_first_and_keeps_the_order_of_adding() -> None:
    top, left, right, data = Gathering(), Noisy(), Noisy(), observed()
    graph = ModelGraph(top=top, right=right, left=left, data=data)
    graph.connect(data.value, left.y)
    graph.connect(data.value, right.y)
    graph.connect(left.z, top.x["left"], via="mean")
    graph.connect(right.z, top.x["right"], via="mean")
    assert graph.bottom_up() == ("right", "left", "top")
    assert graph.cycle() is None


def test_a_cycle_is_named() -> None:
    first, second, third = Relay(), Relay(), Relay()
    graph = ModelGraph(first=first, second=second, third=third)
    graph.connect(first.z, second.x)
    graph.connect(second.z, third.x)
    graph.connect(third.z, first.x)
    with refused(CycleError, "first -> second -> third -> first", "schedule=[...]") as caught:
        fit(graph, schedule="bottom_up")
    assert set(caught.value.cycle) == {"first", "second", "third"}
    assert set(graph.cycle() or ()) == {"first", "second", "third"}


def test_variables_by_name_and_names_by_port():
    graph = chain()
    assert list(graph.variables) == ["data", "noisy.z"]
    assert graph.name_of(graph.modules["noisy"].z) == "noisy.z"
    with refused(UnknownNameError, "'z'", "Noisy()", "not in this graph"):
        graph.name_of(Noisy().z)


def test_the_mixture_of_a_vae_fits_by_itself() -> None:
    data, vae, gmm = Observation(blobs()[0].clamp(0, 1)), VAE(4, hidden=(3,)), GMM(3)
    graph = ModelGraph(pixels=data, vae=vae, gmm=gmm)
    graph.connect(data.value, vae.x)
    graph.connect(vae.z, gmm.x)
    assert graph.wires[1].back is GaussianPotential  # made dense, minibatch by minibatch
    assert graph.check().shapes["gmm"] == {"x": (4,), "c": (3,)}


def test_sinks_own_nothing() -> None:
    noisy, sink, data = Noisy(), Sink(), observed()
    graph = ModelGraph(data=data, noisy=noisy, sink=sink)
    graph.connect(data.value, noisy.y)
    graph.connect(noisy.z, sink.x)
    fit(graph)
    assert noisy.context.owned == {"z"}
    assert isinstance(sink.seen, Gaussian)
