"""The graph: which module stands where, what is wired to what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import networkx as nx

from pgmgraph.checks import Checked, check
from pgmgraph.errors import CycleError, MessageTypeError, UnknownNameError, WiringError, suggestion
from pgmgraph.messages import (
    CategoricalPotential,
    Message,
    MessageType,
    Point,
    Potential,
    SparsePoint,
    convertible,
    ways,
)
from pgmgraph.module import Context, Module
from pgmgraph.observation import Observation
from pgmgraph.ports import InPort, InPorts, Node, OutPort, is_observed
from pgmgraph.wires import Wire


class ModelGraph:
    """Modules and observations, wired into one model.

    Args:
        nodes: the modules and observations, each under the name that it has in the graph.

    Attributes:
        network: the `networkx.MultiDiGraph` underneath; an edge from child to parent for each wire,
            with the `Wire` as its attribute "wire".
        rounds_done: how many rounds `fit` has run on this graph.
        calls: how many updates each module was called for; what seeds are made from.
        contexts: what each module was told when it was set up in this graph.
        memory: what is remembered of earlier chunks of a stream, as tensors and plain values.

    Example:
        >>> graph = ModelGraph(pixels=pixels, vae=vae, gmm=gmm)  # doctest: +SKIP
        >>> graph.connect(pixels.value, vae.x)  # doctest: +SKIP
        >>> graph.connect(vae.z, gmm.x)  # doctest: +SKIP
    """

    def __init__(self, **nodes: Node) -> None:
        self.network: nx.MultiDiGraph[str] = nx.MultiDiGraph()
        self.rounds_done = 0
        self.calls: Counter[str] = Counter()
        self.contexts: dict[str, Context] = {}
        self.memory: Mapping[str, object] = {}
        self._nodes: dict[str, Node] = {}
        for name, node in nodes.items():
            self.add(name, node)

    def __repr__(self) -> str:
        wires = "; ".join(f"{wire.variable} -> {wire.target}" for wire in self.wires)
        return f"ModelGraph({', '.join(self._nodes)}: {wires})"

    def add(self, name: str, node: Node) -> None:
        """Put a module or an observation into the graph.

        Raises:
            WiringError: the name is taken or no identifier, or the node is already in a graph.
        """
        if not isinstance(node, Node):
            what = f"the class {node.__name__}, not one of it" if isinstance(node, type) else type(node).__name__
            raise WiringError(
                f"Expected a Module or an Observation as {name!r}; got {what}. Data are wrapped: Observation(values).",
                name,
            )
        if not name.isidentifier():
            raise WiringError(f"Expected a name that is a Python identifier; got {name!r}.", name)
        if name in self._nodes:
            raise WiringError(f"The name {name!r} is taken by {self._nodes[name]!r}. Choose another.", name)
        for other, known in self._nodes.items():
            if known is node:
                raise WiringError(f"{name!r} is the same object as {other!r}. Make a module of its own.", name, other)
        if hasattr(node, "context"):
            raise WiringError(f"{name!r} has learnt in another graph already. Make a module of its own.", name)
        self._nodes[name] = node
        self.network.add_node(name)

    def connect(
        self,
        out: OutPort,
        into: InPort,
        *,
        via: str | None = None,
        backward: bool = True,
        pool: str | None = None,
        average: bool = False,
    ) -> None:
        """Join the variable exposed at `out` to the module that explains it at `into`.

        Args:
            out: the port of the module or observation below.
            into: the port of the module above.
            via: the name of a conversion that loses something, for example "mean" for a Gaussian's mean.
                The child then keeps its prior, and nothing goes back.
            backward: False leaves the backward message out, as a control without mutual learning.
            pool: the name of a plate of groups, which an observation below says the members of
                (`Observation(..., groups={"images": ids})`). The parent's items are then the groups. Members share one
                discrete variable: what they say of it adds up, and each is told what the parent believes of it. Or
                their values add up, and nothing goes back.
            average: whether values are averaged over the members of a group.

        Raises:
            WiringError: wrong direction, a port that is wired already, a node that is not in the graph.
            MessageTypeError: the parent does not accept what the child sends, or the reverse; or what the child
                sends cannot be pooled.
        """
        child, parent = self._ends(out, into)
        source, target = f"{child}.{out.name}", f"{parent}.{into.name}"
        for wire in self.wires:
            if wire.target == target:
                raise WiringError(
                    f"{target} is wired to {wire.variable} already; got {source} as well. "
                    "An In port takes one wire: join the two in a module with several In ports.",
                    target,
                    source,
                )
        forward = self._forward_type(source, out, target, into, via)
        back = self._back_type(source, out, target, into) if via is None else None
        held_by_parent = back is not None and not out.declaration.held_by_child
        if issubclass(forward, Potential) and not held_by_parent:
            raise MessageTypeError(
                f"Expected {target} to send a belief back, since a parent holds what {source} sends a potential of; "
                f"it sends nothing. Declare it: In({forward.__name__}, back=...).",
                source,
                target,
            )
        if held_by_parent and any(wire.owned_by_parent for wire in self.wires if wire.variable == source):
            raise WiringError(
                f"{source} has a parent already, and a variable held by its parent takes one; got {target} as well. "
                "Put a product module over both.",
                source,
                target,
            )
        if pool is not None or average:
            _check_pooling(source, out, forward, via, held_by_parent, pool, average)
        wire = Wire(
            child,
            out.name,
            parent,
            into.declaration.name,
            into.key,
            forward,
            back,
            via,
            backward,
            held_by_parent,
            pool,
            average,
        )
        self.network.add_edge(child, parent, key=target, wire=wire, order=self.network.number_of_edges())

    def check(self, observations: Mapping[str, Observation] | None = None) -> Checked:
        """Find every mismatch of shape, plate and range before anything is computed; `fit` calls it.

        Args:
            observations: data in the place of the graph's own.

        Returns:
            The shape at each port, and remarks on what is allowed but weakens what F says.

        Raises:
            WiringError: a required port is open, or an observation is connected to nothing.
            PlateError: one plate has two sizes, a module was wired to several plates, or nobody says which group
                items belong to that are pooled.
            ShapeError: an event shape is not what its receiver expects.
            DataError: observed values lie outside what the model can explain.
        """
        return check({**self._nodes, **(observations or {})}, self.wires, None if self.cycle() else self.bottom_up())

    def __getitem__(self, name: str) -> Node:
        if name not in self._nodes:
            raise UnknownNameError(
                f"No module or observation named {name!r} is in the graph.{suggestion(name, self._nodes)} "
                f"It has: {', '.join(self._nodes)}.",
                name,
            )
        return self._nodes[name]

    @property
    def modules(self) -> Mapping[str, Module]:
        """The modules by name, in the order in which they were added."""
        return {name: node for name, node in self._nodes.items() if isinstance(node, Module)}

    @property
    def observations(self) -> Mapping[str, Observation]:
        """The observations by name, in the order in which they were added."""
        return {name: node for name, node in self._nodes.items() if isinstance(node, Observation)}

    @property
    def wires(self) -> list[Wire]:
        """Every wire, in the order in which they were connected."""
        edges = sorted(self.network.edges(data=True), key=lambda edge: edge[2]["order"])
        return [data["wire"] for _, _, data in edges]

    @property
    def variables(self) -> dict[str, OutPort]:
        """Every variable by its name: `vae.z` for a latent, `pixels` for an observation's values."""
        found: dict[str, OutPort] = {}
        for name, node in self._nodes.items():
            for port, declaration in node.outs():
                found[name if isinstance(node, Observation) else f"{name}.{port}"] = OutPort(node, declaration)
        return found

    def name_of(self, port: OutPort) -> str:
        """The name in this graph of the variable at an Out port: `vae.z`."""
        for name, known in self.variables.items():
            if known == port:
                return name
        raise UnknownNameError(f"The port {port.name!r} of {port.node!r} is not in this graph.", port.name)

    def wires_below(self, name: str) -> list[Wire]:
        """The wires at the In ports of a module, in wiring order."""
        return [wire for wire in self.wires if wire.parent == name]

    def wires_above(self, name: str, out: str | None = None) -> list[Wire]:
        """The wires at the Out ports of a module, or at one of them."""
        return [wire for wire in self.wires if wire.child == name and out in (None, wire.out)]

    def cycle(self) -> tuple[str, ...] | None:
        """The modules of a cycle of wires, or None where there is none."""
        try:
            edges = nx.find_cycle(self.network)
        except nx.NetworkXNoCycle:
            return None
        return tuple(edge[0] for edge in edges)

    def bottom_up(self) -> tuple[str, ...]:
        """The modules in topological order, children first; ties in the order of adding.

        Raises:
            CycleError: the wires form a cycle.
        """
        cycle = self.cycle()
        if cycle is not None:
            raise CycleError(
                f"The wires form a cycle: {' -> '.join((*cycle, cycle[0]))}. There is no topological order; "
                "say in which order to update, with fit(..., schedule=[...]).",
                cycle,
            )
        place = {name: position for position, name in enumerate(self._nodes)}
        # Observations are left out, so that the order does not depend on when they were added.
        order = nx.lexicographical_topological_sort(self.network.subgraph(self.modules), key=place.__getitem__)
        return tuple(order)

    def _ends(self, out: OutPort, into: InPort) -> tuple[str, str]:
        if isinstance(into, InPorts):
            raise WiringError(f"{into.declaration.name} is a family of ports; name the one, as in `x['sound']`.")
        ends: tuple[object, object] = (out, into)  # whatever an untyped caller gave
        if not (isinstance(ends[0], OutPort) and isinstance(ends[1], InPort)):
            raise WiringError(
                f"Expected connect(an Out port, an In port), child first; got ({_describe(out)}, {_describe(into)})."
            )
        names = {id(node): name for name, node in self._nodes.items()}
        for port in (out, into):
            if id(port.node) not in names:
                raise WiringError(
                    f"{port.node!r} is not in this graph. Add it first: graph.add('name', module).", port.name
                )
        child, parent = names[id(out.node)], names[id(into.node)]
        if child == parent:
            raise WiringError(f"{child}.{out.name} cannot be wired to {parent}.{into.name}, a port of its own module.")
        return child, parent

    @staticmethod
    def _forward_type(source: str, out: OutPort, target: str, into: InPort, via: str | None) -> MessageType:
        sends, accepts = out.declaration.sends, into.declaration.accepts
        found = convertible(sends, accepts, via)
        if found is not None:
            return found
        offered = ", ".join(f"via={way!r}" for way in ways(sends, accepts))
        asked = "" if via is None else f", and via={via!r} makes none of it"
        raise MessageTypeError(
            f"Expected {_either(accepts)} at {target}; got {sends.__name__} from {source}{asked}."
            + (f" A conversion that loses something must be asked for: {offered}." if offered else ""),
            source,
            target,
        )

    @staticmethod
    def _back_type(source: str, out: OutPort, target: str, into: InPort) -> type[Message] | None:
        sends, accepts = into.node.sends_back(into.declaration.name), out.declaration.backs
        if sends is None or not accepts or is_observed(out.declaration):
            return None
        found = convertible(sends, accepts)
        if found is None:
            raise MessageTypeError(
                f"Expected {_either(accepts)} back at {source}; got {sends.__name__} from {target}.", source, target
            )
        return found


def _check_pooling(
    source: str, out: OutPort, forward: MessageType, via: str | None, shared: bool, pool: str | None, average: bool
) -> None:
    """Refuse to pool what has no sum, or what no one variable of a group could be."""
    given: object = pool  # whatever an untyped caller gave
    if not (isinstance(given, str) and given):
        raise WiringError(
            f"Expected the name of a plate to pool {source} into, such as pool='images'; got {pool!r}.", source
        )
    values = issubclass(forward, Point | SparsePoint) if via is not None else is_observed(out.declaration)
    if shared and issubclass(forward, CategoricalPotential):
        if average:
            raise MessageTypeError(
                f"What members say of a variable that they share adds up; got average=True for {source}. "
                "Leave it out: an average would count the evidence for less than it is.",
                source,
            )
    elif not values:
        offered = ", ".join(f"via={way!r}" for way in ways(out.declaration.sends, (Point,)))
        raise MessageTypeError(
            f"Expected values, or evidence about a discrete variable, to pool into {pool!r}; got "
            f"{out.declaration.sends.__name__} from {source}, which each item has one of its own."
            + (f" Values can be made of it for a parent that takes Point: {offered}." if offered else ""),
            source,
        )


def _describe(port: object) -> str:
    match port:
        case OutPort():
            return f"the Out port {port.name!r} of {type(port.node).__name__}"
        case InPort():
            return f"the In port {port.name!r} of {type(port.node).__name__}"
        case Node():
            return f"the {type(port).__name__} itself, not one of its ports {', '.join(port.ports)}"
        case _:
            return type(port).__name__


def _either(types: tuple[MessageType, ...]) -> str:
    return " or ".join(message.__name__ for message in types)
