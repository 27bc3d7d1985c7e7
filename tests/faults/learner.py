"""A run that learns in a process of its own, so that it can be disturbed by any means."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TypeAlias

import torch

from pgmgraph import Checkpoints, FitResult, ModelGraph, Observation, Run, fit
from pgmgraph.datasets import load_bundled_digits
from pgmgraph.errors import Interrupted, PgmgraphError
from pgmgraph.events import Event
from pgmgraph.schedules import Schedule
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.vae import VAE
from tests.bits import bits_of

ROUNDS = 12
SECONDS = 60  # that no run takes, on the busiest machine; whoever waits longer waits for ever

IMAGES = load_bundled_digits().train_images[:150]

Trouble: TypeAlias = Callable[[Event], None]
"""Makes trouble at an event, in the process that learns."""


@dataclass(frozen=True)
class Answer:
    """How a run ended.

    Attributes:
        kind: "finished", or the name of the error.
        text: a hash of all that was learnt, or what the error says.
    """

    kind: str
    text: str


def digits() -> ModelGraph:
    """A VAE and a mixture, on scikit-learn's digits."""
    pixels = Observation(IMAGES, scale=1 / 255)
    vae, gmm = VAE(2, hidden=(8,), batch_size=50), GMM(3, starts=1)
    graph = ModelGraph(pixels=pixels, vae=vae, gmm=gmm)
    graph.connect(pixels.value, vae.x)
    graph.connect(vae.z, gmm.x)
    return graph


def learn(path: Path, schedule: Schedule, trouble: Trouble | None = None) -> Answer:
    """Begin a run, or go on with the one that is there; in this process."""
    graph = digits()
    try:
        result = fit(
            graph,
            rounds=ROUNDS,
            schedule=schedule,
            run_dir=path,
            resume=(path / "run.yaml").exists(),
            checkpoints=Checkpoints(keep=2),
            callbacks=[trouble] if trouble else [],
            report=False,
        )
    except (PgmgraphError, Interrupted) as error:
        return Answer(type(error).__name__, str(error))
    return Answer("finished", fingerprint(result, Run(path)))


def fingerprint(result: FitResult, run: Run) -> str:
    """The bits of all that came of a run but for the seconds; in memory, and on disk."""
    histories = (result.history, run.history)
    columns = [{name: column for name, column in one.items() if name != "seconds"} for one in histories]
    traces = [[(entry.F, entry.terms) for entry in trace] for trace in (result.trace, run.trace)]
    kept = run.read().snapshot
    return bits_of([columns, traces, dict(result.beliefs), kept.modules, kept.mail, result.rounds, result.reason])


# Forked from a process that has imported everything and has one thread, children begin to learn at once.
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.faults.warm"])


def _answered(answers: Connection, work: Callable[..., Answer], *arguments: object) -> None:
    torch.set_num_threads(1)
    answers.send(work(*arguments))


@contextmanager
def child(work: Callable[..., Answer], *arguments: object) -> Iterator[tuple[BaseProcess, Connection]]:
    """A process that does `work`, and where its answer comes in; killed at the end if it still runs."""
    answers, sender = _CONTEXT.Pipe(duplex=False)
    process = _CONTEXT.Process(target=_answered, args=(sender, work, *arguments))
    process.start()
    sender.close()
    try:
        yield process, answers
    finally:
        process.kill()
        process.join()
        process.close()
        answers.close()


def answer_of(work: Callable[..., Answer], *arguments: object) -> Answer:
    """What `work` answers, in a process of its own."""
    with child(work, *arguments) as (_, answers):
        assert answers.poll(SECONDS), "It hangs."
        answer: Answer = answers.recv()  # at an EOFError, see its traceback on stderr: something else came out
        return answer
