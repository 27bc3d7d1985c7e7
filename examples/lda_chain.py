"""Five topic models, each with an observation of its own: alone, in a chain, and under one class of the item.

Run it: python examples/lda_chain.py
The data are $PGMGRAPH_DATA/serket/chain5.npz, or drawn at random where that is absent.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from pgmgraph import ModelGraph, Observation, Scores, fit
from pgmgraph_modules.lda import LDA
from pgmgraph_modules.multimodal import MultimodalMixture

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
    """Learn the parts alone, the chain, and the parts under one class of the item."""
    data = load()
    for wiring in ("alone", "chain", "class above"):
        graph, models = ModelGraph(), [LDA(10, passes=1) for _ in range(LENGTH)]
        for i, lda in enumerate(models):
            graph.add(f"m{i}", counts := Observation(data[f"m{i}"]))
            graph.add(f"lda{i}", lda)
            graph.connect(counts.value, lda.x["own"])
            if wiring == "chain" and i > 0:
                graph.connect(models[i - 1].z, lda.x["before"])
        scores = [Scores(lda.z, data["labels"], prefix=f"lda{i} ") for i, lda in enumerate(models)]
        if wiring == "class above":
            graph.add("item", item := MultimodalMixture(10, concentration=len(data["labels"]) / 10))
            for i, lda in enumerate(models):
                graph.connect(lda.z, item.x[f"lda{i}"])
            scores.append(Scores(item.c, data["labels"], prefix="item "))
        history = fit(graph, rounds=15, seed=0, callbacks=scores).history
        accuracy = [round(column[-1] or 0.0, 3) for name, column in history.items() if name.endswith("accuracy")]
        print(wiring, accuracy, "F", round(history["F"][-1] or 0.0, 1))


if __name__ == "__main__":
    main()
