"""Mistakes that people make with modules of their own and with what they give to `fit`: each is told in words."""

import numpy as np
import pytest
import torch
from torch import nn

from pgmgraph import Gaussian, In, ModelGraph, Module, Observation, Out, Outbox, Point, Scores, fit, generate, infer
from pgmgraph.errors import (
    CapabilityError,
    DataError,
    DefinitionError,
    DivergedError,
    MessageError,
    MessageTypeError,
    ScheduleError,
    ShapeError,
    UnknownNameError,
    WiringError,
)
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.vae import VAE
from tests.refusals import refused

torch.set_num_threads(1)

X = torch.rand(60, 4, generator=torch.Generator().manual_seed(0))


class Halving(Module):
    """z is half of x: the simplest module that sends, to be broken in one way at a time."""

    x = In(Point)
    z = Out(Gaussian)

    def event_shapes(self, x):
        return {"z": x}

    def send(self, x, z):
        return Outbox(z=Gaussian(x.value / 2, torch.ones_like(x.value)))

    def elbo(self, x, z):
        return {"term": z.mean.sum(1)}


def graph_of(module, values=X, **options):
    data = Observation(values, **options)
    graph = ModelGraph(data=data, mine=module)
    graph.connect(data.value, module.x)
    return graph


def broken(**methods):
    return graph_of(type("Broken", (Halving,), methods)())


def test_the_module_that_is_broken_below_is_whole():
    assert fit(broken()).history["F"][0] == pytest.approx(float(X.double().sum()) / 2, rel=1e-5)


@pytest.mark.parametrize(
    ("methods", "parts"),
    [
        ({"send": lambda self, x, z: Gaussian(x.value, x.value)}, ("an Outbox from mine.send", "got Gaussian")),
        ({"send": lambda self, x, z: Outbox(z=x.value)}, ("a message for 'z' from mine.send", "got Tensor")),
        (
            {"send": lambda self, x, z: Outbox(z=Gaussian(x.value[:50], x.value[:50]))},
            ("60 rows for 'z' from mine.send", "got 50"),
        ),
        (
            {"send": lambda self, x, z: Outbox(z=Gaussian(x.value[:, :3], x.value[:, :3]))},
            ("events of shape (4,) for 'z' from mine.send", "got (3,)"),
        ),
        ({"elbo": lambda self, x, z: z.mean.sum()}, ("a mapping from names to tensors from mine.elbo", "got Tensor")),
        ({"elbo": lambda self, x, z: {"term": 1.0}}, ("a mapping from names to tensors", "got dict with float")),
        ({"elbo": lambda self, x, z: {"term": z.mean}}, ("'term' of mine's elbo of shape (60,)", "got (60, 4)")),
    ],
)
def test_what_a_module_returns(methods, parts):
    with refused(MessageError, *parts):
        fit(broken(**methods))


def test_a_message_that_is_lacking():
    with refused(MessageTypeError, "Expected Gaussian from mine.z", "got nothing"):
        fit(broken(send=lambda self, x, z: Outbox()))


def test_a_term_that_is_nan():
    with refused(DivergedError, "The term 'term' of mine's elbo is NaN in round 0"):
        fit(broken(elbo=lambda self, x, z: {"term": z.mean.sum(1) * float("nan")}))


def test_shapes_that_are_no_tuples():
    with refused(ShapeError, "mine.event_shapes to give a tuple for each port", "{'z': 4}"):
        fit(broken(event_shapes=lambda self, x: {"z": 4}))


def test_a_method_that_is_nearly_one_of_the_contract():
    with refused(DefinitionError, "has a method 'learn_batch'. Did you mean 'learn_batches'?"):
        type("Misspelt", (Halving,), {"learn_batch": lambda self, batches: None})
    with refused(DefinitionError, "guarantee as one of exact, stochastic, none; got 'Exact'"):
        type("Shouting", (Halving,), {"guarantee": "Exact"})
    with pytest.raises(TypeError, match="at least one type of message"):
        In()


def test_a_setup_that_fails_is_tried_again_and_one_that_forgets_its_context_is_named():
    graph = graph_of(GMM(3, freedom=1.0))
    for _ in range(2):
        with pytest.raises(ValueError, match=r"freedom above 3 in 4 dimensions; got 1\.0"):
            fit(graph)
    with refused(DefinitionError, "Broken.setup does not call super().setup(context)"):
        fit(broken(setup=lambda self, context: None))


def test_one_module_in_two_graphs():
    gmm = GMM(3, starts=1)
    first, second = graph_of(gmm), graph_of(gmm)
    fit(first)
    with refused(WiringError, "'mine' has learnt in another graph already"):
        fit(second)


def test_networks_whose_shapes_are_wrong():
    with refused(ShapeError, "Expected the encoder of mine to make (2, 4) of (2, 4)", "log-variances; got (2, 2)"):
        fit(graph_of(VAE(2, encoder=nn.Linear(4, 2))))
    with refused(ShapeError, "Expected the decoder of mine to make (2, 4) of (2, 2); got (2, 1)"):
        fit(graph_of(VAE(2, decoder=nn.Linear(2, 1))))
    with refused(ShapeError, "The encoder of mine does not take (2, 4)"):
        fit(graph_of(VAE(2, encoder=nn.Linear(5, 4))))


@pytest.mark.parametrize("data", [50, X.numpy()])
def test_data_without_names(data):
    graph = graph_of(GMM(3, starts=1))
    with refused(DataError, "data by the name of an observation, such as {'data': values}"):
        fit(graph, data)
    fit(graph)
    with refused(DataError, "data by the name of an observation"):
        infer(graph, data)


def test_one_item_without_its_row():
    for module, told in (
        (GMM(3, starts=1), "Expected vectors (D,) at mine.x; got events of shape ()"),
        (VAE(2, hidden=(8,)), "events of shape (4,) at mine.x, as it was set up; got ()"),
    ):
        graph = graph_of(module)
        fit(graph)
        with refused(ShapeError, told, "item is a row too: values[None]."):
            infer(graph, {"data": X[0]})


def test_arguments_that_would_do_nothing():
    graph = graph_of(gmm := GMM(3, starts=1))
    with refused(ScheduleError, "Expected patience of at least 1; got 0"):
        fit(graph, patience=0)
    with refused(ScheduleError, "objective=True to watch F"):
        fit(graph, tol=1e-3, objective=False)
    with refused(UnknownNameError, "frozen as a list of names, ['mine']"):
        fit(graph, frozen="mine")
    with refused(ScheduleError, "Expected stages from the schedule", "got 'mine'"):
        fit(graph, schedule=lambda view, round: "mine")
    with refused(MessageTypeError, "Expected a port to score, such as gmm.c; got 'mine.c'"):
        Scores("mine.c", np.zeros(60, int))
    with refused(WiringError, "device as auto, cpu, cuda or cuda:1; got 'gpu'"):
        fit(graph_of(GMM(2)), device="gpu")
    labels = np.zeros(60, int)
    with refused(DataError, "Two scorers give a column 'accuracy'", "prefix"):
        fit(graph, callbacks=[Scores(gmm.c, labels), Scores(gmm.c, labels)])


def test_what_is_no_module():
    with refused(WiringError, "as 'gmm'; got the class GMM, not one of it"):
        ModelGraph(gmm=GMM)
    with refused(WiringError, "as 'x'; got ndarray", "Observation(values)"):
        ModelGraph(x=X.numpy())


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan")])
def test_a_scale_that_is_none(scale):
    with refused(DataError, "positive, finite scale"):
        Observation(X, scale=scale)


def test_whoever_watches_hears_of_the_end_of_a_failed_fit():
    events, graph = [], graph_of(vae := VAE(2, hidden=(8,)))
    vae.elbo = lambda **mail: {"t": torch.tensor(float("nan"))}
    with pytest.raises(DivergedError):
        fit(graph, callbacks=[events.append])
    assert type(events[-1]).__name__ == "FitEnded"
    assert events[-1].reason == "failed"


def test_missing_rows_keep_their_place_in_what_is_predicted():
    missing = torch.zeros(60, dtype=torch.bool)
    missing[10:20] = True
    graph = graph_of(VAE(2, hidden=(8,)), missing=missing)
    fit(graph)
    whole = infer(graph, predict=["data"])["data"]
    assert whole.value.shape == (60, 4)
    assert torch.equal(whole.missing, missing)


class Silent(Module):
    """Takes what it is sent, and can do nothing with it."""

    x = In(Point)

    def event_shapes(self, x):
        return {}

    def send(self, x):
        return Outbox()


def test_generate_needs_a_module_that_can_sample():
    graph = graph_of(Silent())
    fit(graph)
    with refused(CapabilityError, "Expected mine (Silent) to have a method 'sample'"):
        generate(graph)
