"""Five topic models in a chain, each with an observation of its own and the topic of the one before it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks.multimodal_parts import (
    Counts,
    Labels,
    Learnt,
    Model,
    Part,
    accuracy_of,
    learnt,
    serket,
    synthetic_counts,
)
from pgmgraph import ModelGraph, Observation
from pgmgraph_modules.lda import LDA
from pgmgraph_modules.multimodal import MultimodalMixture

LENGTH = 5
TOPICS = 10
RESTARTS = 4


@dataclass(frozen=True)
class Chain:
    """Counts (N, V) of each link, and labels (N,)."""

    counts: Sequence[Counts]
    labels: Labels
    quick: bool


def load(quick: bool) -> Chain | None:
    """`serket/chain5.npz`; with `quick`, words drawn at random for five kinds."""
    if quick:
        labels = np.tile(np.arange(5), 5)
        return Chain([synthetic_counts(labels, 8, 60, seed) for seed in range(LENGTH)], labels, quick)
    arrays = serket("chain5")
    if arrays is None:
        return None
    counts = [arrays[f"m{link}"].astype(float) for link in range(LENGTH)]
    return Chain(counts, arrays["labels"].astype(np.int64), quick)


def _links(wired: bool, data: Chain) -> ModelGraph:
    """A topic model for each observation; wired, each has the topic of the one before it as one more token."""
    graph, before = ModelGraph(), None
    for link, counts in enumerate(data.counts):
        graph.add(f"m{link}", node := Observation(counts))
        graph.add(f"lda{link}", lda := LDA(TOPICS, passes=1))
        graph.connect(node.value, lda.x["own"])
        if wired and before is not None:
            graph.connect(before.z, lda.x["before"])
        before = lda
    return graph


def _one(data: Chain) -> ModelGraph:
    """One topic model over all observations."""
    graph = ModelGraph(lda=(lda := LDA(TOPICS, passes=1)))
    for link, counts in enumerate(data.counts):
        graph.add(f"m{link}", node := Observation(counts))
        graph.connect(node.value, lda.x[f"m{link}"])
    return graph


def _class_above(data: Chain) -> ModelGraph:
    """The five topic models, and a class of the item above their topics."""
    graph = _links(False, data)
    graph.add("above", top := MultimodalMixture(TOPICS, concentration=len(data.labels) / TOPICS))
    for link in range(LENGTH):
        graph.connect(graph.variables[f"lda{link}.z"], top.x[f"lda{link}"])
    return graph


def _learn(build: Callable[[Chain], ModelGraph], data: Chain, seed: int) -> Learnt:
    """The mean accuracy of the topic models, that of the best, and that of a class above."""
    graph = build(data)
    rounds, restarts = (2, 1) if data.quick else (15, RESTARTS)
    result = learnt(graph, rounds, seed, restarts=restarts, restart_rounds=5)
    each = [
        accuracy_of(result.beliefs[f"{name}.z"], data.labels)
        for name, module in graph.modules.items()
        if isinstance(module, LDA)
    ]
    figures = {"mean accuracy": float(np.mean(each)), "accuracy of the best": max(each)}
    if "above" in graph.modules:
        figures["accuracy above"] = accuracy_of(result.beliefs["above.c"], data.labels)
    return Learnt(figures, result.history["F"][-1])


PART = Part(
    "chain",
    load,
    [
        Model("five LDAs alone", partial(_learn, partial(_links, False))),
        Model("chain of five LDAs", partial(_learn, partial(_links, True)), ["five LDAs alone"]),
        Model("five LDAs, class above", partial(_learn, _class_above), ["five LDAs alone"]),
        Model("one LDA over all five", partial(_learn, _one), ["five LDAs alone"]),
    ],
    [f"chain: fifty items with five observations; one class each; {RESTARTS} restarts by F."],
)
