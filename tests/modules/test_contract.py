"""One contract, kept by every registered module, whoever wrote it."""

import io
import math

import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture

from pgmgraph import (
    Categorical,
    CategoricalPotential,
    Gaussian,
    GaussianEvidence,
    In,
    Ins,
    ModelGraph,
    Module,
    Observation,
    Point,
    SparsePoint,
    fit,
    generate,
    infer,
    registry,
)
from pgmgraph.errors import DivergedError
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.linear_gaussian import PPCA

torch.set_num_threads(1)


def linear(before, after):
    """A layer with weights of its own seed, that moves no generator."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(before)
        return torch.nn.Linear(before, after)


# How each module is made for these tests. A module that is registered and not here fails the first test.
MADE = {
    "class_prior": lambda module: module(2.0),
    "classifier": lambda module: module(3),
    "factor_analysis": lambda module: module(2),
    "function_transform": lambda module: module(torch.tanh, inverse=torch.atanh),
    "gmm": lambda module: module(3, starts=2),
    "hmm": lambda module: module(3, starts=2),
    "lda": lambda module: module(3),
    "multimodal_mixture": lambda module: module(3, starts=2),
    "ppca": lambda module: module(2),
    "regressor": lambda module: module(prior_variance=2.0),
    "shared_vector": lambda module: module(2),
    "sklearn_mixture": lambda module: module(GaussianMixture(n_components=2)),
    "sklearn_transform": lambda module: module(PCA(n_components=2)),
    "torch_transform": lambda module: module(linear(4, 2), inverse=linear(2, 4), epochs=2, batch_size=20),
    "vae": lambda module: module(2, hidden=(16,), batch_size=20, epochs=2, lr=3e-3),
}
# The ports that take labels.
LABELS = {("classifier", "y")}
NAMES = registry.names()
BUILT_IN = [name for name in NAMES if name in MADE]
# Along time, rows lean on one another: tests/modules/hmm has its own.
EACH_BY_ITSELF = [name for name in BUILT_IN if not registry.load(name).sequential]
N = 60


def values(columns=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(N, columns, generator=generator)


def as_labels(data):
    """One of three for each row."""
    return (10 * data[:, 0].nan_to_num()).long() % 3


def built(name, data=None, missing=None):
    module = MADE[name](registry.load(name))
    graph = ModelGraph(module=module)
    for port, declaration in type(module).ins():
        accepted = {Point, SparsePoint, Gaussian} & set(declaration.accepts)
        if not accepted and declaration.optional:
            continue
        classes = not accepted and CategoricalPotential in declaration.accepts
        assert accepted or classes, f"teach this test to feed {name}.{port}"
        given = values() if data is None else data
        observation = Observation(as_labels(given) if (name, port) in LABELS else given, missing=missing)
        graph.add(f"data_{port}", observation)
        into = getattr(module, port)
        source = observation.value
        # Evidence about a vector is no density of it: something below must have one.
        if GaussianEvidence in declaration.backs:
            below = PPCA(2)
            graph.add(f"below_{port}", below)
            graph.connect(source, below.x)
            source = below.z
        if classes:
            mixture = GMM(3, starts=2)
            graph.add(f"below_{port}", mixture)
            graph.connect(source, mixture.x)
            source = mixture.c
        graph.connect(source, into["data"] if isinstance(declaration, Ins) else into)
    for port, declaration in type(module).outs():
        # A function of what lies below has no density of its own: something above it must explain it.
        if declaration.sends is Point:
            above = GMM(2, starts=2)
            graph.add(f"above_{port}", above)
            graph.connect(getattr(module, port), above.x)
    return graph, module


def outs(module):
    return [f"module.{port}" for port, _ in type(module).outs()]


def tensors(state):
    if isinstance(state, torch.Tensor):
        yield state
    elif isinstance(state, dict):
        for value in state.values():
            yield from tensors(value)
    elif isinstance(state, list | tuple):
        for value in state:
            yield from tensors(value)


def test_every_module_of_this_distribution_is_under_contract():
    assert {"gmm", "vae"} <= set(NAMES)
    ours = {name for name in NAMES if registry.load(name).__module__.startswith("pgmgraph_modules")}
    assert ours == set(BUILT_IN)


@pytest.mark.parametrize("name", BUILT_IN)
def test_it_is_documented_and_shows_its_arguments(name):
    graph, module = built(name)
    assert registry.load(name).__doc__
    assert repr(module).startswith(type(module).__name__ + "(")
    assert module.arguments
    assert graph.check().remarks == ()


@pytest.mark.parametrize("name", BUILT_IN)
def test_it_learns_with_finite_f_and_sends_what_it_declares(name):
    graph, module = built(name)
    result = fit(graph, rounds=3)
    assert all(bound is not None and math.isfinite(bound) for bound in result.history["F"])
    for port, declaration in type(module).outs():
        belief = result.beliefs[f"module.{port}"]
        assert isinstance(belief, declaration.belief)
        assert len(belief) == N
        assert belief.event_shape == module.context.shapes[port]


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_same_seed_gives_the_same_numbers_and_the_worlds_generators_are_left_alone(name):
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    states = []
    for _ in range(2):
        graph, module = built(name)
        fit(graph, rounds=2, seed=5)
        infer(graph)
        states.append(list(tensors(module.state_dict())))
    assert all(torch.equal(one, other) for one, other in zip(*states, strict=True))
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("name", BUILT_IN)
def test_inference_is_pure_and_gives_the_beliefs_of_the_last_round(name):
    graph, module = built(name)
    result = fit(graph, rounds=2)
    before = [tensor.clone() for tensor in tensors(module.state_dict())]
    first, second = infer(graph), infer(graph)
    assert all(torch.equal(one, other) for one, other in zip(before, tensors(module.state_dict()), strict=True))
    for variable in outs(module):
        for field in first[variable].per_item:
            assert torch.equal(getattr(first[variable], field), getattr(second[variable], field))
            assert torch.equal(getattr(first[variable], field), getattr(result.beliefs[variable], field))


@pytest.mark.parametrize("name", BUILT_IN)
def test_its_state_holds_tensors_and_plain_values_and_brings_it_back(name):
    graph, module = built(name)
    result = fit(graph, rounds=2)
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    other_graph, other = built(name)
    fit(other_graph, rounds=1, seed=9)
    other.load_state_dict(state)
    for below in [below for below in graph.modules if below.startswith("below_")]:
        other_graph.modules[below].load_state_dict(graph.modules[below].state_dict())
    again = infer(other_graph)
    for variable in outs(module):
        for field in again[variable].per_item:
            assert torch.equal(getattr(again[variable], field), getattr(result.beliefs[variable], field))


@pytest.mark.parametrize("name", BUILT_IN)
def test_minibatches_of_any_size_send_the_same(name):
    graph, module = built(name)
    fit(graph, rounds=2)
    whole = infer(graph)
    module.at_once = 7
    pieces = infer(graph)
    for variable in outs(module):
        for field in whole[variable].per_item:
            torch.testing.assert_close(getattr(pieces[variable], field), getattr(whole[variable], field))


@pytest.mark.parametrize("name", EACH_BY_ITSELF)
def test_items_are_inferred_each_by_itself_in_any_order(name):
    graph, module = built(name)
    fit(graph, rounds=2)
    order = torch.randperm(N, generator=torch.Generator().manual_seed(2))
    data = {observation: node.point.value for observation, node in graph.observations.items()}
    straight, mixed = infer(graph, data), infer(graph, {name: value[order] for name, value in data.items()})
    for variable in outs(module):
        for field in straight[variable].per_item:
            torch.testing.assert_close(
                getattr(mixed[variable], field), getattr(straight[variable], field)[order], rtol=1e-5, atol=1e-6
            )


@pytest.mark.parametrize("name", EACH_BY_ITSELF)
def test_missing_items_are_flagged_and_change_nothing_for_the_others(name):
    missing = torch.zeros(N, dtype=torch.bool)
    missing[::5] = True
    holed = values().clone()
    holed[missing] = float("nan")
    graph, module = built(name, holed, missing)
    result = fit(graph, rounds=2)
    short_graph, short = built(name, values()[~missing])
    expected = fit(short_graph, rounds=2)
    assert result.history["F"] == pytest.approx(expected.history["F"], rel=1e-6)
    for one, other in zip(tensors(module.state_dict()), tensors(short.state_dict()), strict=True):
        torch.testing.assert_close(one, other)
    for variable in outs(module):
        belief = result.beliefs[variable]
        assert torch.equal(belief.missing, missing)
        for field in belief.per_item:
            torch.testing.assert_close(getattr(belief, field)[~missing], getattr(expected.beliefs[variable], field))


@pytest.mark.parametrize("name", BUILT_IN)
def test_missing_items_are_filled_in_and_the_others_are_left_alone(name):
    missing = torch.arange(N) % 5 == 0
    graph, _ = built(name)
    fit(graph, rounds=2)
    data = {one: Observation(node.point.value, missing=missing) for one, node in graph.observations.items()}
    bare, full = infer(graph, data, draws=0), infer(graph, data, draws=4)
    for variable, message in full.items():
        message.check_finite(variable)
        for field in message.per_item if variable in bare else ():
            assert torch.equal(getattr(message, field)[~missing], getattr(bare[variable], field)[~missing])
    for observation in data:
        assert torch.equal(full[observation].missing, missing)
        # Of labels, what follows from a vector that was drawn itself stays open.
        if (name, observation) not in {("classifier", "data_y"), ("regressor", "data_y")}:
            told = full[observation].mean[missing]
            assert not torch.equal(told, torch.zeros_like(told))


FAMILIES = [name for name in EACH_BY_ITSELF if any(isinstance(port, Ins) for _, port in registry.load(name).ins())]


def two_modalities(name, missing=None, junk=0.0):
    """Two observations at the ports of a family, the second with missing rows."""
    module = MADE[name](registry.load(name))
    graph = ModelGraph(module=module)
    family = next(
        getattr(module, port)
        for port, declaration in type(module).ins()
        if isinstance(declaration, Ins) and set(declaration.accepts) - {CategoricalPotential}
    )
    first, second = values(), values(seed=1)
    if missing is not None:
        second[missing] = junk
    for key, one in {"first": Observation(first), "second": Observation(second, missing=missing)}.items():
        graph.add(key, one)
        graph.connect(one.value, family[key])
    return graph, module


@pytest.mark.parametrize("name", FAMILIES)
def test_what_a_missing_modality_holds_changes_nothing(name):
    missing = torch.arange(N) % 3 == 0
    found = []
    for junk in (0.0, 9.0):
        graph, module = two_modalities(name, missing, junk)
        result = fit(graph, rounds=3)
        found.append([*tensors(module.state_dict()), torch.tensor(result.history["F"])])
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


@pytest.mark.parametrize("name", FAMILIES)
def test_a_modality_that_is_left_out_is_told_from_the_other(name):
    graph, module = two_modalities(name)
    fit(graph, rounds=3)
    apart = infer(graph, {"first": values()}, draws=5)
    second = apart["second"]
    assert second.missing.all()
    assert second.mean.shape == values().shape
    second.check_finite("second")
    assert (second.variance > 0).any()
    flagged = Observation(values(seed=1), missing=torch.arange(N) < N - 1)
    together = infer(graph, {"first": values(), "second": flagged}, draws=5)
    for variable in outs(module):
        assert apart[variable].missing is None
        for field in apart[variable].per_item:
            torch.testing.assert_close(
                getattr(together[variable], field)[:-1], getattr(apart[variable], field)[:-1], rtol=1e-5, atol=1e-6
            )


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_failed_update_leaves_no_trace(name, monkeypatch):
    graph, module = built(name)
    fit(graph, rounds=1)
    before = [tensor.clone() for tensor in tensors(module.state_dict())]
    send = module.send

    def broken(**mail):
        outbox = send(**mail)
        for sent in outbox.messages.values():
            for message in sent.values() if isinstance(sent, dict) else [sent]:
                getattr(message, message.per_item[0])[3] = float("nan")
        return outbox

    monkeypatch.setattr(module, "send", broken)
    with pytest.raises(DivergedError, match=r"from module\.\w+; got NaN or infinity in 1 of 60 rows, .* 3\. Round 1"):
        fit(graph, rounds=1)
    monkeypatch.undo()
    assert all(torch.equal(one, other) for one, other in zip(before, tensors(module.state_dict()), strict=True))


@pytest.mark.parametrize("name", BUILT_IN)
def test_it_can_be_sampled_from_its_prior_and_from_what_is_given(name):
    graph, module = built(name)
    fit(graph, rounds=1)
    drawn = generate(graph, n=6)
    for observation, node in graph.observations.items():
        assert drawn[observation].shape == (6, *node.point.event_shape)
    for variable in outs(module):
        given = generate(graph, {variable: drawn[variable]}, n=6)
        assert torch.equal(given[variable], drawn[variable])


@pytest.mark.parametrize("name", BUILT_IN)
def test_it_can_be_sampled_at_a_temperature_and_at_zero_without_chance(name):
    graph, _ = built(name)
    fit(graph, rounds=1)
    assert set(generate(graph, n=3, temperature=0.5)) == set(graph.variables)
    one, other = (generate(graph, n=3, temperature=0, seed=seed) for seed in (1, 2))
    for variable, value in one.items():
        assert torch.equal(value, other[variable])
        if name in EACH_BY_ITSELF:
            assert torch.equal(value, value[:1].expand(value.shape))


class Explains(Module):
    """A parent that holds or explains what the module under test sends; it only keeps the message."""

    c = In(CategoricalPotential, back=Categorical)

    def event_shapes(self, c):
        return {}

    def send(self, c):
        raise AssertionError("never run here")


def test_a_discrete_out_port_changes_its_message_with_its_owner():
    graph, module = built("gmm")
    parent = Explains()
    graph.add("parent", parent)
    graph.connect(module.c, parent.c)
    with pytest.raises(AssertionError, match="never run here"):
        fit(graph)
    assert "c" not in module.context.owned
