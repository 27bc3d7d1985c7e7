"""A stream against the batch: digits learnt chunk after chunk, with and without memory. Writes a table in Markdown.

Run it: python -m benchmarks.streams [--seeds 3] [--models GMM PPCA ...]
It reads digits3000.npz from the folder serket of $PGMGRAPH_DATA.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from sklearn.decomposition import PCA

from pgmgraph import Categorical, ModelGraph, Observation, accuracy, fit, infer
from pgmgraph.learning import Learning
from pgmgraph.streams import fit_stream
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.linear_gaussian import PPCA
from pgmgraph_modules.vae import VAE

RESULTS = Path(__file__).parent / "results" / "streams.json"
FIRST, CHUNK, ROUNDS, BATCH_ROUNDS, HELD_OUT, WORDS = 750, 250, 3, 20, 500, 200
Arrays = dict[str, np.ndarray]


def graph_of(model: str, shape: tuple[int, ...]) -> ModelGraph:
    """A graph with a placeholder; the discrete variable, if there is one, is `top.c` or `top.z`."""
    seen = Observation.placeholder(shape, torch.float32)
    if model == "LDA":
        from pgmgraph_modules.lda import LDA

        lda = LDA(10)
        graph = ModelGraph(seen=seen, top=lda)
        graph.connect(seen.value, lda.x["word"])
        return graph
    if model in ("GMM", "PPCA"):
        alone = GMM(10, concentration=25.0) if model == "GMM" else PPCA(18)
        graph = ModelGraph(seen=seen, top=alone)
        graph.connect(seen.value, alone.x)
        return graph
    below = PPCA(12, passes=2) if model == "PPCA + GMM" else VAE(10, hidden=(128,), epochs=5, first_epochs=30)
    gmm = GMM(10, concentration=25.0)
    graph = ModelGraph(seen=seen, below=below, top=gmm)
    graph.connect(seen.value, below.x)
    graph.connect(below.z, gmm.x)
    return graph


def rows_of(model: str, arrays: Arrays, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows that a model explains, in a random order, and their labels."""
    order = np.random.default_rng(seed).permutation(len(arrays["labels"]))
    images = arrays["images"][order].reshape(len(order), -1).astype(np.float32) / 255
    if model == "LDA":
        words = arrays["hac"][order].astype(np.float32)
        often = words[:FIRST].sum(0).argsort()[-WORDS:]  # all of them would take an hour
        return words[:, often], arrays["labels"][order]
    if model == "GMM":  # in coordinates that the first chunk gives
        return PCA(18, random_state=0).fit(images[:FIRST]).transform(images), arrays["labels"][order]
    return images, arrays["labels"][order]


def batch(graph: ModelGraph, rows: np.ndarray, seed: int) -> None:
    """All at once, many times."""
    fit(graph, {"seen": rows}, rounds=BATCH_ROUNDS, seed=seed, objective=False)


def started(graph: ModelGraph, rows: np.ndarray, seed: int) -> None:
    """All at once, many times, from where the first chunk left it: what a stream could come to from there."""
    for part, rounds in ((rows[:FIRST], ROUNDS), (rows, BATCH_ROUNDS)):
        fit(graph, {"seen": part}, rounds=rounds, seed=seed, objective=False)


def naive(graph: ModelGraph, rows: np.ndarray, seed: int) -> None:
    """Chunk by chunk, without memory."""
    for chunk in np.split(rows, range(FIRST, len(rows), CHUNK)):
        fit(graph, {"seen": chunk}, rounds=ROUNDS, seed=seed, objective=False)


def streamed(keep: int, forgetting: float) -> Callable[[ModelGraph, np.ndarray, int], None]:
    """Chunk by chunk, with memory."""

    def learn(graph: ModelGraph, rows: np.ndarray, seed: int) -> None:
        for _ in fit_stream(
            graph,
            np.split(rows, range(100, len(rows), 100)),
            first=FIRST,
            chunk=CHUNK,
            rounds=ROUNDS,
            keep=keep,
            forgetting=forgetting,
            seed=seed,
            objective=False,
        ):
            pass

    return learn


WAYS = {
    "batch": batch,
    "batch, from the first chunk": started,
    "fit, chunk by chunk": naive,
    "stream": streamed(0, 1.0),
    "stream, forgetting .9": streamed(0, 0.9),
    "stream, keep 1,500": streamed(1500, 1.0),
}


def judged(graph: ModelGraph, rows: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """The evidence of an item that was held out, and the accuracy of the classes."""
    learning = Learning(graph, {"seen": rows}, "bottom_up", 0, (), (), False, True, None, "auto")
    evidence = learning.ledger.evidence if learning.ledger else None
    found = {"evidence": (evidence or 0.0) / len(rows)}
    beliefs = infer(graph, {"seen": rows})
    classes = beliefs.get("top.c") or beliefs.get("top.z")
    if isinstance(classes, Categorical):
        found["accuracy"] = accuracy(classes.most_probable().numpy(), labels)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--models", nargs="+", default=["GMM", "PPCA", "PPCA + GMM", "VAE + GMM", "LDA"])
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    with np.load(Path(os.environ.get("PGMGRAPH_DATA", "")) / "serket" / "digits3000.npz") as file:
        arrays = {name: file[name] for name in ("images", "hac", "labels")}
    records = json.loads(RESULTS.read_text()) if RESULTS.is_file() else []
    done = {(one["model"], one["way"], one["seed"]) for one in records}
    for model in options.models:
        for seed in range(options.seeds):
            rows, labels = rows_of(model, arrays, seed)
            for name, way in WAYS.items():
                if (model, name, seed) in done:
                    continue
                begin = time.perf_counter()
                graph = graph_of(model, rows.shape[1:])
                way(graph, rows[:-HELD_OUT], seed)
                found = judged(graph, rows[-HELD_OUT:], labels[-HELD_OUT:].astype(int))
                record = {"model": model, "way": name, "seed": seed, "seconds": time.perf_counter() - begin, **found}
                records.append(record)
                RESULTS.write_text(json.dumps(records, indent=1) + "\n")
                print(
                    {key: round(one, 3) if isinstance(one, float) else one for key, one in record.items()}, flush=True
                )


if __name__ == "__main__":
    main()
