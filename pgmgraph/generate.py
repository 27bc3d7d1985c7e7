"""Generation: fix some variables, infer upwards from them, sample downwards."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from pgmgraph.engine import Engine, require_fitted, silent
from pgmgraph.errors import DataError, UnknownNameError, suggestion
from pgmgraph.executors import Executor
from pgmgraph.filling import variables_at
from pgmgraph.graph import ModelGraph
from pgmgraph.infer import complete, settle
from pgmgraph.messages import Belief, Categorical, CategoricalPotential, Gaussian, Message, Point
from pgmgraph.module import Draws
from pgmgraph.observation import Observation, Values
from pgmgraph.ports import OutPort
from pgmgraph.randomness import seed_of, seeded
from pgmgraph.variables import Drawn

_ROUNDS = 50


def generate(
    graph: ModelGraph,
    clamped: Mapping[str, Values | float] | None = None,
    *,
    n: int = 1,
    temperature: float = 1.0,
    seed: int = 0,
    executor: Executor | None = None,
) -> Drawn:
    """Draw from the model, given the values of some variables.

    The clamped variables are explained upwards to the roots; then everything that is not clamped is
    sampled downwards from that posterior: latents that the clamped values tell something of from what is
    believed about them, all others from what lies above them. What follows from known values, as the output of
    a transform does, is not drawn.

    Args:
        graph: a fitted graph.
        clamped: values by the name of the variable: `{"gmm.c": 3}`, `{"vae.z": vectors}`,
            `{"pixels": images}`. One value is used for all rows; n values (a first dimension of n) one each.
        n: how many rows to draw, on each plate: one sequence, and groups of one member each.
        temperature: T; each variable is drawn from p^(1/T), normalised, given what was drawn before it. Below 1 draws
            are closer to what is typical, above 1 further away. The covariance of a normal is T times as large, log
            odds are divided by T; 0 takes the mode. What is believed of the clamped values is no draw and stays.
        seed: what the draws follow from: the same seed, n and clamped values draw the same.
        executor: where modules run; in this process by default.

    Returns:
        A tensor with n rows for each variable and each observation.

    Raises:
        NotFittedError: a module has learnt nothing yet.
        UnknownNameError, DataError: a clamped name or value that the graph does not have, values that no module
            explains, or a temperature at which there is nothing to draw from.
        CapabilityError: a module that is needed cannot sample, or knows no temperature.
        CycleError: the wires form a cycle, so that there is no way down.
    """
    if n < 1:
        raise DataError(f"Expected n of at least 1; got {n}.")
    if not 0 <= temperature < math.inf:
        raise DataError(f"Expected a temperature of 0 or more, and finite; got {temperature}.")
    require_fitted(graph)
    values = {name: _value(graph, name, value, n) for name, value in (clamped or {}).items()}
    # An observation knows how its values are scaled.
    seen = {name: _seen(graph, name, values[name]) for name in graph.observations if name in values}
    engine = Engine(graph, complete(graph, seen), seed=seed, device="auto", executor=executor, watcher=silent)
    engine.apart(n)
    order = graph.bottom_up()
    _explain(engine, order, values, seen)
    return Drawn(_descend(engine, order, values, n, temperature))


def _seen(graph: ModelGraph, name: str, value: Tensor) -> Observation:
    """A clamped observation, of which each row is a group of its own."""
    node = graph.observations[name]
    seen = node.replaced(value, name)
    pooled = {plate for one in graph.observations.values() if one.plate == node.plate for plate in one.groups}
    seen.groups = {plate: torch.arange(len(value)) for plate in pooled}
    return seen


def _value(graph: ModelGraph, name: str, value: Values | float, n: int) -> Tensor:
    """A clamped value as n rows of the variable's event shape; a discrete variable's value is its index."""
    variables = graph.variables
    if name not in variables:
        raise UnknownNameError(
            f"No variable named {name!r} to clamp.{suggestion(name, variables)} There are: {', '.join(variables)}.",
            name,
        )
    tensor = torch.as_tensor(value).detach()
    event = _event(graph, name, variables[name])
    if tensor.shape == event:
        tensor = tensor.expand(n, *event)
    if tensor.shape != (n, *event):
        raise DataError(
            f"Expected {event} or {(n, *event)} as the shape of a value for {name!r}; got {tuple(tensor.shape)}.", name
        )
    if tensor.is_floating_point() and not torch.isfinite(tensor).all():
        raise DataError(f"Expected finite values for {name!r}; got NaN or infinity.", name)
    states = _states(graph, name, variables[name])
    if states is not None and (tensor.is_floating_point() or tensor.min() < 0 or tensor.max() >= states):
        raise DataError(f"Expected integers from 0 to {states - 1} for {name!r}; got {value!r}.", name)
    return tensor


def _states(graph: ModelGraph, name: str, port: OutPort) -> int | None:
    """The number of values of a discrete variable, or None for a real one."""
    return graph.check().shapes[name.split(".")[0]][port.name][0] if port.declaration.belief is Categorical else None


def _event(graph: ModelGraph, name: str, port: OutPort) -> tuple[int, ...]:
    if isinstance(port.node, Observation):
        return port.node.point.event_shape
    return () if port.declaration.belief is Categorical else graph.check().shapes[name.split(".")[0]][port.name]


def _explain(
    engine: Engine, order: Sequence[str], values: Mapping[str, Tensor], seen: Mapping[str, Observation]
) -> None:
    """Send upwards from the clamped variables; what lies below or beside them has sent nothing."""
    graph = engine.graph
    engine.mail.clear()
    for name, value in values.items():
        port = graph.variables[name]
        if name in seen:
            engine.mail.clamp(f"{name}.{port.name}", seen[name].point)
            continue
        held_above = any(wire.held_by_parent for wire in graph.wires if wire.variable == name)
        engine.mail.clamp(name, _message(port, value, _states(graph, name, port), held_above))
    above = [name for name in order if not any(variable.startswith(f"{name}.") for variable in values)]
    if not settle(engine, above, _ROUNDS):
        warnings.warn(f"Beliefs about what lies above still change after {_ROUNDS} rounds of messages.", stacklevel=3)


def _message(port: OutPort, value: Tensor, states: int | None, held_above: bool) -> Message:
    belief = port.declaration.belief
    if states is not None:
        certain = torch.nn.functional.one_hot(value.long(), states).double()
        return CategoricalPotential(certain.log()) if held_above else Categorical(certain)
    if belief is Gaussian:
        return Gaussian(value.float(), torch.zeros_like(value.float()))
    return Point(value)


def _descend(
    engine: Engine, order: Sequence[str], clamped: Mapping[str, Tensor], n: int, temperature: float
) -> dict[str, Tensor]:
    """Sample from the top down; then what no module draws follows from what was drawn, as a label from a vector."""
    # What the clamped variables say of a latent comes before what its parent would draw for anyone.
    values = _down(engine, order, clamped, n, temperature)
    if values.keys() >= engine.graph.variables.keys():
        return values
    _explain(engine, order, {name: value for name, value in values.items() if "." in name}, {})
    return _down(engine, order, values, n, temperature)


def _down(
    engine: Engine, order: Sequence[str], known: Mapping[str, Tensor], n: int, temperature: float
) -> dict[str, Tensor]:
    """Every In variable of a module given its Out variables, from the top on, where it is not known yet."""
    graph, values = engine.graph, {**_told(engine, temperature), **known}
    untold = {name: rows for name, rows in _untold(engine).items() if name not in known}
    for name in reversed(order):
        ports = [*dict(graph.modules[name].outs()), *dict.fromkeys(wire.into for wire in graph.wires_below(name))]
        here = {variable for port in ports for variable in variables_at(graph, name, port).values()}
        if here <= values.keys() - untold.keys():
            continue  # it may be a module that cannot sample
        outs = [port for port, _ in graph.modules[name].outs()]
        if any(f"{name}.{port}" in untold for port in outs):
            # Nothing above has drawn it, so its prior is the module's own.
            prior = engine.sample(name, n, dict.fromkeys(outs), temperature, number=1)
            _put(graph, name, {port: prior[port] for port in outs}, values, untold)
        given = {port: values.get(f"{name}.{port}") for port in outs}
        _put(graph, name, engine.sample(name, n, given, temperature), values, untold)
    return values


def _put(graph: ModelGraph, name: str, drawn: Draws, values: dict[str, Tensor], untold: dict[str, Tensor]) -> None:
    """Take what a module drew where nothing was known; `untold` are rows at which values are placeholders."""
    for port, value in drawn.items():
        for key, variable in variables_at(graph, name, port).items():
            one = value if isinstance(value, Tensor) else value[str(key)]
            rows = untold.pop(variable, None)
            if rows is None:
                values.setdefault(variable, one)
            else:
                mask = rows.to(one.device).reshape(-1, *[1] * (one.ndim - 1))
                values[variable] = torch.where(mask, one, values[variable].to(one))


def _untold(engine: Engine) -> dict[str, Tensor]:
    """By latent, the rows of which the clamped values say nothing, as empty documents do, where there are any."""
    flagged = {variable: belief.missing_rows().cpu() for variable, belief in engine.mail.beliefs.items()}
    return {variable: rows for variable, rows in flagged.items() if rows.any()}


def _told(engine: Engine, temperature: float) -> dict[str, Tensor]:
    """A draw of each latent from what is believed about it, or its value, where the clamped variables say anything."""
    told = {}
    for variable, known in engine.mail.beliefs.items():
        if isinstance(known, Belief):
            with seeded(seed_of(engine.seed, variable, "sample", 0), known.device):
                told[variable] = known.draw(temperature)
        elif isinstance(known, Point):
            floating = known.value.is_floating_point()
            told[variable] = known.to(dtype=known.value.dtype if floating else torch.get_default_dtype()).value
    return told
