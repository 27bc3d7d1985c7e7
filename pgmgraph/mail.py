"""The mail: the last message on every wire each way, and the last belief about every variable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pgmgraph.errors import ScheduleError
from pgmgraph.graph import ModelGraph
from pgmgraph.groups import Groups
from pgmgraph.messages import Message, MessageType, convert, difference
from pgmgraph.module import Outbox, expected
from pgmgraph.observation import Observation
from pgmgraph.plates import Delivery, Parcel
from pgmgraph.ports import In, Ins
from pgmgraph.variables import Beliefs
from pgmgraph.wires import Wire


@dataclass(frozen=True, eq=False)
class Letters:
    """What modules have sent: messages up, messages down, and beliefs, by variable or port."""

    forward: Mapping[str, Message]
    back: Mapping[str, Message]
    believed: Mapping[str, Message]
    residuals: Mapping[str, float]


class Mail:
    """What lies on the wires of a graph for one set of data.

    Args:
        graph: the wiring.
        observations: the data, by the name of the observation.
        groups: which group each of the child's items belongs to, by the port that a pooled wire leads to.
    """

    def __init__(
        self,
        graph: ModelGraph,
        observations: Mapping[str, Observation],
        groups: Mapping[str, Groups] = MappingProxyType({}),
    ) -> None:
        self.groups = groups
        # Messages are frozen: what was pooled once stands for as long as it is that same message.
        self._pooled: dict[str, tuple[Message, Message]] = {}
        self._below = {name: graph.wires_below(name) for name in graph.modules}
        self._above = {name: graph.wires_above(name) for name in graph.modules}
        self._modules = graph.modules
        self._observed: dict[str, Message] = {f"{name}.value": seen.point for name, seen in observations.items()}
        self._forward: dict[str, Message] = dict(self._observed)
        self._back: dict[str, Message] = {}
        self._believed: dict[str, Message] = dict(self._observed)
        self._residuals = dict.fromkeys(graph.modules, 1.0)
        self._watched = False

    @property
    def beliefs(self) -> Beliefs:
        """What is believed about each latent variable."""
        return self._held(self._believed)

    def beliefs_in(self, letters: Letters) -> Beliefs:
        """The same, from what was saved."""
        return self._held(letters.believed)

    def _held(self, believed: Mapping[str, Message]) -> Beliefs:
        latent = {f"{name}.{port}" for name, module in self._modules.items() for port, _ in module.outs()}
        return Beliefs({name: message for name, message in believed.items() if name in latent})

    def watch(self) -> None:
        """Measure from now on how much messages change; it costs a pass over each of them."""
        self._watched = True

    def residuals(self) -> dict[str, float]:
        """How much the mail of each module that is ready has changed since its last update; 1 if it never had one.

        Changes add up, each measured as by `difference`, from 0 to 1.
        """
        return {name: residual for name, residual in self._residuals.items() if self.ready(name)}

    def saved(self) -> Letters:
        """What modules have sent so far. Messages are frozen, so nothing is copied."""
        forward, believed = self._latent(self._forward), self._latent(self._believed)
        return Letters(forward, dict(self._back), believed, dict(self._residuals))

    def restore(self, letters: Letters) -> None:
        """Put back what modules had sent; observations stay."""
        self._forward, self._back = {**self._observed, **letters.forward}, dict(letters.back)
        self._believed, self._residuals = {**self._observed, **letters.believed}, dict(letters.residuals)

    def clear(self) -> None:
        """Take everything off the wires, observations included."""
        for messages in (self._forward, self._back, self._believed):
            messages.clear()

    def clamp(self, variable: str, message: Message) -> None:
        """Put a known value in the place of what a module would send of its variable."""
        self._forward[variable] = self._believed[variable] = message

    def sent(self, variable: str) -> Message | None:
        """The last message that a child sent of its variable."""
        message = self._forward.get(variable)
        return message and message.fetched()

    def ready(self, name: str) -> bool:
        """Whether a message lies at every wired In port of a module that needs one, and at one at least."""
        wires = self._below[name]
        lacking = [wire for wire in wires if wire.variable not in self._forward]
        return not any(self._needed(wire) for wire in lacking) and (not wires or len(lacking) < len(wires))

    def letters(self, name: str) -> dict[str, Delivery]:
        """The messages at a module's ports.

        Raises:
            ScheduleError: nothing has come yet on a wire below, at a port that is not optional.
        """
        for wire in self._below[name]:
            if wire.variable not in self._forward and self._needed(wire):
                raise ScheduleError(
                    f"{name} would be updated without a message at {wire.target}: {wire.child} has sent nothing yet. "
                    f"Put {wire.child!r} before {name!r} in the schedule.",
                    name,
                    wire.child,
                )
        forward = {
            wire: self._parcel(wire, self._forward[wire.variable])
            for wire in self._below[name]
            if wire.variable in self._forward
        }
        mail = self._sorted(name, forward)
        for port, _ in self._modules[name].outs():
            back = [
                Parcel(self._back[wire.target], wire.back)
                for wire in self._above[name]
                if wire.out == port and wire.sends_back and wire.back is not None and wire.target in self._back
            ]
            mail[port] = back[0] if len(back) == 1 else tuple(back) or None
        return mail

    def believed(self, name: str) -> dict[str, Delivery]:
        """The beliefs about the variables at a module's ports."""
        below = {}
        for wire in self._below[name]:
            shared = wire.held_by_parent and wire.pool is not None
            belief = self._believed.get(wire.target if shared else wire.variable)
            if belief is None:
                continue  # an optional port that nothing has come to
            below[wire] = Parcel(belief, None) if wire.held_by_parent else self._parcel(wire, belief)
        mail = self._sorted(name, below)
        for port, _ in self._modules[name].outs():
            known = self._believed.get(f"{name}.{port}")
            mail[port] = None if known is None else Parcel(known, None)
        return mail

    def sends(self, name: str) -> dict[str, MessageType]:
        """What a module has to send now, by port (`x.sound` in a family), and the type that each is expected to be."""
        module = self._modules[name]
        above = {
            port: declaration.sends if self._held_above(name, port) else declaration.belief
            for port, declaration in module.outs()
        }
        below = {}
        for wire in self._answered(name):
            expected = module.sends_back(wire.into)
            assert expected is not None
            below[wire.target.removeprefix(f"{name}.")] = expected
        return above | below

    def deliver(self, name: str, outbox: Outbox) -> set[str]:
        """Put what a module sends on its wires.

        Returns:
            The names of the variables whose belief it changed.

        Raises:
            MessageTypeError: a message is lacking, or is not of the type that the port declares.
        """
        module = self._modules[name]
        sent = expected(outbox, name, module, self.sends(name))
        changed = set()
        self._residuals[name] = 0.0
        for port, _ in module.outs():
            changed |= self._deliver_forward(name, port, sent[port], outbox)
        for wire in self._answered(name):
            changed |= self._deliver_back(wire, sent[wire.target.removeprefix(f"{name}.")], outbox)
        return changed

    def _held_above(self, name: str, port: str) -> bool:
        return any(wire.held_by_parent for wire in self._above[name] if wire.out == port)

    def _answered(self, name: str) -> list[Wire]:
        """The wires below that something came by, and by which something goes back."""
        return [
            wire
            for wire in self._below[name]
            if wire.variable in self._forward and (wire.sends_back or wire.held_by_parent)
        ]

    def _deliver_forward(self, name: str, port: str, message: Message, outbox: Outbox) -> set[str]:
        variable = f"{name}.{port}"
        for wire in self._above[name]:
            if wire.out == port:
                self._note(wire.parent, self._forward.get(variable), message)
        self._forward[variable] = message
        if self._held_above(name, port):
            return set()
        self._believed[variable] = outbox.beliefs.get(port, message)
        return {variable}

    def _deliver_back(self, wire: Wire, message: Message, outbox: Outbox) -> set[str]:
        belief = outbox.beliefs.get(wire.target.removeprefix(f"{wire.parent}."), message)
        if wire.pool is not None:
            self._believed[wire.target] = belief  # the parent's own, a row for each group
            message, belief = (self.groups[wire.target].spread(one.fetched()) for one in (message, belief))
        if wire.sends_back:
            self._note(wire.child, self._back.get(wire.target), message)
        self._back[wire.target] = message
        if not wire.held_by_parent:
            return set()
        self._believed[wire.variable] = belief
        return {wire.variable}

    def _parcel(self, wire: Wire, message: Message) -> Parcel:
        """A message of the child's as its parent takes it."""
        if wire.pool is None:
            return Parcel(message, wire.forward, wire.via)
        known = self._pooled.get(wire.target)
        if known is None or known[0] is not message:
            here = message.fetched()
            values = here if wire.via is None else convert(here, wire.forward, wire.via)
            known = message, self.groups[wire.target].pooled(values, wire.average)
            self._pooled[wire.target] = known
        return Parcel(known[1], wire.forward)

    def _latent(self, messages: Mapping[str, Message]) -> dict[str, Message]:
        return {name: message for name, message in messages.items() if name not in self._observed}

    def _note(self, receiver: str, before: Message | None, after: Message) -> None:
        if self._watched:
            self._residuals[receiver] += difference(before and before.fetched(), after.fetched())

    def _needed(self, wire: Wire) -> bool:
        port = self._modules[wire.parent].ports[wire.into]
        return not (isinstance(port, In | Ins) and port.optional)

    def _sorted(self, name: str, parcels: Mapping[Wire, Parcel]) -> dict[str, Delivery]:
        mail: dict[str, Delivery] = {}
        for port, declaration in self._modules[name].ins():
            here = {wire: parcel for wire, parcel in parcels.items() if wire.into == port}
            if isinstance(declaration, Ins):
                mail[port] = {wire.key: parcel for wire, parcel in here.items() if wire.key is not None}
            else:
                mail[port] = next(iter(here.values()), None)
        return mail
