"""What nothing was observed of, filled in: what the model predicts there, given all that was observed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pgmgraph.engine import Engine
from pgmgraph.errors import CapabilityError
from pgmgraph.graph import ModelGraph
from pgmgraph.messages import Belief, Categorical, Gaussian, Message, Point
from pgmgraph.module import has
from pgmgraph.moments import Moments
from pgmgraph.plates import Parcel
from pgmgraph.randomness import seed_of, seeded
from pgmgraph.wires import Wire

_NUMBERS_AT_ONCE = 2**21


def filled(engine: Engine, found: Mapping[str, Message], draws: int, block: int = 0) -> dict[str, Message]:
    """Beliefs with their gaps filled in, by draws from the top down; and beliefs about incomplete observations.

    A latent is drawn from what is believed of it; where nothing was observed below it, by the module above it, given
    what was drawn there; at the top, from its module's prior. Over these draws,

        E x = E[E(x | above)],    Var x = Var[E(x | above)] + E[Var(x | above)].

    The inner moments are those of `predict`: of the belief that it gives, or its `Point` as the mean, about which
    `sample` spreads. Without a `predict`, a draw of x stands for its mean, with no inner variance.

    Args:
        engine: after the messages have settled.
        found: what is known of variables, by name.
        draws: how many, at least 1.
        block: the number of the block of rows; each has draws of its own.

    Returns:
        `found`, its flagged rows filled in where that can be done, and a message about each observation that has
        missing rows and that a module can tell. What is flagged stays flagged.
    """
    if engine.graph.cycle():
        return dict(found)  # there is no way down
    filling = _Filling(engine, found, block)
    for plate in dict.fromkeys(engine.checked.plates.values()):
        for rows in filling.pieces(plate):
            filling.fill(plate, rows, draws)
    return filling.found


def variables_at(graph: ModelGraph, module: str, port: str) -> dict[str | None, str]:
    """The variables that a module's port stands for, by key in a family: its own for an Out, those below for an In."""
    if any(name == port for name, _ in graph.modules[module].outs()):
        return {None: f"{module}.{port}"}
    below = [wire for wire in graph.wires_below(module) if wire.into == port]
    return {wire.key: wire.child if wire.child in graph.observations else wire.variable for wire in below}


@dataclass(frozen=True, eq=False)
class _Drawn:
    """Values of a variable at some rows, (n, *event); `lost`, (n,), are those that nothing could draw."""

    value: Tensor
    lost: Tensor


@dataclass(frozen=True, eq=False)
class _Told:
    """The mean and the variance of a variable given what is above it, (n, D); None where it is certain."""

    mean: Tensor
    inner: Tensor | None
    lost: Tensor


class _Filling:
    """Fills one block of rows.

    Attributes:
        found: what is known of variables, filled in so far.
    """

    def __init__(self, engine: Engine, found: Mapping[str, Message], block: int) -> None:
        self._engine, self._graph, self._modules = engine, engine.graph, engine.graph.modules
        self._block, self._calls = block, 0
        self._order = tuple(reversed(engine.graph.bottom_up()))
        self._incapable: set[str] = set()
        self.found = dict(found)
        self._gaps = {name: gap for name, message in found.items() if (gap := self._gap(name, message)).any()}
        for name, observation in engine.observations.items():
            point, missing = engine.mail.sent(f"{name}.value"), observation.point.missing
            # What is kept sparse is laid out where `predict` asks for it.
            if name not in found and missing is not None and missing.any() and isinstance(point, Point):
                self._observe(name, point)

    def pieces(self, plate: str) -> Iterator[Tensor]:
        """The rows of a plate at which anything is open, (n,) int64, as many at a time as memory takes."""
        gaps = {name: gap for name, gap in self._gaps.items() if self._plate(name) == plate}
        if gaps:
            width = max(math.prod(self.found[name].event_shape) for name in gaps)
            open_rows = torch.stack(list(gaps.values())).any(0).nonzero().flatten()
            yield from (piece for piece in open_rows.split(max(1, _NUMBERS_AT_ONCE // width)) if len(piece))

    def fill(self, plate: str, rows: Tensor, draws: int) -> None:
        """Draw at these rows of a plate, and put the moments where something is open."""
        open_here = {name: gap[rows] for name, gap in self._gaps.items() if self._plate(name) == plate}
        moments = {name: Moments(full=_has_covariance(self.found[name])) for name in open_here}
        can = dict(open_here)
        # Few rows are drawn several times at once.
        width = max(math.prod(self.found[name].event_shape) for name in open_here)
        together = max(1, min(draws, _NUMBERS_AT_ONCE // (width * len(rows))))
        for begin in range(0, draws, together):
            times = min(together, draws - begin)
            told = self._descend(plate, rows.repeat(times))
            for name, one in told.items():
                shape = (times, len(rows), -1)
                moments[name].add(one.mean.reshape(shape), None if one.inner is None else one.inner.reshape(shape))
                can[name] = open_here[name] & ~one.lost[: len(rows)]
            can = {name: mask for name, mask in can.items() if name in told}
        for name, mask in can.items():
            mean, variance = moments[name].mean, moments[name].variance
            # An inverse may be asked for what lies outside of its range.
            here = mask & (mean.sum(1) + variance.flatten(1).sum(1)).isfinite()
            self.found[name] = _replaced(self.found[name], rows[here], mean[here], variance[here])

    def _plate(self, variable: str) -> str | None:
        node = variable.split(".")[0]
        seen = self._engine.observations.get(node)
        return self._engine.checked.plates.get(node) if seen is None else seen.plate

    def _gap(self, name: str, message: Message) -> Tensor:
        """Where a message holds placeholders, (N,) bool: it is flagged, and its holder was told nothing there.

        A holder that knows something from elsewhere sends what it predicts of a child that knows nothing. What an
        encoder flags of its own is a placeholder whatever it was told, since it knows no prior: an empty document.
        """
        flagged = message.missing_rows().cpu()
        if name in self._graph.observations:
            return flagged
        holder, port = name.split(".")
        above = [wire for wire in self._graph.wires_above(holder, port) if wire.held_by_parent]
        if not above and self._modules[holder].amortised:
            return flagged
        for wire in above:
            holder = wire.parent
            if wire.pool is not None:
                return flagged & self._untold(wire)
        for wire in self._graph.wires_below(holder):
            sent = self._engine.mail.sent(wire.variable)
            if sent is not None and len(sent) == len(flagged):
                flagged = flagged & sent.missing_rows().cpu()
        return flagged

    def _untold(self, wire: Wire) -> Tensor:
        """The members of groups that the holder of what they share was told nothing of, (N,) bool."""
        groups = self._engine.mail.groups[wire.target]
        untold = torch.ones(groups.size, dtype=torch.bool)
        letters = self._engine.mail.letters(wire.parent)
        for port in {below.into for below in self._graph.wires_below(wire.parent)}:
            delivery = letters[port]
            for parcel in delivery.values() if isinstance(delivery, Mapping) else [delivery]:
                if isinstance(parcel, Parcel):
                    untold &= parcel.message.missing_rows().cpu()
        return untold[groups.ids]

    def _observe(self, name: str, point: Point) -> None:
        """Begin a belief about an observation: certain where it was observed, a gap elsewhere."""
        if all(wire.pool is not None for wire in self._graph.wires_above(name)):
            return  # a sum tells nothing of its parts
        module, port = self._explainer(name)
        kind: Message | None = None
        if has(self._modules[module], "predict"):
            given = {out: self._engine.mail.beliefs.get(f"{module}.{out}") for out, _ in self._modules[module].outs()}
            known = {out: message[:1] for out, message in given.items() if message is not None}
            try:
                kind = self._engine.predict(module, port, given=known) if len(known) == len(given) else None
            except CapabilityError:
                kind = None
            if kind is None:
                return
        elif not has(self._modules[module], "sample"):
            return
        self.found[name] = _certain_at(point, kind)
        self._gaps[name] = point.missing_rows().cpu()
        if isinstance(kind, Belief) and self._gaps[name].any():
            # No draws are needed where the module's own belief tells.
            whole = self._engine.predict(module, port, self._block)
            told = self._gaps[name] & ~whole.missing_rows().cpu()
            self.found[name] = _replaced(self.found[name], told.nonzero().flatten(), *_moments(whole[told]))
            self._gaps[name] &= ~told

    def _descend(self, plate: str, rows: Tensor) -> dict[str, _Told]:
        """Draw every variable of a plate at the rows, from the top down; the moments of those that are open."""
        values: dict[str, _Drawn] = {}
        told: dict[str, _Told] = {}
        for name in self._order:
            if self._engine.checked.plates.get(name) != plate:
                continue
            outs = {port: self._out(name, port, values, rows) for port, _ in self._modules[name].outs()}
            given = {port: one.value for port, one in outs.items() if one is not None}
            for port, one in outs.items():
                variable = f"{name}.{port}"
                if one is not None and variable in self._gaps:
                    mean = _moments(_certain(self.found[variable], one.value))[0]
                    told[variable] = _Told(mean, None, one.lost)
            # What a group draws for its members lies on another plate.
            open_below = [variable for variable in self._below(name, plate) if variable in self._gaps]
            if not open_below or len(given) < len(outs):
                continue
            lost = torch.zeros(len(rows), dtype=torch.bool)
            for one in outs.values():
                lost = lost if one is None else lost | one.lost
            below = self._sample(name, len(rows), given)
            for variable in self._below(name, plate):
                if variable in below:
                    values.setdefault(variable, _Drawn(below[variable], lost))
            for variable in open_below:
                if variable in self._graph.observations and variable not in told:
                    moments = self._foretell(name, variable, given, below.get(variable))
                    if moments is not None:
                        told[variable] = _Told(*moments, lost)
        return told

    def _out(self, name: str, port: str, values: Mapping[str, _Drawn], rows: Tensor) -> _Drawn | None:
        """Values of an Out variable: of its belief, or where that is open, of what is above it."""
        variable = f"{name}.{port}"
        known = self._engine.mail.beliefs.get(variable)
        if known is None:
            return None
        with seeded(seed_of(self._engine.seed, variable, "sample", self._number()), known.device):
            told = _value_of(known[rows])
        gap = self._gaps.get(variable)
        nowhere = torch.zeros(len(rows), dtype=torch.bool)
        if gap is None or not gap[rows].any():
            return _Drawn(told, nowhere)
        above = values.get(variable)
        if above is None and port in self._modules[name].context.owned and not self._modules[name].sequential:
            prior = self._sample(name, len(rows), dict.fromkeys(dict(self._modules[name].outs()))).get(variable)
            above = None if prior is None else _Drawn(prior, nowhere)
        if above is None or above.value.shape != told.shape:
            return _Drawn(told, gap[rows])
        mask = gap[rows].to(told.device).reshape(-1, *[1] * (told.ndim - 1))
        return _Drawn(torch.where(mask, above.value.to(told), told), gap[rows] & above.lost)

    def _sample(self, name: str, n: int, given: Mapping[str, Tensor | None]) -> dict[str, Tensor]:
        """What a module draws, by variable; nothing, where it cannot."""
        if name in self._incapable or not has(self._modules[name], "sample"):
            return {}
        try:
            drawn = self._engine.sample(name, n, given, number=self._number())
        except CapabilityError:
            if None not in given.values():
                self._incapable.add(name)
            return {}
        return {
            variable: value if isinstance(value, Tensor) else value[str(key)]
            for port, value in drawn.items()
            for key, variable in variables_at(self._graph, name, port).items()
        }

    def _foretell(
        self, name: str, observation: str, given: Mapping[str, Tensor], drawn: Tensor | None
    ) -> tuple[Tensor, Tensor | None] | None:
        """The mean and the variance of an observation given its explainer's Out variables, (n, D)."""
        module, port = self._explainer(observation)
        spread = None if drawn is None else _flat(drawn).double()
        if module != name or not has(self._modules[name], "predict"):
            return None if spread is None else (spread, None)
        known = {out: _certain(self._engine.mail.beliefs[f"{name}.{out}"], value) for out, value in given.items()}
        message = self._engine.predict(name, port, self._number(), known)
        mean, inner = _moments(message)
        if spread is not None and not isinstance(message, Belief):
            inner = (spread.to(mean) - mean).square()
        return mean, inner

    def _explainer(self, observation: str) -> tuple[str, str]:
        wire = next(wire for wire in self._graph.wires_above(observation) if wire.pool is None)
        return wire.parent, wire.target.removeprefix(f"{wire.parent}.")

    def _below(self, name: str, plate: str) -> list[str]:
        """The variables on a plate that a module explains."""
        ports = dict.fromkeys(wire.into for wire in self._graph.wires_below(name))
        below = [variable for port in ports for variable in variables_at(self._graph, name, port).values()]
        return [variable for variable in below if self._plate(variable) == plate]

    def _number(self) -> int:
        """A number for each call, so that no two have the same noise."""
        self._calls += 1
        return (self._block << 32) + self._calls


def _has_covariance(message: Message) -> bool:
    return isinstance(message, Gaussian) and not message.is_diagonal


def _value_of(known: Message) -> Tensor:
    """A draw from a belief, or the value that is known."""
    if isinstance(known, Belief):
        return known.draw()
    assert isinstance(known, Point)
    floating = known.value.is_floating_point()
    return known.to(dtype=known.value.dtype if floating else torch.get_default_dtype()).value


def _flat(value: Tensor) -> Tensor:
    """Events laid out as vectors, (n, D)."""
    return value.flatten(1) if value.ndim > 1 else value.unsqueeze(1)


def _certain(kind: Message, value: Tensor) -> Message:
    """A message of this kind that says that the variable has this value."""
    match kind:
        case Categorical():
            states = kind.event_shape[0]
            return Categorical(torch.nn.functional.one_hot(value.long(), states).to(kind.probs.dtype))
        case Gaussian():
            mean = _flat(value)
            return Gaussian(mean, torch.zeros_like(mean))
        case _:
            return Point(value)


def _certain_at(point: Point, kind: Message | None) -> Message:
    """A belief about an observation, of the kind that its explainer predicts: certain where it was observed."""
    value = _value_of(point)
    if not isinstance(kind, Categorical):
        mean = _flat(value)
        kind = Gaussian(mean, torch.zeros_like(mean))
    rows = (~point.missing_rows()).nonzero().flatten()
    return _certain(kind, value[rows]).spread(rows, len(point))


def _moments(message: Message) -> tuple[Tensor, Tensor]:
    """The mean and the marginal variance of what a message tells of a variable, (n, D); of a class, by one-hot."""
    match message:
        case Categorical():
            return message.probs, torch.zeros_like(message.probs)
        case Gaussian():
            return message.mean, message.marginal_variance()
        case Point():
            value = _flat(_value_of(message))
            return value, torch.zeros_like(value)
    raise AssertionError(type(message).__name__)


def _replaced(message: Message, rows: Tensor, mean: Tensor, variance: Tensor) -> Message:
    """A message that at these rows tells this mean and variance."""
    rows = rows.to(message.device)

    def put(old: Tensor, new: Tensor) -> Tensor:
        return old.index_copy(0, rows, new.reshape(len(rows), *old.shape[1:]).to(old))

    match message:
        case Categorical():
            return replace(message, probs=put(message.probs, mean))
        case Gaussian():
            return replace(message, mean=put(message.mean, mean), variance=put(message.variance, variance))
        case Point():
            return replace(message, value=put(message.value, mean))
    raise AssertionError(type(message).__name__)
