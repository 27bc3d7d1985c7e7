"""Ports: what a class declares, what an instance's attribute is."""

from __future__ import annotations

from pgmgraph import Categorical, CategoricalPotential, Gaussian, GaussianPotential, In, Ins, Out, Point
from pgmgraph.ports import InPort, InPorts, Node, OutPort, is_observed
from tests.toys import Centre, Gathering, Noisy, Walk


class Below(Node):
    x = In(Point)
    z = Out(Gaussian, back=GaussianPotential)


class Above(Below):
    c = Out(CategoricalPotential, back=Categorical)
    x = In(Gaussian, Point, optional=True)  # declared anew


def test_ports_are_inherited_and_may_be_declared_anew() -> None:
    assert [name for name, _ in Below.ins()] == ["x"]
    assert list(Above.ports) == ["x", "z", "c"]
    assert Above.x.accepts == (Gaussian, Point)
    assert Above.x.optional
    assert Below.x.accepts == (Point,)
    assert [name for name, _ in Above.outs()] == ["z", "c"]


def test_on_the_class_a_port_is_its_declaration_and_on_an_instance_it_is_bound() -> None:
    node = Above()
    assert isinstance(Above.z, Out)
    assert node.z == OutPort(node, Above.z)
    assert node.x == InPort(node, Above.x)
    assert node.x != Above().x
    assert (node.z.name, node.x.name, Above.c.name) == ("z", "x", "c")


def test_members_of_a_family_are_named_by_their_key() -> None:
    module = Gathering()
    assert isinstance(Gathering.x, Ins)
    assert isinstance(module.x, InPorts)
    assert module.x["sound"].name == "x.sound"
    assert module.x["sound"] == module.x["sound"]
    assert module.x["sound"] != module.x["pixels"]


def test_who_holds_the_variable_follows_from_the_types() -> None:
    assert Noisy.z.held_by_child
    assert not Above.c.held_by_child
    assert Above.c.belief is Categorical
    assert Noisy.z.belief is Gaussian
    assert Out(Point).belief is Point
    assert is_observed(Out(Point))
    assert not is_observed(Noisy.z)
    assert Centre.x.backs == (GaussianPotential,)
    assert Walk.x.backs == ()
