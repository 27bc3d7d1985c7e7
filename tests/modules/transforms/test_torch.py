"""Networks between modules: frozen, or learning to reconstruct, and never moved from above."""

import io
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from pgmgraph import ModelGraph, Observation, Point, fit, generate, infer
from pgmgraph.config import from_config, to_config
from pgmgraph.errors import CapabilityError, DivergedError, MessageTypeError, ShapeError
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.linear_gaussian import PPCA
from pgmgraph_modules.transforms import TorchTransform
from tests.refusals import refused

torch.set_num_threads(1)


def values(n=60, columns=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    kinds = torch.arange(n) % 3
    return 4.0 * torch.eye(columns)[kinds] + 0.5 * torch.randn(n, columns, generator=generator)


def layers(*sizes, seed=0):
    """A perceptron with weights of its own seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = [nn.Linear(before, after) for before, after in pairwise(sizes)]
        return nn.Sequential(*[one for layer in made for one in (layer, nn.Tanh())][:-1])


def alone(network, data=None, **options):
    observation = Observation(values() if data is None else data)
    module = TorchTransform(network, **options)
    graph = ModelGraph(data=observation, net=module)
    graph.connect(observation.value, module.x)
    return graph, module


def test_what_is_sent_is_what_the_network_makes_of_old_rows_and_new():
    network = layers(4, 7, 2)
    graph, _ = alone(network, at_once=7)
    y = fit(graph, rounds=2).beliefs["net.y"]
    assert isinstance(y, Point)
    with torch.no_grad():
        torch.testing.assert_close(y.value, network(values()))
        new = values(20, seed=3) + 1
        torch.testing.assert_close(infer(graph, {"data": new})["net.y"].value, network(new))
    assert graph.check().shapes["net"] == {"x": (4,), "y": (2,)}


def test_events_of_any_shape_go_to_events_of_any_shape():
    images = torch.rand(12, 3, 8, 6)
    network = nn.Sequential(nn.Conv2d(3, 5, 3, stride=2), nn.ReLU(inplace=True))
    graph, _ = alone(network, images)
    y = fit(graph).beliefs["net.y"].value
    assert y.shape == (12, 5, 3, 2)
    assert graph.check().shapes["net"]["y"] == (5, 3, 2)


def test_a_frozen_network_stays_as_it_is_and_evaluates():
    """Dropout would make two calls differ, and a norm of batches would follow the data."""
    network = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5)).train()
    before = [one.clone() for one in network.state_dict().values()]
    graph, _ = alone(network)
    first = fit(graph, rounds=3).beliefs["net.y"].value
    assert all(torch.equal(one, other) for one, other in zip(before, network.state_dict().values(), strict=True))
    network.train()
    assert torch.equal(infer(graph)["net.y"].value, first)
    assert not first.requires_grad


def test_a_network_that_works_in_place_leaves_the_data_alone():
    data = values()
    before = data.clone()
    graph, _ = alone(nn.ReLU(inplace=True), data)
    fit(graph)
    assert torch.equal(data, before)


def test_asking_for_shapes_moves_no_generator():
    class Noisy(nn.Module):
        def forward(self, x):
            return x + torch.randn_like(x)

    graph, _ = alone(Noisy())
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    graph.check()
    assert torch.equal(torch.rand(2), expected)


def test_nothing_goes_back_and_ppca_below_learns_as_if_it_were_alone():
    terms = []
    for above in (True, False):
        data, ppca = Observation(values()), PPCA(2)
        graph = ModelGraph(data=data, ppca=ppca)
        graph.connect(data.value, ppca.x)
        if above:
            net, gmm = TorchTransform(layers(2, 3)), GMM(3, starts=2)
            graph.add("net", net)
            graph.add("gmm", gmm)
            with pytest.raises(MessageTypeError, match="via='mean'"):
                graph.connect(ppca.z, net.x)
            graph.connect(ppca.z, net.x, via="mean")
            graph.connect(net.y, gmm.x)
        terms.append(fit(graph, rounds=3).trace[-1].terms["ppca"])
    assert terms[0] == terms[1]


def test_it_is_decoded_and_generated_by_the_inverse():
    network = nn.Linear(4, 4)
    inverse = nn.Linear(4, 4)
    with torch.no_grad():
        nn.init.orthogonal_(network.weight, generator=torch.Generator().manual_seed(1))
        inverse.weight.copy_(network.weight.T)
        inverse.bias.copy_(-network.bias @ network.weight)
    graph, _ = alone(network, inverse=inverse)
    gmm = GMM(3, starts=2)
    graph.add("gmm", gmm)
    graph.connect(graph.modules["net"].y, gmm.x)
    fit(graph, rounds=3)
    torch.testing.assert_close(infer(graph, predict=["data"])["data"].value, values(), atol=1e-5, rtol=1e-5)
    drawn = generate(graph, n=60)
    centres = torch.stack([values()[place::3].mean(0) for place in range(3)])
    assert float(torch.cdist(drawn["data"].float(), centres).amin(1).median()) < 1.5
    assert drawn["data"].shape == (60, 4)


def test_with_epochs_it_learns_to_reconstruct_as_principal_components_do():
    """A linear autoencoder's best squared error is that of the principal components (Baldi and Hornik, 1989)."""
    data = values() - values().mean(0)
    graph, module = alone(layers(4, 2), data, inverse=layers(2, 4, seed=1), epochs=60, batch_size=20, lr=1e-2)
    progress = []
    graph.check()
    fit(graph, rounds=4, callbacks=[lambda event: progress.append(event)])
    again = infer(graph, predict=["data"])["data"].value
    error = float((again - data).square().sum(1).mean())
    best = float(torch.linalg.svdvals(data)[2:].square().sum()) / len(data)
    assert best <= error < 1.05 * best
    assert module.network[0].weight.requires_grad


def test_a_learning_network_keeps_its_optimiser_and_a_broken_off_run_goes_on(tmp_path):
    finals = []
    for rounds in ([4], [2, 4]):
        for last in rounds:
            # Other weights, as a program that draws them anew would have: those of the run count.
            again = last != rounds[0]
            seed = 5 if again else 0
            networks = layers(4, 2, seed=seed), layers(2, 4, seed=seed)
            graph, module = alone(networks[0], inverse=networks[1], epochs=2, batch_size=20)
            fit(graph, rounds=last, run_dir=tmp_path / str(len(rounds)), resume=again)
        finals.append(list(module.network.state_dict().values()))
    assert all(torch.equal(one, other) for one, other in zip(*finals, strict=True))


def test_the_state_goes_through_a_file_that_runs_no_code():
    options = {"epochs": 1, "batch_size": 20}
    graph, module = alone(layers(4, 2), inverse=layers(2, 4), **options)
    fit(graph)
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    other_graph, other = alone(layers(4, 2, seed=5), inverse=layers(2, 4, seed=6), **options)
    other_graph.check()
    fit(other_graph, frozen=["net"])
    other.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(infer(graph)["net.y"].value, infer(other_graph)["net.y"].value)


def test_missing_rows_enter_no_step():
    missing = torch.arange(60) % 4 == 0
    holed = values().clone()
    holed[missing] = float("nan")
    weights = []
    for data, mask in ((holed, missing), (values()[~missing], None)):
        observation = Observation(data, missing=mask)
        module = TorchTransform(layers(4, 2), inverse=layers(2, 4), epochs=2, batch_size=10)
        graph = ModelGraph(data=observation, net=module)
        graph.connect(observation.value, module.x)
        fit(graph, rounds=2)
        weights.append(module.network[0].weight)
    assert torch.equal(*weights)


def test_the_type_of_numbers_is_the_networks():
    graph, _ = alone(layers(4, 2).double(), np.ones((3, 4), dtype=np.uint8))
    assert fit(graph).beliefs["net.y"].value.dtype == torch.float64


class Whole(nn.Module):
    """One number for all rows."""

    def forward(self, x):
        return x.sum()


class Several(nn.Module):
    """Not a tensor."""

    def forward(self, x):
        return x, x


class Growing(nn.Module):
    """As many columns as rows."""

    def forward(self, x):
        return x[:, :1].expand(len(x), len(x))


class Dropping(nn.Module):
    """Loses a row where there are several."""

    def forward(self, x):
        return x[: max(1, len(x) - 1)]


def test_networks_that_do_not_serve_are_refused():
    with refused(ShapeError, "Linear of a TorchTransform does not take a row of shape (4,)", "event_shape"):
        alone(nn.Linear(3, 2))[0].check()
    with refused(ShapeError, "Whole of a TorchTransform", "one row of one row", "got ()"):
        alone(Whole())[0].check()
    with refused(ShapeError, "Several of a TorchTransform", "got tuple"):
        alone(Several())[0].check()
    with refused(ShapeError, "Several of net", "got tuple", "returns the tensor alone"):
        fit(alone(Several(), event_shape=(4,))[0])
    with refused(ShapeError, "Growing of net", "(60, 1)", "got (60, 60)", "event_shape=(60,)"):
        fit(alone(Growing())[0])
    with refused(ShapeError, "Dropping of net", "got (59, 4)", "one row of each"):
        fit(alone(Dropping())[0])
    with refused(ShapeError, "cycle"):
        TorchTransform(nn.Flatten()).event_shapes(None)
    assert TorchTransform(nn.Flatten(), event_shape=(4,)).event_shapes(None) == {"y": (4,)}


def test_nan_names_the_rows():
    class Roots(nn.Module):
        def forward(self, x):
            return x.sqrt()

    data = values().abs()
    data[5] = -1
    with refused(DivergedError, "from net.y; got NaN or infinity in 1 of 60 rows", "5"):
        fit(alone(Roots(), data)[0])
    with refused(DivergedError, "squared error of net turned", "Lower lr"):
        fit(alone(layers(4, 2), values() * 1e25, inverse=layers(2, 4), epochs=1)[0])


@pytest.mark.parametrize(
    ("arguments", "options", "text"),
    [
        ((nn.Flatten(),), {"epochs": -1}, "epochs of at least 0"),
        ((nn.Flatten(),), {"batch_size": 0}, "batch_size and at_once of at least 1"),
        ((nn.Flatten(),), {"epochs": 2}, "Expected an inverse with epochs"),
        ((3,), {}, "got int"),
        ((lambda: 3,), {}, "got int"),
    ],
)
def test_arguments_that_cannot_serve_are_refused(arguments, options, text):
    with refused(ValueError, text):
        TorchTransform(*arguments, **options)


def test_what_cannot_be_undone_is_refused_by_name():
    graph, _ = alone(nn.Linear(4, 2))
    fit(graph)
    with refused(CapabilityError, "Linear of net", "an inverse", "TorchTransform(network, inverse=decoder)"):
        infer(graph, predict=["data"])
    with refused(CapabilityError, "no prior", "graph.connect(net.y, gmm.x)"):
        generate(graph)
    graph, _ = alone(nn.Linear(4, 2), inverse=nn.Linear(2, 3))
    fit(graph)
    with refused(ShapeError, "inverse of net", "(60, 4)", "got (60, 3)"):
        infer(graph, predict=["data"])


def test_a_configuration_makes_it_from_calls_and_imports():
    given = {
        "observations": {"data": {"event_shape": [2, 3]}},
        "modules": {
            "net": {
                "module": "torch_transform",
                "network": {"call": "torch.nn:Sequential", "args": [{"call": "torch.nn:Flatten"}]},
                "inverse": {"import": "torch.nn:Flatten"},
            }
        },
        "wires": {"net.x": "data"},
    }
    graph = from_config(given, {"data": torch.rand(5, 2, 3)})
    assert fit(graph).beliefs["net.y"].value.shape == (5, 6)
    assert infer(graph, predict=["data"])["data"].value.shape == (5, 2, 3)
    assert to_config(from_config(to_config(graph))) == to_config(graph)
