"""Inference: what a fitted graph believes about data, with all parameters frozen."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from pgmgraph.engine import Data, Engine, require_fitted, silent
from pgmgraph.errors import UnknownNameError, suggestion
from pgmgraph.executors import Executor
from pgmgraph.graph import ModelGraph
from pgmgraph.messages import Message
from pgmgraph.observation import Observation, Values
from pgmgraph.variables import Beliefs

_SAME = 1e-6


def infer(
    graph: ModelGraph,
    data: Data | None = None,
    *,
    predict: Sequence[str] = (),
    rounds: int = 50,
    seed: int = 0,
    executor: Executor | None = None,
) -> Beliefs:
    """What the graph believes about data, new or its own. Nothing is learnt, and the graph is not changed.

    Messages are sent upwards, and round again as long as a message from above changes a belief below
    (never, for modules whose belief does not depend on what comes from above).

    Args:
        graph: a fitted graph.
        data: values by the name of the observation, of any N; those left out count as missing. By
            default the graph's own data.
        predict: names of observations whose values are wanted as the model sees them (reconstructions).
        rounds: how many rounds of messages at most.
        seed: what randomness follows from, where a module needs any.
        executor: where modules run; in this process by default.

    Returns:
        A belief about every latent variable, and a message for each name of `predict`. Items of which
        nothing was observed below a module are flagged missing; `generate` draws such things.

    Raises:
        NotFittedError: a module has learnt nothing yet.
        UnknownNameError, DataError, ShapeError: the data do not fit the graph.
    """
    require_fitted(graph)  # before an engine sets modules up, which is for `fit` to do
    engine = Engine(graph, _complete(graph, data), seed=seed, device="auto", executor=executor, watcher=silent)
    wanted = [(name, *_explainer(graph, name)) for name in predict]
    settle(engine, engine.order(), rounds)
    found = dict(engine.mail.beliefs)
    for name, module, port in wanted:
        found[name] = engine.predict(module, port)
    return Beliefs(found)


def settle(engine: Engine, order: Sequence[str], rounds: int) -> None:
    """Send in order, then again those whose mail has changed since, until what is sent stands still."""
    modules = engine.graph.modules
    due = {name for name in order if engine.mail.ready(name)}
    for _ in range(rounds):
        for name in order:
            if name not in due:
                continue
            due.remove(name)
            above = engine.graph.wires_above(name)
            before = {wire: engine.mail.sent(wire.variable) for wire in above}
            engine.send(name)
            due |= {
                wire.parent
                for wire in above
                if engine.mail.ready(wire.parent) and not _same(before[wire], engine.mail.sent(wire.variable))
            }
            due |= {
                wire.child
                for wire in engine.graph.wires_below(name)
                if wire.sends_back and wire.child in order and not modules[wire.child].amortised
            }
        if not due:
            return
    warnings.warn(
        f"Beliefs still change after {rounds} rounds of messages; infer takes rounds=n for more.", stacklevel=3
    )


def _same(before: Message | None, after: Message | None) -> bool:
    """Whether two messages agree to a millionth of the size of what they hold."""
    if before is None or after is None or type(before) is not type(after) or len(before) != len(after):
        return False
    for name in (*after.per_item, *after.shared):
        old: Tensor = getattr(before, name)
        new: Tensor = getattr(after, name)
        if not torch.allclose(old.double(), new.double(), rtol=_SAME, atol=_SAME):
            return False
    return True


def _complete(graph: ModelGraph, data: Data | None) -> Data | None:
    """The data given, and for every other observation as many missing rows."""
    if not isinstance(data, Mapping):
        return data  # the engine refuses what is neither data by name nor None
    given = {
        name: graph.observations[name].replaced(values, name)
        for name, values in data.items()
        if name in graph.observations
    }
    complete: dict[str, Values | Observation] = {**data, **given}
    for name, observation in graph.observations.items():
        peers = [one for other, one in given.items() if graph.observations[other].plate == observation.plate]
        if name not in data and peers:
            complete[name] = observation.absent(len(peers[0]))
    return complete


def _explainer(graph: ModelGraph, name: str) -> tuple[str, str]:
    """The module and port that explain an observation."""
    if name not in graph.observations:
        raise UnknownNameError(
            f"No observation named {name!r} to predict.{suggestion(name, graph.observations)} "
            f"The graph has: {', '.join(graph.observations)}.",
            name,
        )
    wire = graph.wires_above(name)[0]
    return wire.parent, wire.target.removeprefix(f"{wire.parent}.")
