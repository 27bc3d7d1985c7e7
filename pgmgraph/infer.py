"""Inference: what a fitted graph believes about data, with all parameters frozen."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from pgmgraph.checks import plate_sizes
from pgmgraph.engine import Data, Engine, require_fitted, silent
from pgmgraph.errors import DataError, UnknownNameError, suggestion
from pgmgraph.executors import Executor
from pgmgraph.filling import filled
from pgmgraph.graph import ModelGraph
from pgmgraph.matrices import SparseMatrix
from pgmgraph.messages import Message
from pgmgraph.observation import Observation, Values
from pgmgraph.variables import Beliefs

_SAME = 1e-6
_BATCH_SIZE = 65_536


def infer(
    graph: ModelGraph,
    data: Data | None = None,
    *,
    predict: Sequence[str] = (),
    draws: int = 100,
    rounds: int = 50,
    batch_size: int | None = None,
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
        draws: from how many draws what is missing is filled in; 0 leaves it out. The error of a mean is the
            predictive deviation over the root of `draws`.
        rounds: how many rounds of messages at most.
        batch_size: how many rows are inferred at a time; see `infer_blocks`.
        seed: what randomness follows from: the draws, and what a module needs.
        executor: where modules run; in this process by default.

    Returns:
        A belief about every latent variable, about every observation of which rows are missing, and a message for each
        name of `predict`. The flag `missing` says of which rows nothing was observed. They hold what the model predicts
        given all that was observed elsewhere: the mean and the variance of a `Gaussian`, the probabilities of a
        `Categorical`, by draws from the top down. Where no module can draw, they hold placeholders.
        Of an observation, the belief is a `Categorical` where its module predicts a class, and otherwise a `Gaussian`
        over its values laid out as vectors, (N, D); what was observed has variance 0. One whose values are kept sparse
        is left out, unless `predict` names it.

    Raises:
        NotFittedError: a module has learnt nothing yet.
        UnknownNameError, DataError, ShapeError: the data do not fit the graph.
    """
    return Beliefs.concatenate(
        list(
            infer_blocks(
                graph,
                data,
                predict=predict,
                draws=draws,
                rounds=rounds,
                batch_size=batch_size,
                seed=seed,
                executor=executor,
            )
        )
    )


def infer_blocks(
    graph: ModelGraph,
    data: Data | None = None,
    *,
    predict: Sequence[str] = (),
    draws: int = 100,
    rounds: int = 50,
    batch_size: int | None = None,
    seed: int = 0,
    executor: Executor | None = None,
) -> Iterator[Beliefs]:
    """What `infer` gives, block of rows after block: data and beliefs need not fit into memory.

    `save_beliefs(infer_blocks(graph, {"pixels": memory_map}), "beliefs.npz")` holds one block at a time.

    Rows are inferred each by itself, so the blocks change nothing but rounding, except where the modules themselves
    look further than the row: messages that go round stop when a whole block stands still, to a millionth; a module
    that sends draws (`VAE(send="sample")`) draws others in another block; and the fixed noise of a
    `GMM(message="mixture")` goes by the place in the block, and is the same in blocks of a multiple of 4,096 rows
    without missing ones. What is missing is drawn anew in each block.

    Args:
        graph: see `infer`, for the next ones too.
        data: values by the name of the observation.
        predict: names of observations.
        draws: from how many draws what is missing is filled in.
        rounds: how many rounds of messages at most.
        batch_size: the rows of a block. By default 65,536; but the whole plate where a module takes it at once
            (`Module.at_once` is None), as a transform does that knows the values it was fitted to, or looks along
            time, and where observations lie on several plates, which have no common rows.
        seed: what randomness follows from; each block has its own.
        executor: where modules run.

    Yields:
        The beliefs about one block of consecutive rows.

    Raises:
        NotFittedError, UnknownNameError, DataError, ShapeError: see `infer`; at once, before the first block.
    """
    if batch_size is not None and batch_size < 1:
        raise DataError(f"Expected batch_size of at least 1; got {batch_size}.")
    if draws < 0:
        raise DataError(f"Expected draws of 0 or more; got {draws}.")
    require_fitted(graph)  # before an engine sets modules up, which is for `fit` to do
    engine = Engine(graph, complete(graph, data), seed=seed, device="auto", executor=executor, watcher=silent)
    wanted = [(name, *_explainer(graph, name)) for name in predict]
    return _inferred(engine, wanted, draws, rounds, _blocks(engine, batch_size))


def _inferred(
    engine: Engine, wanted: Sequence[tuple[str, str, str]], draws: int, rounds: int, blocks: Sequence[slice]
) -> Iterator[Beliefs]:
    settled = True
    for number, rows in enumerate(blocks):
        engine.take(rows)
        if not settle(engine, engine.order(), rounds, number) and settled:
            settled = False
            warnings.warn(
                f"Beliefs still change after {rounds} rounds of messages; infer takes rounds=n for more.", stacklevel=3
            )
        found = dict(engine.mail.beliefs)
        for name, module, port in wanted:
            found[name] = engine.predict(module, port, number)
        yield Beliefs(filled(engine, found, draws, number) if draws else found)


def _blocks(engine: Engine, batch_size: int | None) -> list[slice]:
    """The rows of each block; all of them at once where they cannot be told apart."""
    plates = {one.plate for one in engine.observations.values()} | set(engine.checked.plates.values())
    along_time = [name for name, module in engine.graph.modules.items() if module.sequential]
    whole = bool(along_time) or any(module.at_once is None for module in engine.graph.modules.values())
    if along_time and batch_size is not None:
        raise DataError(
            f"Expected no batch_size, since {along_time[0]} looks along time and rows cannot be cut apart; got "
            f"{batch_size}. Leave it out, or infer some sequences at a time."
        )
    if len(plates) > 1 and batch_size is not None:
        raise DataError(
            f"Expected data on one plate, to infer {batch_size} rows at a time; the graph has {', '.join(plates)}. "
            "Leave batch_size out."
        )
    if len(plates) != 1 or (whole and batch_size is None):
        return [slice(None)]
    items, size = max(engine.items.values()), batch_size or _BATCH_SIZE
    return [slice(begin, begin + size) for begin in range(0, items, size)]


def settle(engine: Engine, order: Sequence[str], rounds: int, block: int = 0) -> bool:
    """Send in order, then again those whose mail has changed since; whether what is sent came to stand still."""
    modules = engine.graph.modules
    due = {name for name in order if engine.mail.ready(name)}
    for _ in range(rounds):
        for name in order:
            if name not in due:
                continue
            due.remove(name)
            above = engine.graph.wires_above(name)
            before = {wire: engine.mail.sent(wire.variable) for wire in above}
            engine.send(name, block)
            due |= {
                wire.parent
                for wire in above
                if engine.mail.ready(wire.parent) and not _same(before[wire], engine.mail.sent(wire.variable))
            }
            due |= {
                wire.child
                for wire in engine.graph.wires_below(name)
                if wire.sends_back
                and wire.child in order
                and engine.mail.ready(wire.child)
                and not modules[wire.child].amortised
            }
        if not due:
            return True
    return False


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


def complete(graph: ModelGraph, data: Data | None) -> Data | None:
    """The data given, and for every other observation as many missing rows."""
    if not isinstance(data, Mapping):
        return data  # the engine refuses what is neither data by name nor None
    given = {
        name: graph.observations[name].replaced(values, name)
        for name, values in data.items()
        if name in graph.observations
    }
    complete: dict[str, Values | SparseMatrix | Observation] = {**data, **given}
    sizes = plate_sizes(given)
    for name, observation in graph.observations.items():
        # Of groups that nothing is known of their members, one member each stands for all.
        known = [sizes[plate] for plate in (observation.plate, *observation.groups) if plate in sizes]
        if name not in data and known:
            complete[name] = observation.absent(known[0])
    return complete


def _explainer(graph: ModelGraph, name: str) -> tuple[str, str]:
    """The module and port that explain an observation."""
    if name not in graph.observations:
        raise UnknownNameError(
            f"No observation named {name!r} to predict.{suggestion(name, graph.observations)} "
            f"The graph has: {', '.join(graph.observations)}.",
            name,
        )
    wires = graph.wires_above(name)
    wire = next((one for one in wires if one.pool is None), None)
    if wire is None:
        raise DataError(
            f"Expected observations that are explained row by row, to predict; {name!r} is pooled into "
            f"{wires[0].pool!r} at {wires[0].target}, which knows sums alone. Leave it out of predict.",
            name,
        )
    return wire.parent, wire.target.removeprefix(f"{wire.parent}.")
