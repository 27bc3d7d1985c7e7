"""The contract of a module is checked when its class is defined."""

from __future__ import annotations

from dataclasses import replace

import torch

from pgmgraph import (
    Context,
    Gaussian,
    GaussianPotential,
    In,
    ModelGraph,
    Module,
    Observation,
    Out,
    Outbox,
    Point,
    fit,
    generate,
    infer,
)
from pgmgraph.errors import CapabilityError, DefinitionError
from pgmgraph.module import check_temperature, has, learns, method
from tests.refusals import refused
from tests.toys import Centre, Noisy, Sink, Walk, observed


class Sending(Module):
    """As little as a module may be."""

    x = In(Point)
    z = Out(Gaussian, back=GaussianPotential)

    def event_shapes(self, x):
        return {"z": x}

    def send(self, x, z):
        return Outbox(z=Gaussian(x.value, torch.ones_like(x.value)))


def test_arguments_are_compared_with_the_ports():
    with refused(DefinitionError, "Misspelt.send", "(x, z)", "(x, zz)", "Did you mean 'z'?") as caught:

        class Misspelt(Sending):
            def send(self, x, zz):
                raise NotImplementedError

    assert caught.value.module.__name__ == "Misspelt"
    for name, arguments in {
        "statistics": "(x, z)",
        "elbo": "(x, z)",
        "predict": "(port, z)",
        "sample": "(n, z)",
        "event_shapes": "(x)",
        "update": "(x, z)",
    }.items():
        body = {name: lambda self, what: None}
        if name in {"statistics", "update"}:
            body |= {"state_dict": lambda self: {}, "load_state_dict": lambda self, state: None}
        if name == "statistics":
            body["learn"] = lambda self, total: None
        with refused(DefinitionError, f"Wrong.{name}", arguments, "got (what)"):
            type("Wrong", (Sending,), body)


def test_inherited_methods_are_compared_too() -> None:
    with refused(DefinitionError, "Wider.send", "(w, x, z)", "(x, z)"):

        class Wider(Sending):
            w = In(Point)

            def event_shapes(self, x, w):
                raise NotImplementedError


def test_arguments_may_be_taken_as_they_come() -> None:
    class Open(Sending):
        def send(self, **mail):
            return Outbox()

    assert list(Open.ports) == ["x", "z"]


def test_statistics_without_learn_and_learn_without_statistics() -> None:
    with refused(DefinitionError, "Half", "one of `statistics` and `learn`", "both or neither"):

        class Half(Sending):
            def statistics(self, x, z):
                raise NotImplementedError

    with refused(DefinitionError, "OtherHalf", "both or neither"):

        class OtherHalf(Sending):
            def learn(self, total):
                raise NotImplementedError


def test_a_module_learns_in_one_way() -> None:
    with refused(
        DefinitionError, "Twofold", "several ways", "`statistics` with `learn`", "`learn_batches`", "`update`"
    ):

        class Twofold(Centre):
            def learn_batches(self, batches):
                raise NotImplementedError


def test_some_names_are_no_names_for_ports() -> None:
    for name in ("elbo", "beliefs", "port", "n"):
        with refused(DefinitionError, "Reserved", f"cannot be called {name!r}", "choose another name"):
            type("Reserved", (Module,), {name: In(Point), "send": lambda self, **mail: Outbox()})


def test_a_module_without_send() -> None:
    with refused(DefinitionError, "Mute", "no method `send`", "def send(self, x) -> Outbox"):

        class Mute(Module):
            x = In(Point)


def test_what_learns_must_be_undoable() -> None:
    with refused(DefinitionError, "Forgetful", "`state_dict` and `load_state_dict`", "undone"):

        class Forgetful(Sending):
            def learn_batches(self, batches):
                raise NotImplementedError


def test_constructor_arguments_are_recorded() -> None:
    module = Noisy(0.25)
    assert dict(module.arguments) == {"noise": 0.25}
    assert repr(module) == "Noisy(noise=0.25)"
    assert repr(Noisy(0.25, learn_shift=False)) == "Noisy(noise=0.25, learn_shift=False)"


def test_what_a_module_can_do() -> None:
    assert learns(Centre())
    assert learns(Walk())
    assert not learns(Sink())
    assert has(Centre(), "sample")
    assert not has(Sink(), "sample")


def test_what_a_module_lacks_is_refused_by_name():
    with refused(CapabilityError, "Sink", "'sample'", "to draw", "Write Sink.sample") as caught:
        method(Sink(), "sample", "to draw what lies below it")
    assert (caught.value.module, caught.value.method) == ("Sink", "sample")
    graph = ModelGraph(data=observed(), reader=Sink())
    graph.connect(graph.observations["data"].value, graph.modules["reader"].x)
    fit(graph)
    with refused(CapabilityError, "reader (Sink)", "'predict'", "Write Sink.predict"):
        infer(graph, predict=["data"])
    with refused(CapabilityError, "reader (Sink)", "'sample'"):
        generate(graph)


def test_sample_may_take_a_temperature_and_nothing_else():
    class Tempered(Sending):
        def sample(self, n, z, temperature=1.0):
            return {}

    class Sensor(Module):
        """A port of this name is a port."""

        temperature = Out(Gaussian)

        def event_shapes(self):
            return {"temperature": (1,)}

        def send(self, temperature):
            raise NotImplementedError

        def sample(self, n, temperature):
            return {}

    check_temperature(ready := Tempered())
    ready.context = Context("ready", {}, frozenset(), frozenset(), torch.device("cpu"), torch.float32, 0)
    sensor = Sensor()
    sensor.context = replace(ready.context, name="sensor")
    with refused(CapabilityError, "sensor (Sensor)", "takes none", "temperature=1"):
        check_temperature(sensor)
    with refused(DefinitionError, "Heated.sample", "got (n, z, heat)"):

        class Heated(Sending):
            def sample(self, n, z, heat=1.0):
                return {}

    with refused(DefinitionError, "HeatedElsewhere.elbo", "got (x, z, temperature)"):

        class HeatedElsewhere(Sending):
            def elbo(self, x, z, temperature=1.0):
                return {}


def test_the_context_tells_a_module_its_place() -> None:
    noisy, centre, data = Noisy(), Centre(), observed(n=7, d=3)
    graph = ModelGraph(data=data, noisy=noisy, centre=centre)
    graph.connect(data.value, noisy.y)
    graph.connect(noisy.z, centre.x)
    fit(graph, rounds=3)
    context: Context = noisy.context
    assert context.name == "noisy"
    assert context.shapes == {"y": (3,), "z": (3,)}
    assert context.connected == {"y", "z"}
    assert context.owned == frozenset()
    assert (context.updates, context.round, context.plate_size) == (3, 2, 7)
    assert context.dtype == torch.float64
    assert centre.context.connected == {"x"}


def test_an_open_variable_is_the_modules_own() -> None:
    noisy, data = Noisy(), observed()
    graph = ModelGraph(data=data, noisy=noisy)
    graph.connect(data.value, noisy.y)
    fit(graph)
    assert noisy.context.owned == {"z"}


def test_missing_items_do_not_count_for_the_size_of_the_plate() -> None:
    data = Observation(torch.zeros(5, 2), missing=[True, False, False, True, False])
    noisy = Noisy()
    graph = ModelGraph(data=data, noisy=noisy)
    graph.connect(data.value, noisy.y)
    fit(graph)
    assert noisy.context.plate_size == 3
