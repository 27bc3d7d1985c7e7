"""Whether a wired graph fits together: open ports, plates, event shapes, ranges of values."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pgmgraph.errors import DataError, PlateError, ShapeError, WiringError, suggestion
from pgmgraph.groups import Groups
from pgmgraph.messages import (
    Gaussian,
    GaussianPotential,
    MixturePotential,
    Point,
    PooledGaussianPotential,
    SparsePoint,
)
from pgmgraph.module import Module, has, method
from pgmgraph.observation import Observation
from pgmgraph.ports import In, Ins, Node, Out
from pgmgraph.wires import Wire

Shape = tuple[int, ...]
_VECTORS = (Gaussian, GaussianPotential, PooledGaussianPotential)


@dataclass(frozen=True)
class Checked:
    """What a check found out.

    Attributes:
        shapes: for each module, the event shape at each wired In port and each Out port.
        plates: for each module, the name of its plate; a module with no data below it has none.
        lengths: by plate, how many rows each of its sequences has, where it has sequences.
        sizes: by plate, how many items it has.
        groups: by the port that a pooled wire leads to, as in "hmm.c", the group that each of the child's items belongs
            to.
        remarks: what is allowed, but weakens what F says.
    """

    shapes: Mapping[str, Mapping[str, Shape]]
    plates: Mapping[str, str]
    lengths: Mapping[str, Tensor]
    sizes: Mapping[str, int]
    groups: Mapping[str, Groups]
    remarks: tuple[str, ...]


def check(nodes: Mapping[str, Node], wires: Sequence[Wire], order: Sequence[str] | None) -> Checked:
    """Check wired nodes; see `ModelGraph.check`. `order` is None where the wires form a cycle."""
    modules = {name: node for name, node in nodes.items() if isinstance(node, Module)}
    observations = {name: node for name, node in nodes.items() if isinstance(node, Observation)}
    if not modules:
        raise WiringError("Expected at least one module in the graph; got none. Add one: ModelGraph(gmm=GMM(...)).")
    _check_open_ports(modules, observations, wires)
    _check_products(wires)
    sizes = plate_sizes(observations)
    plates = _plates(observations, modules, wires)
    groups = _groups(observations, plates, sizes, wires)
    shapes = _shapes(modules, observations, wires, order)
    _check_ranges(modules, observations, wires, groups)
    remarks = [*_remarks(wires), *_module_remarks(modules, wires)]
    of_modules = {name: plate for name, plate in plates.items() if name in modules}
    return Checked(shapes, of_modules, _lengths(observations), sizes, groups, tuple(remarks))


def _check_open_ports(
    modules: Mapping[str, Module], observations: Mapping[str, Observation], wires: Sequence[Wire]
) -> None:
    wired = {(wire.parent, wire.into) for wire in wires}
    for name, module in modules.items():
        for port, declaration in module.ins():
            if not declaration.optional and (name, port) not in wired:
                accepts = " or ".join(message.__name__ for message in declaration.accepts)
                raise WiringError(
                    f"Expected a wire at {name}.{port}, which takes {accepts}; it is open. "
                    f"Wire it: graph.connect(<an Out port>, {name}.{port}).",
                    f"{name}.{port}",
                )
    for name in observations:
        if not any(wire.child == name for wire in wires):
            raise WiringError(
                f"Observation {name!r} is connected to nothing. Wire it: graph.connect({name}.value, <an In port>).",
                f"{name}.value",
            )


def _check_products(wires: Sequence[Wire]) -> None:
    """Refuse what cannot be multiplied: a whole mixture beside any other message to the same variable."""
    for wire in wires:
        others = [other for other in wires if other.variable == wire.variable and other.sends_back and other != wire]
        if wire.sends_back and wire.back is MixturePotential and others:
            raise WiringError(
                f"{wire.target} sends a whole mixture to {wire.variable}, which cannot be multiplied by what "
                f"{others[0].target} sends. Use message='expected' there, or backward=False on one of the two wires.",
                wire.target,
                others[0].target,
            )


def plate_sizes(observations: Mapping[str, Observation]) -> dict[str, int]:
    """How many items each plate has: as many as lie on it, or as groups of it are named where nothing does."""
    firsts: dict[str, str] = {}
    for name, observation in observations.items():
        first = firsts.setdefault(observation.plate, name)
        if len(observations[first]) != len(observation):
            raise PlateError(
                f"Expected as many items in {name!r} as in {first!r}, which share the plate {observation.plate!r}; "
                f"got {len(observation)} and {len(observations[first])}. "
                "Give them the same rows, or plates of their own.",
                f"{first}.value",
                f"{name}.value",
            )
    sizes = {plate: len(observations[first]) for plate, first in firsts.items()}
    for observation in observations.values():
        for plate, ids in observation.groups.items():
            if plate not in firsts:
                sizes[plate] = max(sizes.get(plate, 0), int(ids.max()) + 1)
    return sizes


def _plates(
    observations: Mapping[str, Observation], modules: Mapping[str, Module], wires: Sequence[Wire]
) -> dict[str, str]:
    """The plate of everything that has data below it."""
    found = {name: (observation.plate, f"{name}.value") for name, observation in observations.items()}
    for _ in modules:  # enough passes for the longest path
        for wire in wires:
            if wire.child not in found:
                continue
            plate, source = wire.pool or found[wire.child][0], wire.variable
            known = found.setdefault(wire.parent, (plate, source))
            if known[0] != plate:
                raise PlateError(
                    f"{wire.parent} is wired to {known[1]} on the plate {known[0]!r} and to {source} on the plate "
                    f"{plate!r}. A module's ports share one plate: pool the items of one into the other, with "
                    "graph.connect(..., pool=plate), if they belong to its rows.",
                    known[1],
                    source,
                )
    return {name: plate for name, (plate, _) in found.items()}


def _groups(
    observations: Mapping[str, Observation],
    plates: Mapping[str, str],
    sizes: dict[str, int],
    wires: Sequence[Wire],
) -> dict[str, Groups]:
    """Which group each item belongs to, for each pooled wire; a plate of groups that nothing names gets its size."""
    found = {}
    for wire in wires:
        if wire.pool is None:
            continue
        plate = plates.get(wire.child)
        if plate is None or plate == wire.pool:
            where = "no plate that is known: nothing is observed below it" if plate is None else "that plate already"
            raise PlateError(
                f"Expected items of another plate to pool into {wire.pool!r} at {wire.target}; {wire.variable} lies on "
                f"{where}.",
                wire.variable,
                wire.target,
            )
        ids = _ids(observations, plate, wire, sizes)
        size = sizes.setdefault(wire.pool, len(ids))
        if int(ids.max()) >= size:
            row = int((ids >= size).nonzero()[0])
            raise PlateError(
                f"Expected groups from 0 to {size - 1}, as the plate {wire.pool!r} has {size} rows; got "
                f"{int(ids[row])} at row {row} of the plate {plate!r}. Give {wire.pool!r} a row for each group, "
                "flagged missing where nothing was observed of it.",
                wire.variable,
                wire.target,
            )
        found[wire.target] = Groups(ids, size)
    return found


def _ids(observations: Mapping[str, Observation], plate: str, wire: Wire, sizes: Mapping[str, int]) -> Tensor:
    """What the observations of a plate say of the groups that its rows belong to; one may say it, or several alike."""
    assert wire.pool is not None
    here = {name: one for name, one in observations.items() if one.plate == plate}
    stated = {name: one.groups[wire.pool] for name, one in here.items() if wire.pool in one.groups}
    if stated:
        first, ids = next(iter(stated.items()))
        for name, other in stated.items():
            if not torch.equal(ids, other):
                raise PlateError(
                    f"Expected the same groups of {wire.pool!r} in {name!r} as in {first!r}, which share the plate "
                    f"{plate!r}; got others. Give them the same ids, or plates of their own.",
                    f"{first}.value",
                    f"{name}.value",
                )
        return ids
    if here and all(one.point.missing is not None and bool(one.point.missing.all()) for one in here.values()):
        return torch.arange(sizes[plate])  # nothing is known of the members: one stands for each group
    others = sorted({name for one in here.values() for name in one.groups})
    sayers = " or ".join(here) or "an observation on it"
    raise PlateError(
        f"{wire.variable} is pooled into {wire.pool!r} at {wire.target}, and nobody says which row of {wire.pool!r} "
        f"each row of the plate {plate!r} belongs to.{suggestion(wire.pool, others)} Say it with {sayers}: "
        f"Observation(values, plate={plate!r}, groups={{{wire.pool!r}: ids}}).",
        wire.variable,
        wire.target,
    )


def _lengths(observations: Mapping[str, Observation]) -> dict[str, Tensor]:
    """The sequences of each plate, which one of its observations may state, or several alike."""
    stated: dict[str, tuple[str, Tensor]] = {}
    for name, observation in observations.items():
        if observation.lengths is None:
            continue
        first, lengths = stated.setdefault(observation.plate, (name, observation.lengths))
        if not torch.equal(lengths, observation.lengths):
            raise PlateError(
                f"Expected the same sequences in {name!r} as in {first!r}, which share the plate "
                f"{observation.plate!r}; got {len(observation.lengths)} and {len(lengths)} of them, or others. "
                "Give them the same ids, or plates of their own.",
                f"{first}.value",
                f"{name}.value",
            )
    return {plate: lengths for plate, (_, lengths) in stated.items()}


def _shapes(
    modules: Mapping[str, Module],
    observations: Mapping[str, Observation],
    wires: Sequence[Wire],
    order: Sequence[str] | None,
) -> dict[str, dict[str, Shape]]:
    out: dict[str, Shape] = {f"{name}.value": node.point.event_shape for name, node in observations.items()}
    shapes: dict[str, dict[str, Shape]] = {}
    # In a cycle some shapes below are not known at first: a module gets None for them, and is asked again.
    for name in order or [*modules] * len(modules):
        module = modules[name]
        below = {(wire.into, wire.key): (out.get(wire.variable), wire) for wire in wires if wire.parent == name}
        for shape, wire in below.values():
            if shape is not None and issubclass(wire.forward, _VECTORS) and len(shape) != 1:
                raise ShapeError(
                    f"Expected vectors (D,) at {wire.target}; got events of shape {shape} from {wire.variable}. "
                    "Reshape the data to N x D; one item is a row too: values[None].",
                    wire.variable,
                    wire.target,
                )
        ins = {port: _shape_below(port, declaration, below) for port, declaration in module.ins()}
        stated = (
            method(module, "event_shapes", "which gives the shapes at its ports")(**ins) if _must_state(module) else {}
        )
        _check_stated(name, module, stated, below)
        shapes[name] = {
            wire.target.removeprefix(f"{name}."): shape for shape, wire in below.values() if shape is not None
        }
        for port, _ in module.outs():
            shapes[name][port] = out[f"{name}.{port}"] = tuple(stated[port])
    return shapes


def _must_state(module: Module) -> bool:
    return has(module, "event_shapes") or any(True for _ in module.outs())


def _shape_below(
    port: str, declaration: In | Ins, below: Mapping[tuple[str, str | None], tuple[Shape | None, Wire]]
) -> Shape | dict[str, Shape | None] | None:
    if isinstance(declaration, Ins):
        return {key: shape for (into, key), (shape, _) in below.items() if into == port and key is not None}
    return below[port, None][0] if (port, None) in below else None


def _check_stated(
    name: str,
    module: Module,
    stated: Mapping[str, Shape],
    below: Mapping[tuple[str, str | None], tuple[Shape | None, Wire]],
) -> None:
    given: object = stated  # whatever a module of the user's own returns
    if not isinstance(given, Mapping) or not all(isinstance(shape, tuple) for shape in given.values()):
        raise ShapeError(
            f"Expected {name}.event_shapes to give a tuple for each port, {{'z': (2,)}}; got {stated}.", name
        )
    for port, declaration in module.ports.items():
        if isinstance(declaration, Out) and port not in stated:
            raise ShapeError(f"Expected {name}.event_shapes to give the shape of {port!r}; got {dict(stated)}.", name)
    for (port, _), (shape, wire) in below.items():
        if port in stated and shape is not None and tuple(stated[port]) != shape:
            raise ShapeError(
                f"Expected events of shape {tuple(stated[port])} at {wire.target}; got {shape} from {wire.variable}.",
                wire.variable,
                wire.target,
            )


def _check_ranges(
    modules: Mapping[str, Module],
    observations: Mapping[str, Observation],
    wires: Sequence[Wire],
    groups: Mapping[str, Groups],
) -> None:
    for wire in wires:
        module, observation = modules[wire.parent], observations.get(wire.child)
        if observation is None:
            continue
        least, most = observation.value_range
        largest = torch.finfo(module.dtype).max
        if least < -largest or most > largest:
            raise DataError(
                f"Expected values that {module.dtype} holds at {wire.target}; got values from {least:g} to {most:g} "
                f"from {wire.variable}. Rescale them.",
                wire.child,
            )
        if not has(module, "supports"):
            continue
        supports: Mapping[str, tuple[float, float]] = method(module, "supports", "which it has")()
        low, high = supports.get(wire.into, (float("-inf"), float("inf")))
        # Sums of what is never below 0 are not either, so that counts need no pass over the data.
        if wire.pool is not None and not wire.average and not (low <= 0 <= least and high == float("inf")):
            least, most = _range_of_sums(observation, groups[wire.target])
        if least < low or most > high:
            raise DataError(
                f"Expected values within [{low:g}, {high:g}] at {wire.target}; got values from {least:g} to {most:g} "
                f"from {wire.variable}. Rescale them: for 8-bit images, Observation(images, scale=1 / 255).",
                wire.child,
            )


def _range_of_sums(observation: Observation, groups: Groups) -> tuple[float, float]:
    sums = groups.pooled(observation.point)
    if isinstance(sums, SparsePoint):
        values = torch.cat([sums.values, sums.values.new_zeros(1)])  # what is not stored is 0
        return float(values.min()), float(values.max())
    assert isinstance(sums, Point)
    here = sums.value[~sums.missing_rows()]
    if not len(here):
        return math.inf, -math.inf  # no sum, and none that is out of range
    least, most = here.aminmax()
    return float(least), float(most)


def _module_remarks(modules: Mapping[str, Module], wires: Sequence[Wire]) -> Iterator[str]:
    """What modules themselves have to say about their wiring, each under its name."""
    for name, module in modules.items():
        if not has(module, "check_wiring"):
            continue
        connected, owned = ports_wired(name, module, wires)
        try:
            for remark in method(module, "check_wiring", "which it has")(connected, owned):
                yield f"{name}: {remark}"
        except WiringError as error:
            raise WiringError(f"{name}: {error}", name) from error


def ports_wired(name: str, module: Module, wires: Sequence[Wire]) -> tuple[frozenset[str], frozenset[str]]:
    """The ports of a module that are wired, and the Out ports whose prior p(v) is its own."""
    below = {wire.into for wire in wires if wire.parent == name}
    above = [wire for wire in wires if wire.child == name]
    taken = {wire.out for wire in above if wire.owned_by_parent}
    owned = frozenset(port for port, _ in module.outs() if port not in taken)
    return frozenset(below | {wire.out for wire in above}), owned


def _remarks(wires: Sequence[Wire]) -> list[str]:
    remarks = []
    for variable in dict.fromkeys(wire.variable for wire in wires):
        parents = [wire.parent for wire in wires if wire.variable == variable and wire.owned_by_parent]
        if len(parents) > 1:
            remarks.append(
                f"{variable} has several parents ({', '.join(parents)}): its prior is the product of their potentials, "
                "whose normaliser is not tracked, so F is no bound and nothing is guaranteed."
            )
    return remarks
