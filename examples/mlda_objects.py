"""Objects that were seen, heard and touched, and what was done with them: three topic models, one above the others.

Run it: python examples/mlda_objects.py
The data are $PGMGRAPH_DATA/serket/objects.npz, or drawn at random where that is absent.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from pgmgraph import ModelGraph, Observation, Point, Scores, fit, infer
from pgmgraph_modules.lda import LDA

SENSES = ("vision", "sound", "touch")


def load() -> dict[str, np.ndarray]:
    """Counts by modality, and labels of objects and motions."""
    path = Path(os.environ.get("PGMGRAPH_DATA", "data")) / "serket" / "objects.npz"
    if path.exists():
        return dict(np.load(path))
    print(f"{path} is absent: the data are synthetic.")
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(5), 10)
    words = {key: random.dirichlet(np.full(30, 0.1), 5)[labels] for key in (*SENSES, "motion")}
    counts = {key: np.stack([random.multinomial(100, row) for row in rows]) for key, rows in words.items()}
    return {**counts, "object_labels": labels, "motion_labels": labels}


def main() -> None:
    """Learn, and predict each sense of every object from the two others."""
    data = load()
    objects, motions, both = LDA(10, passes=1), LDA(10, passes=1), LDA(10, passes=1)
    graph = ModelGraph(objects=objects, motions=motions, both=both)
    for key in (*SENSES, "motion"):
        graph.add(key, counts := Observation(data[key]))
        graph.connect(counts.value, (motions if key == "motion" else objects).x[key])
    graph.connect(objects.z, both.x["object"])
    graph.connect(motions.z, both.x["motion"])
    scores = [
        Scores(objects.z, data["object_labels"], prefix="objects "),
        Scores(motions.z, data["motion_labels"], prefix="motions "),
    ]
    result = fit(graph, rounds=20, seed=0, callbacks=scores)
    print({name: round(column[-1] or 0.0, 3) for name, column in result.history.items() if name != "seconds"})
    for hidden in SENSES:
        others = {key: data[key] for key in (*SENSES, "motion") if key != hidden}
        message = infer(graph, others, predict=[hidden])[hidden]
        assert isinstance(message, Point)
        predicted = message.value.numpy()
        mean = np.broadcast_to(data[hidden].mean(0), predicted.shape)
        of_model, of_mean = (
            np.abs(_shares(one) - _shares(data[hidden])).sum(1).mean() / 2 for one in (predicted, mean)
        )
        print(
            f"{hidden} from the others: {of_model:.3f} of its words misplaced; {of_mean:.3f} by the mean of all objects"
        )


def _shares(counts: np.ndarray) -> np.ndarray:
    shares: np.ndarray = counts / counts.sum(1, keepdims=True)
    return shares


if __name__ == "__main__":
    main()
