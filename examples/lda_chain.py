"""Five topic models in a chain, each with an observation of its own and the topic of the one before it.

Run it: python examples/lda_chain.py
The data are $PGMGRAPH_DATA/serket/chain5.npz, or drawn at random where that is absent.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from pgmgraph import ModelGraph, Observation, Scores, fit
from pgmgraph_modules.lda import LDA

LENGTH = 5


def load() -> dict[str, np.ndarray]:
    """Counts m0 to m4, and labels."""
    path = Path(os.environ.get("PGMGRAPH_DATA", "data")) / "serket" / "chain5.npz"
    if path.exists():
        return dict(np.load(path))
    print(f"{path} is absent: the data are synthetic.")
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(10), 5)
    words = random.dirichlet(np.full(10, 0.2), (LENGTH, 10))
    counts = {f"m{i}": np.stack([random.multinomial(100, words[i, label]) for label in labels]) for i in range(LENGTH)}
    return {**counts, "labels": labels}


def main() -> None:
    """Learn the chain together, and each of its parts alone."""
    data = load()
    for wired in (False, True):
        graph, below = ModelGraph(), None
        scores = []
        for i in range(LENGTH):
            graph.add(f"m{i}", counts := Observation(data[f"m{i}"]))
            graph.add(f"lda{i}", lda := LDA(10))
            graph.connect(counts.value, lda.x["own"])
            if wired and below is not None:
                graph.connect(below.z, lda.x["below"])
            scores.append(Scores(lda.z, data["labels"], prefix=f"lda{i} "))
            below = lda
        history = fit(graph, rounds=20, seed=0, callbacks=scores, schedule="up_down" if wired else "bottom_up").history
        accuracy = [round(history[f"lda{i} accuracy"][-1] or 0.0, 3) for i in range(LENGTH)]
        print("chain" if wired else "alone", accuracy, "F", round(history["F"][-1] or 0.0, 1))


if __name__ == "__main__":
    main()
