"""Digits in counting order, 0 to 9 again and again, under a hidden Markov model; and the image that comes next."""

from __future__ import annotations

from functools import partial

import numpy as np
from sklearn.svm import SVC

from benchmarks.multimodal_parts import Labels, Learnt, Model, Part, accuracy_of, learnt
from benchmarks.multimodal_spoken import (
    DIGITS,
    MORE_STARTS,
    WORD_WEIGHT,
    Build,
    Spoken,
    both,
    images_alone,
    load,
    observed,
    pca,
    sounds_alone,
    vae,
)
from pgmgraph import Categorical, ModelGraph, generate, infer
from pgmgraph_modules.hmm import HMM

HELD_OUT = 0.2
WINDOW = 10
FARTHEST = 10
"""Steps ahead."""


def load_in_order(quick: bool) -> Spoken | None:
    """The first of each digit in turn, then the second of each, as many as there are of the rarest."""
    data = load(quick)
    return None if data is None else data[_in_order(data.labels)]


def _in_order(labels: Labels) -> Labels:
    count = int(np.bincount(labels).min())
    return np.stack([np.flatnonzero(labels == digit)[:count] for digit in range(DIGITS)], 1).ravel()


def _counted(build: Build) -> Build:
    """The same model with a hidden Markov model over its class."""

    def wired(data: Spoken) -> ModelGraph:
        graph, counting = build(data), HMM(DIGITS)
        graph.add("counting", counting)
        graph.connect(graph.variables["classes.c"], counting.c)
        return graph

    return wired


def _learn(build: Build, rounds: int, data: Spoken, seed: int) -> Learnt:
    """Learn from the first four fifths; what comes next is foretold in the last one."""
    kept = int(len(data.labels) * (1 - HELD_OUT))
    known, new = data[np.arange(kept)], data[np.arange(kept, len(data.labels))]
    graph = build(known)
    result = learnt(graph, 2 if data.quick else rounds, seed)
    figures = {"accuracy": accuracy_of(result.beliefs["classes.c"], known.labels)}
    if "counting" in graph.modules and "images" in graph.observations:
        figures |= _foretold(graph, known, new, seed)
    return Learnt(figures, result.history["F"][-1])


def _foretold(graph: ModelGraph, known: Spoken, new: Spoken, seed: int) -> dict[str, float]:
    """How often an image that is drawn for what comes after `WINDOW` new digits is read as the right digit.

    It is read by a support vector machine, which learnt from the images that the model learnt from, and their labels.
    """
    counting = graph.modules["counting"]
    assert isinstance(counting, HMM)
    begins = np.arange(len(new.labels) - WINDOW - FARTHEST + 1)
    windows = (begins[:, None] + np.arange(WINDOW)).ravel()
    rows = observed(new[windows], *graph.observations, sequences=begins.repeat(WINDOW))
    states = infer(graph, rows, draws=0)["counting.s"]
    assert isinstance(states, Categorical)
    forecast = counting.forecast(states.probs[WINDOW - 1 :: WINDOW], FARTHEST)
    judge = SVC().fit(known.images, known.labels)
    figures = {}
    for steps in (1, FARTHEST):
        state = Categorical(forecast[:, steps - 1]).most_probable()
        drawn = generate(graph, {"classes.c": state}, n=len(state), seed=seed)["images"].clamp(0, 1) * 255
        right = new.labels[begins + WINDOW - 1 + steps]
        name = "the next image is read right" if steps == 1 else f"the image {steps} steps ahead is read right"
        figures[name] = float((judge.predict(drawn.cpu().numpy()) == right).mean())
    figures["true images are read right"] = float(judge.score(new.images, new.labels))
    return figures


def _model(name: str, build: Build, *beside: str, rounds: int = 6) -> Model[Spoken]:
    return Model(name, partial(_learn, build, rounds), beside)


PART = Part(
    "counting",
    load_in_order,
    [
        _model("PCA, class over both", both(pca)),
        _model("VAE, class over both", both(vae, starts=MORE_STARTS), rounds=21),
        _model("images by PCA, HMM", _counted(images_alone(pca))),
        _model("sounds, HMM", _counted(sounds_alone(WORD_WEIGHT, MORE_STARTS))),
        _model(
            "PCA, class over both, HMM",
            _counted(both(pca)),
            "PCA, class over both",
            "images by PCA, HMM",
            "sounds, HMM",
        ),
        _model(
            "VAE, class over both, HMM",
            _counted(both(vae, starts=MORE_STARTS)),
            "VAE, class over both",
            "sounds, HMM",
            rounds=21,
        ),
    ],
    [
        "counting: the same digits in counting order, learnt from the first four fifths. In the last one, an image is "
        f"drawn for the digit after each {WINDOW}, and read by a support vector machine that learnt from true images.",
    ],
)
