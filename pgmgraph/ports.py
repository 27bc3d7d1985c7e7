"""Ports: where a module meets the variables that it shares with others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Self, TypeAlias, overload

from pgmgraph.messages import Belief, MessageType, Point

Back: TypeAlias = MessageType | tuple[MessageType, ...] | None
"""The types of message that go back through a port."""


def _types(back: Back) -> tuple[MessageType, ...]:
    if back is None:
        return ()
    return back if isinstance(back, tuple) else (back,)


class _Declaration:
    """A port as a class declares it; the attribute of an instance is the port bound to it."""

    name: str = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name


class _Explained(_Declaration):
    """What single ports and families have in common."""

    def __init__(self, *accepts: MessageType, back: Back = None, optional: bool = False) -> None:
        if not accepts:
            raise TypeError(f"Expected at least one type of message that {type(self).__name__}(...) accepts; got none.")
        self.accepts = accepts
        self.backs = _types(back)
        self.optional = optional


class In(_Explained):
    """The variable that a module explains, below it.

    Args:
        accepts: the types of forward message that the module takes, preferred ones first.
        back: the type of message that it sends back, or None where it sends nothing and so owns no
            factor p(v) of the variable. Of several types, `Node.sends_back` says which one it sends.
        optional: whether the port may stay unwired; it then receives None.
    """

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: Node, owner: type) -> InPort: ...
    def __get__(self, instance: Node | None, owner: type) -> Self | InPort:
        return self if instance is None else InPort(instance, self)


class Ins(_Explained):
    """A family of like In ports, one for each key that is wired: `lda.x["sound"]`.

    Takes the arguments of `In`. The module receives a mapping from key to message, in wiring order.
    """

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: Node, owner: type) -> InPorts: ...
    def __get__(self, instance: Node | None, owner: type) -> Self | InPorts:
        return self if instance is None else InPorts(instance, self)


class Out(_Declaration):
    """The latent variable that a module exposes, above it.

    Args:
        sends: the type of forward message. A belief means that the module holds the variable.
        back: the type of backward message that it takes from a parent, or several, preferred ones first;
            None where it takes none.
    """

    def __init__(self, sends: MessageType, *, back: Back = None) -> None:
        self.sends = sends
        self.backs = _types(back)

    @property
    def held_by_child(self) -> bool:
        """Whether the module that declares this port is the one that decides q(v)."""
        return issubclass(self.sends, Belief)

    @property
    def belief(self) -> MessageType:
        """The type of q(v): what a holder sends, and what an unconnected port sends."""
        if self.held_by_child or not self.backs or not issubclass(self.backs[0], Belief):
            return self.sends
        return self.backs[0]

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: Node, owner: type) -> OutPort: ...
    def __get__(self, instance: Node | None, owner: type) -> Self | OutPort:
        return self if instance is None else OutPort(instance, self)


class Node:
    """Anything that stands in a graph and has ports: a module or an observation."""

    ports: ClassVar[dict[str, In | Ins | Out]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        found: dict[str, In | Ins | Out] = {}
        for base in reversed(cls.__mro__):
            found.update({name: port for name, port in vars(base).items() if isinstance(port, In | Ins | Out)})
        cls.ports = found

    def sends_back(self, port: str) -> MessageType | None:
        """The type of message that goes back from an In port: the first one that it declares."""
        declaration = self.ports[port]
        return declaration.backs[0] if declaration.backs else None

    @classmethod
    def ins(cls) -> Iterator[tuple[str, In | Ins]]:
        """The In ports and families, in the order of declaration."""
        return ((name, port) for name, port in cls.ports.items() if isinstance(port, In | Ins))

    @classmethod
    def outs(cls) -> Iterator[tuple[str, Out]]:
        """The Out ports, in the order of declaration."""
        return ((name, port) for name, port in cls.ports.items() if isinstance(port, Out))


@dataclass(frozen=True)
class InPort:
    """An In port of one node; `key` names the member of a family."""

    node: Node
    declaration: In | Ins
    key: str | None = None

    @property
    def name(self) -> str:
        """The name within the node: `x`, or `x.sound` in a family."""
        return self.declaration.name if self.key is None else f"{self.declaration.name}.{self.key}"


@dataclass(frozen=True)
class InPorts:
    """A family of In ports of one node."""

    node: Node
    declaration: Ins

    def __getitem__(self, key: str) -> InPort:
        return InPort(self.node, self.declaration, key)


@dataclass(frozen=True)
class OutPort:
    """An Out port of one node."""

    node: Node
    declaration: Out

    @property
    def name(self) -> str:
        """The name within the node."""
        return self.declaration.name


def is_observed(port: Out) -> bool:
    """Whether what leaves by the port is observed, so that nobody holds it."""
    return issubclass(port.sends, Point)
