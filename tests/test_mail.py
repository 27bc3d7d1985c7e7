"""What lies on the wires, and what about each variable is believed."""

from __future__ import annotations

import pytest
import torch

from pgmgraph import Categorical, CategoricalPotential, Gaussian, GaussianPotential, In, ModelGraph, Outbox, Point, fit
from pgmgraph.errors import MessageTypeError, ScheduleError, UnknownNameError
from pgmgraph.mail import Mail
from pgmgraph.plates import Parcel
from pgmgraph.variables import Beliefs
from pgmgraph_modules.gmm import GMM
from tests.refusals import refused
from tests.toys import Centre, Noisy, Relay, Walk, Weights, observed

N = 6


def gaussian(value: float = 0.0, d: int = 2) -> Gaussian:
    return Gaussian(torch.full((N, d), value), torch.ones(N, d))


def potential(value: float = 0.0) -> GaussianPotential:
    return GaussianPotential(torch.full((N, 2), value), torch.ones(N, 2), torch.zeros(N))


def chain(backward: bool = True) -> tuple[ModelGraph, Mail]:
    data, noisy, centre = observed(n=N), Noisy(), Centre()
    graph = ModelGraph(data=data, noisy=noisy, centre=centre)
    graph.connect(data.value, noisy.y)
    graph.connect(noisy.z, centre.x, backward=backward)
    return graph, Mail(graph, graph.observations)


def lying(delivery: object) -> object:
    assert isinstance(delivery, Parcel)
    return delivery.message


def test_a_belief_goes_up_and_a_potential_comes_down() -> None:
    _, mail = chain()
    up, down = gaussian(1.0), potential(2.0)
    assert mail.letters("noisy")["z"] is None  # nothing has come down yet
    assert mail.deliver("noisy", Outbox(z=up)) == {"noisy.z"}
    assert lying(mail.letters("centre")["x"]) is up
    assert mail.deliver("centre", Outbox(x=down)) == set()  # a potential changes no belief
    assert lying(mail.letters("noisy")["z"]) is down
    assert lying(mail.believed("noisy")["z"]) is up
    assert mail.beliefs["noisy.z"] is up
    assert list(mail.beliefs) == ["noisy.z"]


def test_without_the_backward_message_nothing_comes_down() -> None:
    _, mail = chain(backward=False)
    mail.deliver("noisy", Outbox(z=gaussian()))
    mail.deliver("centre", Outbox(x=potential()))
    assert mail.letters("noisy")["z"] is None


def test_a_parent_that_holds_the_variable_sends_the_belief() -> None:
    data, gmm, weights = observed(n=N), GMM(3), Weights()
    graph = ModelGraph(data=data, gmm=gmm, weights=weights)
    graph.connect(data.value, gmm.x)
    graph.connect(gmm.c, weights.c)
    mail = Mail(graph, graph.observations)
    log_weights, belief = CategoricalPotential(torch.zeros(N, 3)), Categorical(torch.full((N, 3), 1 / 3))
    assert mail.deliver("gmm", Outbox(c=log_weights)) == set()
    assert "gmm.c" not in mail.beliefs
    assert mail.deliver("weights", Outbox(c=belief)) == {"gmm.c"}
    assert mail.beliefs["gmm.c"] is belief
    assert lying(mail.letters("weights")["c"]) is log_weights
    assert lying(mail.believed("weights")["c"]) is belief
    assert lying(mail.believed("gmm")["c"]) is belief
    with refused(MessageTypeError, "Expected CategoricalPotential from gmm.c", "got Categorical"):
        mail.deliver("gmm", Outbox(c=belief))


def test_an_open_variable_is_sent_as_a_belief() -> None:
    data, gmm = observed(n=N), GMM(3)
    graph = ModelGraph(data=data, gmm=gmm)
    graph.connect(data.value, gmm.x)
    mail = Mail(graph, graph.observations)
    with refused(MessageTypeError, "Expected Categorical from gmm.c", "got CategoricalPotential"):
        mail.deliver("gmm", Outbox(c=CategoricalPotential(torch.zeros(N, 3))))


def test_what_is_sent_may_differ_from_what_is_believed() -> None:
    _, mail = chain()
    sent, belief = gaussian(1.0), gaussian(2.0)
    mail.deliver("noisy", Outbox(z=sent, beliefs={"z": belief}))
    assert lying(mail.letters("centre")["x"]) is sent
    assert mail.beliefs["noisy.z"] is belief
    assert lying(mail.believed("centre")["x"]) is belief


def test_several_parents_come_as_several_potentials():
    graph, _ = chain()
    second = Centre()
    graph.add("second", second)
    graph.connect(graph.modules["noisy"].z, second.x)
    mail = Mail(graph, graph.observations)
    one, other = potential(1.0), potential(2.0)
    mail.deliver("noisy", Outbox(z=gaussian()))
    mail.deliver("centre", Outbox(x=one))
    assert lying(mail.letters("noisy")["z"]) is one
    mail.deliver("second", Outbox(x=other))
    both = mail.letters("noisy")["z"]
    assert isinstance(both, tuple)
    assert [lying(parcel) for parcel in both] == [one, other]


def test_what_a_module_sends_is_what_its_ports_declare() -> None:
    _, mail = chain()
    with refused(MessageTypeError, "Expected Gaussian from noisy.z", "got nothing"):
        mail.deliver("noisy", Outbox())
    with refused(MessageTypeError, "Expected Gaussian from noisy.z", "got Categorical"):
        mail.deliver("noisy", Outbox(z=Categorical(torch.ones(N, 1))))
    with refused(MessageTypeError, "noisy", "'zed'", "none of its ports y, z"):
        mail.deliver("noisy", Outbox(z=gaussian(), zed=gaussian()))
    mail.deliver("noisy", Outbox(z=gaussian()))
    with refused(MessageTypeError, "Expected GaussianPotential from centre.x", "got nothing"):
        mail.deliver("centre", Outbox())


def test_a_required_port_needs_a_message() -> None:
    _, mail = chain()
    assert mail.ready("noisy")
    assert not mail.ready("centre")
    with refused(
        ScheduleError, "centre", "centre.x", "noisy has sent nothing yet", "Put 'noisy' before 'centre'"
    ) as caught:
        mail.letters("centre")
    assert caught.value.modules == ("centre", "noisy")


class Patient(Relay):
    """A relay that can do without its message."""

    x = In(Gaussian, optional=True)
    y = In(Point)

    def event_shapes(self, x, y):
        return {"z": y}

    def send(self, x, y, z):
        self.got = [*getattr(self, "got", []), x]
        return Outbox(z=Gaussian(y.value, torch.ones_like(y.value)))


def test_an_optional_port_receives_nothing_until_a_message_comes() -> None:
    data, first, second = observed(n=N), Patient(), Relay()
    graph = ModelGraph(data=data, first=first, second=second)
    graph.connect(data.value, first.y)
    graph.connect(first.z, second.x)
    graph.connect(second.z, first.x)  # a cycle
    fit(graph, schedule=["first", "second"])
    fit(graph, schedule=["first", "second"])
    assert first.got[0] is None
    assert isinstance(first.got[-1], Gaussian)


def test_clearing_takes_everything_off() -> None:
    _, mail = chain()
    mail.deliver("noisy", Outbox(z=gaussian()))
    mail.clear()
    assert not mail.ready("noisy")
    assert len(mail.beliefs) == 0
    mail.clamp("noisy.z", known := gaussian(5.0))
    assert mail.ready("centre")
    assert mail.sent("noisy.z") is known
    assert mail.beliefs["noisy.z"] is known


def test_unknown_beliefs_are_named() -> None:
    beliefs = Beliefs({"vae.z": gaussian()})
    with refused(UnknownNameError, "'vae.x'", "Did you mean 'vae.z'?", "There are: vae.z"):
        beliefs["vae.x"]
    assert "vae.x" not in beliefs
    assert beliefs.get("vae.x") is None
    with refused(UnknownNameError, "There are: none"):
        Beliefs({})["vae.z"]


def test_conversions_travel_with_the_parcel() -> None:
    data, noisy, walk = observed(n=N), Noisy(), Walk()
    graph = ModelGraph(data=data, noisy=noisy, walk=walk)
    graph.connect(data.value, noisy.y)
    graph.connect(noisy.z, walk.x, via="mean")
    mail = Mail(graph, graph.observations)
    mail.deliver("noisy", Outbox(z=gaussian(3.0)))
    parcel = mail.letters("walk")["x"]
    assert isinstance(parcel, Parcel)
    opened = parcel.open(slice(1, 3), torch.device("cpu"), torch.float64)
    assert isinstance(opened, Point)
    assert opened.value.tolist() == [[3.0, 3.0], [3.0, 3.0]]


@pytest.mark.parametrize("name", ["noisy", "centre"])
def test_mail_has_an_entry_for_every_port(name: str) -> None:
    graph, mail = chain()
    mail.deliver("noisy", Outbox(z=gaussian()))
    assert mail.letters(name).keys() == graph.modules[name].ports.keys() == mail.believed(name).keys()
