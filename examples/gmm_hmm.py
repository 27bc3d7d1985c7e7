"""Points that go round four corners: a mixture, blind to time; the same under an HMM; and an HMM of its own.

Run it: python examples/gmm_hmm.py
It reads hmm.npz from the folder serket of $PGMGRAPH_DATA; without it, it draws points of the same kind.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from pgmgraph import ModelGraph, Observation, Scores, fit
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.hmm import HMM


def load() -> tuple[np.ndarray, np.ndarray]:
    """100 points in the plane, and the corner of each."""
    file = Path(os.environ.get("PGMGRAPH_DATA", "")) / "serket" / "hmm.npz"
    if file.is_file():
        with np.load(file) as arrays:
            return arrays["x"], arrays["labels"].astype(int)
    labels = np.arange(100) % 4
    corners = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    return corners[labels] + 0.2 * np.random.default_rng(0).normal(size=(100, 2)), labels


def learn(name: str, seed: int) -> tuple[float | None, float | None]:
    """Accuracy and F of one of the three models."""
    points, labels = load()
    data, gmm, hmm = Observation(points), GMM(components=4), HMM(states=4)
    if name == "HMM":
        graph = ModelGraph(data=data, hmm=hmm)
        graph.connect(data.value, hmm.x)
    else:
        graph = ModelGraph(data=data, gmm=gmm)
        graph.connect(data.value, gmm.x)
    if name == "GMM + HMM":
        graph.add("hmm", hmm)
        graph.connect(gmm.c, hmm.c)
    scores = Scores(hmm.s if name == "HMM" else gmm.c, labels)
    history = fit(graph, rounds=10, seed=seed, callbacks=[scores]).history
    return history["accuracy"][-1], history["F"][-1]


for name in ("GMM", "GMM + HMM", "HMM"):
    mean, bound = np.array([learn(name, seed) for seed in range(5)], dtype=float).mean(0)
    print(f"{name:10} accuracy {mean:.3f}  F {bound:8.1f}")
