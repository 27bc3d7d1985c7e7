"""Points that go round four corners: a mixture, blind to time; the same under an HMM; and an HMM of its own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks.multimodal_parts import Counts, Labels, Learnt, Model, Part, accuracy_of, learnt, serket
from pgmgraph import ModelGraph, Observation
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.hmm import HMM

STATES = 4


@dataclass(frozen=True)
class Points:
    """Points (N, 2) in the order of time, and the corner of each, (N,)."""

    values: Counts
    labels: Labels


def load(quick: bool) -> Points | None:
    """`serket/hmm.npz`; with `quick`, 40 points drawn at random."""
    if quick:
        labels = np.arange(40) % STATES
        corners = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
        return Points(corners[labels] + 0.2 * np.random.default_rng(0).normal(size=(40, 2)), labels)
    arrays = serket("hmm")
    return None if arrays is None else Points(arrays["x"].astype(float), arrays["labels"].astype(np.int64))


def _learn(modules: str, data: Points, seed: int) -> Learnt:
    points, gmm, hmm = Observation(data.values), GMM(STATES), HMM(STATES)
    graph = ModelGraph(points=points)
    if "gmm" in modules:
        graph.add("gmm", gmm)
        graph.connect(points.value, gmm.x)
    if "hmm" in modules:
        graph.add("hmm", hmm)
        graph.connect(*((gmm.c, hmm.c) if "gmm" in modules else (points.value, hmm.x)))
    result = learnt(graph, 10, seed)
    belief = result.beliefs["gmm.c" if "gmm" in modules else "hmm.s"]
    return Learnt({"accuracy": accuracy_of(belief, data.labels)}, result.history["F"][-1])


PART = Part(
    "cycle",
    load,
    [
        Model("mixture", partial(_learn, "gmm")),
        Model("mixture, HMM", partial(_learn, "gmm hmm"), ["mixture"]),
        Model("HMM with normal emissions", partial(_learn, "hmm"), ["mixture"]),
    ],
    ["cycle: 100 points of a cycle of four."],
)
