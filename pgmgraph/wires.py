"""A wire: one Out joined to one In, one shared variable, a message each way."""

from __future__ import annotations

from dataclasses import dataclass

from pgmgraph.messages import GaussianEvidence, MessageType


@dataclass(frozen=True)
class Wire:
    """One shared random variable between a child and a parent.

    Attributes:
        child, out: the module (or observation) below, and its Out port.
        parent, into, key: the module above, its In port, and the key in a family.
        forward: the type that the parent takes the forward message as.
        back: the type that the child takes the backward message as; None where there is none.
        via: the lossy conversion that the user asked for, if any.
        backward: False where the user left the backward message out.
        held_by_parent: whether the parent decides q(v), and so sends the belief.
        pool: the plate of groups that the child's items are pooled into on their way up; None where a parent's item is
            a child's.
        average: whether values are averaged over a group, in the place of added up.
    """

    child: str
    out: str
    parent: str
    into: str
    key: str | None
    forward: MessageType
    back: MessageType | None
    via: str | None
    backward: bool
    held_by_parent: bool
    pool: str | None = None
    average: bool = False

    @property
    def variable(self) -> str:
        """The name of the shared variable, that of the port which exposes it: `vae.z`."""
        return f"{self.child}.{self.out}"

    @property
    def target(self) -> str:
        """The name of the port that explains it: `gmm.x`, or `lda.x.sound` in a family."""
        return f"{self.parent}.{self.into}" + ("" if self.key is None else f".{self.key}")

    @property
    def owned_by_parent(self) -> bool:
        """Whether p(v) belongs to the parent; decided by the wiring alone, not by what has been sent."""
        return self.back is not None and not issubclass(self.back, GaussianEvidence)

    @property
    def sends_back(self) -> bool:
        """Whether the parent's message reaches the child."""
        return self.back is not None and self.backward
