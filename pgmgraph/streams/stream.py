"""Learning from data that come as one learns: chunk after chunk, with what was learnt before kept in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pgmgraph.checkpoints import Checkpoints
from pgmgraph.errors import ScheduleError
from pgmgraph.executors import Executor
from pgmgraph.graph import ModelGraph
from pgmgraph.learning import Learning, Watcher
from pgmgraph.recording import Recording
from pgmgraph.schedules import Schedule
from pgmgraph.streams.course import ChunkLearnt, Course, Limits
from pgmgraph.streams.memory import Memory
from pgmgraph.streams.source import Source, Together

EVERY_CHUNK = Checkpoints()


def fit_stream(
    graph: ModelGraph,
    source: Source | Mapping[str, Source],
    *,
    chunk: int | None = 1000,
    first: int | None = None,
    rounds: int = 1,
    forgetting: float = 1.0,
    keep: int = 0,
    max_items: int | None = None,
    wait: float | None = None,
    schedule: Schedule = "bottom_up",
    seed: int = 0,
    callbacks: Sequence[Watcher] = (),
    frozen: Sequence[str] = (),
    objective: bool = True,
    run_dir: str | Path | None = None,
    resume: bool | str = False,
    checkpoints: Checkpoints = EVERY_CHUNK,
    notes: Mapping[str, Any] | None = None,
    executor: Executor | None = None,
    device: str = "auto",
) -> Iterator[ChunkLearnt]:
    """Let the modules of a graph learn from data as they come. Iterate over what it returns, or nothing is learnt.

    Each chunk is learnt by some rounds, then let go. Modules that learn by statistics take every step on

        forgetting * (sums of earlier chunks) + (sums of the present one),

    so that a pass over the stream, chunk by chunk, is incremental EM (Neal and Hinton, 1998), or streaming variational
    Bayes (Broderick et al., 2013). Modules that learn by gradients take their steps on the chunk, and with `keep` on a
    reservoir of old items too. See the page on streams.

    What the observations of the graph hold already is the first chunk; a placeholder (`Observation.placeholder`) holds
    nothing. Of a graph that was learnt from a stream before, the memory goes on.

    Args:
        graph: modules and observations, wired.
        source: blocks of rows, one after another, from anything that can be iterated over: arrays (n, *event) or single
            rows (*event), for a graph with one observation; mappings from the names of observations to these, or to
            `Observation(values, missing=..., sequences=...)`. Or such a source for each observation by its name, of
            which one block each is taken at a time. None means that there is nothing for the moment.
        first: rows of the first chunk, where it is to be larger: mixtures start from it, and take their scales from it.
        chunk: rows that are learnt from together; None takes blocks as they come, for whole sequences.
        rounds: of the schedule, for each chunk.
        forgetting: what the past counts for, after each chunk: 1 for a world that stays as it is; with less the model
            follows one that changes, and remembers about chunk / (1 - forgetting) items.
        keep: how many old items are kept, and learnt from beside each new chunk. They then take the place of the sums:
            what they say is computed anew, by latents as they are now, and each stands for as many items as
            were let go. For graphs with networks, whose latents move.
        max_items: ends after so many rows of the source.
        wait: how many seconds a chunk waits to be filled once its source says that it has nothing; by default for
            ever.
        schedule: see `fit`, for this and what has no other word here.
        seed: what all randomness follows from.
        callbacks: functions that receive events, and scorers.
        frozen: modules that send but do not learn.
        objective: whether F is computed.
        run_dir: a folder for the configuration, the history and checkpoints after each chunk. Ctrl-C then ends learning
            where the module in hand is done, and what was learnt up to the last chunk is kept.
        resume: go on with the run in `run_dir`: the sums, kept items and rows that waited are taken up again. A
            source that can, such as `FolderSource`, goes on where it was; any other gives what comes next.
        checkpoints: how often they are written, and which are kept. One is never written within a chunk.
        notes: plain values that the run directory keeps beside its configuration.
        executor: where modules run.
        device: for modules that are not set up yet.

    Yields:
        An account of each chunk when it has been learnt. Whoever stops iterating ends the stream.

    Raises:
        ScheduleError: an argument that no stream can have; at once.
        DataError: a row that no model can take; what was learnt before stays learnt.
        WiringError, LearningError, RunError, OutputError, Interrupted: see `fit`.
    """
    numbers = {"chunk": chunk, "first": first, "rounds": rounds, "max_items": max_items}
    for name, number in numbers.items():
        if number is not None and number < 1:
            raise ScheduleError(f"Expected {name} of at least 1; got {number}.")
    if not 0 < forgetting <= 1:
        raise ScheduleError(f"Expected forgetting above 0 and at most 1; got {forgetting}.")
    if keep < 0 or (wait is not None and wait < 0):
        raise ScheduleError(f"Expected keep and wait of 0 or more; got {keep} and {wait}.")
    if run_dir is None and resume:
        raise ScheduleError("Expected the run_dir of a run to resume; got none.")
    if resume and (graph.rounds_done or graph.contexts):
        raise ScheduleError("Expected a new graph to resume a run with; got one that has learnt. Make it again.")
    if keep:
        _check_replay(graph)
    arguments = {
        "rounds": rounds,
        "chunk": chunk,
        "first": first,
        "forgetting": forgetting,
        "keep": keep,
        "schedule": schedule,
        "seed": seed,
        "frozen": list(frozen),
        "objective": objective,
        "device": device,
    }
    course = Course(
        lambda data, watchers: Learning(
            graph, data, schedule, seed, [*callbacks, *watchers], frozen, False, objective, executor, device
        ),
        Together(source) if isinstance(source, Mapping) else source,
        Memory(forgetting, keep, seed),
        Limits(first, chunk, rounds, max_items, wait),
    )
    recording = None if run_dir is None else Recording(run_dir, checkpoints, resume, by="fit_stream")
    return course.run(graph, recording, arguments, notes or {})


def _check_replay(graph: ModelGraph) -> None:
    """Refuse to show old items again where they are no rows of one plate, each by itself."""
    plates = {one.plate for one in graph.observations.values()}
    if len(plates) > 1:
        raise ScheduleError(
            f"Expected observations on one plate, to keep items of; the graph has {', '.join(sorted(plates))}. "
            "Leave keep out."
        )
    for name, module in graph.modules.items():
        if module.sequential:
            raise ScheduleError(f"{name} looks along time, and single items are no sequences. Leave keep out.", name)
