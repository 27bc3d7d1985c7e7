"""What the parts of the comparison on the field's data have in common: models by name, and what comes of a run."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from pgmgraph import Categorical, FitResult, Message, ModelGraph, accuracy, fit
from pgmgraph.schedules import Schedule

Counts: TypeAlias = NDArray[np.float64]
Labels: TypeAlias = NDArray[np.int64]
Data = TypeVar("Data")


@dataclass(frozen=True)
class Learnt:
    """What came of learning.

    Attributes:
        figures: what was measured, by name; the first one is the model's main figure.
        F: the joint objective at the end, in nats; None where it is not known.
    """

    figures: Mapping[str, float]
    F: float | None


@dataclass(frozen=True)
class Model(Generic[Data]):
    """One way to learn from the data of a part.

    Attributes:
        name: by which it is listed and filed.
        learn: learns it with a seed, and measures it.
        beside: the names of the models of its parts alone; what they have of its figures, it is compared by.
    """

    name: str
    learn: Callable[[Data, int], Learnt]
    beside: Sequence[str] = ()


@dataclass(frozen=True)
class Part(Generic[Data]):
    """A data set, and what is learnt from it.

    Attributes:
        name: a word, by which it is filed.
        load: the data, or with `quick` a small synthetic stand-in; None where they are not to be found.
        models: all of them, parts before what they are parts of.
        notes: what a reader of the report must know.
    """

    name: str
    load: Callable[[bool], Data | None]
    models: Sequence[Model[Data]]
    notes: Sequence[str]


def serket(name: str) -> dict[str, NDArray[np.generic]] | None:
    """The arrays of `serket/<name>.npz` in the folder that $PGMGRAPH_DATA names; None where it is absent."""
    file = Path(os.environ.get("PGMGRAPH_DATA", "")) / "serket" / f"{name}.npz"
    if not file.is_file():
        return None
    with np.load(file) as arrays:
        return dict(arrays)


def learnt(
    graph: ModelGraph,
    rounds: int,
    seed: int,
    *,
    schedule: Schedule = "bottom_up",
    restarts: int = 1,
    restart_rounds: int = 1,
) -> FitResult:
    """Learn, and say nothing of what holds in every run, such as that a tempered model has no guarantee."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return fit(
            graph,
            rounds=rounds,
            seed=seed,
            schedule=schedule,
            restarts=restarts,
            restart_rounds=restart_rounds,
        )


def accuracy_of(belief: Message, labels: Labels) -> float:
    """The share of items whose most probable class, under the best matching with the labels, is theirs."""
    assert isinstance(belief, Categorical)
    return accuracy(belief.most_probable().cpu().numpy(), labels)


def synthetic_counts(labels: Labels, words: int, length: int, seed: int) -> Counts:
    """Counts (N, words) of `length` words an item, drawn for its label."""
    random = np.random.default_rng(seed)
    said = random.dirichlet(np.full(words, 0.2), int(labels.max()) + 1)
    return np.stack([random.multinomial(length, said[label]) for label in labels]).astype(np.float64)
