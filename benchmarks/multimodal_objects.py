"""Fifty objects that were seen, heard and touched, and what was done with them: topic models, one above the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
from pgmgraph import Categorical, FitResult, ModelGraph, Observation, infer
from pgmgraph_modules.lda import LDA
from pgmgraph_modules.multimodal import MultimodalMixture

CATEGORIES = 10
SENSES = ("vision", "sound", "touch")
EVERYTHING = (*SENSES, "motion")
TOKENS = 200.0
FOLDS = 5
RESTARTS = 5
STARTS = 48


@dataclass(frozen=True)
class Objects:
    """Counts (N, V) by modality, and the labels of objects and of motions, (N,)."""

    counts: Mapping[str, Counts]
    objects: Labels
    motions: Labels
    quick: bool

    def __getitem__(self, rows: Labels) -> Objects:
        """Some of the objects."""
        counts = {key: one[rows] for key, one in self.counts.items()}
        return Objects(counts, self.objects[rows], self.motions[rows], self.quick)


def load(quick: bool) -> Objects | None:
    """`serket/objects.npz`; with `quick`, words drawn at random for five kinds of objects."""
    if quick:
        labels = np.tile(np.arange(5), 5)
        counts = {key: synthetic_counts(labels, 12, 60, seed) for seed, key in enumerate(EVERYTHING)}
        return Objects(counts, labels, labels, quick)
    arrays = serket("objects")
    if arrays is None:
        return None
    counts = {key: arrays[key].astype(float) for key in EVERYTHING}
    objects, motions = (arrays[f"{kind}_labels"].astype(np.int64) for kind in ("object", "motion"))
    return Objects(counts, objects, motions, quick)


def topics_of(data: Objects, modalities: Sequence[str], above: bool) -> ModelGraph:
    """One topic model over the senses, one over motions, as far as they are there, and one above both.

    Each modality counts as if every object had `TOKENS` tokens of it on average.
    """
    graph = ModelGraph()
    for name, keys in _split(modalities).items():
        weights = {key: TOKENS / float(data.counts[key].sum(1).mean()) for key in keys}
        graph.add(name, lda := LDA(CATEGORIES, passes=1, weights=weights))
        for key in keys:
            graph.add(key, node := Observation(data.counts[key]))
            graph.connect(node.value, lda.x[key])
    if above:
        graph.add("both", top := LDA(CATEGORIES))
        for name in _split(modalities):
            graph.connect(graph.variables[f"{name}.z"], top.x[name])
    return graph


def classes_of(data: Objects, modalities: Sequence[str], above: bool) -> ModelGraph:
    """The same of mixtures: an object has one class of its senses, one of its motion, and one above both."""
    graph = ModelGraph()
    concentration = len(data.objects) / CATEGORIES
    for name, keys in _split(modalities).items():
        mixture = MultimodalMixture(CATEGORIES, concentration=concentration, starts=2 if data.quick else STARTS)
        graph.add(name, mixture)
        for key in keys:
            graph.add(key, node := Observation(data.counts[key]))
            graph.connect(node.value, mixture.w[key])
    if above:
        graph.add("both", top := MultimodalMixture(CATEGORIES, concentration=concentration))
        for name in _split(modalities):
            graph.connect(graph.variables[f"{name}.c"], top.x[name])
    return graph


def _split(modalities: Sequence[str]) -> dict[str, list[str]]:
    """Which modalities each of the lower modules has, without modules that have none."""
    split = {"objects": SENSES, "motions": ("motion",)}
    found = {name: [key for key in modalities if key in keys] for name, keys in split.items()}
    return {name: keys for name, keys in found.items() if keys}


Build = Callable[[Objects, Sequence[str], bool], ModelGraph]


def _learn(build: Build, modalities: Sequence[str], above: bool, data: Objects, seed: int) -> Learnt:
    """Accuracies of what is learnt from all; and of what is learnt from four fifths, how it foretells the last one.

    Which fifth that is goes by the seed.
    """
    graph = build(data, modalities, above)
    result = _learnt(graph, data, seed)
    labels = {"objects": data.objects, "motions": data.motions}
    figures = {
        f"{name} accuracy": accuracy_of(result.beliefs[_variable(graph, name)], labels[name])
        for name in _split(modalities)
    }
    if len(modalities) > 1:
        left_out = np.arange(len(data.objects)) % FOLDS == seed % FOLDS
        known, new = data[np.flatnonzero(~left_out)], data[np.flatnonzero(left_out)]
        other = build(known, modalities, above)
        _learnt(other, known, seed)
        figures |= {f"{key} told by the rest, nats": _told(other, key, known, new) for key in modalities}
    return Learnt(figures, result.history["F"][-1])


def _learnt(graph: ModelGraph, data: Objects, seed: int) -> FitResult:
    if data.quick:
        return learnt(graph, 2, seed)
    topics = any(isinstance(module, LDA) for module in graph.modules.values())
    return learnt(graph, 20, seed, restarts=RESTARTS if topics else 1, restart_rounds=6)


def _variable(graph: ModelGraph, name: str) -> str:
    return f"{name}.z" if isinstance(graph.modules[name], LDA) else f"{name}.c"


def _told(graph: ModelGraph, hidden: str, known: Objects, new: Objects) -> float:
    """What the other modalities tell of one, in nats a word, beyond the shares that its words have on average.

    The mean over objects of sum_v s_v (log p_v - log m_v), where s are an object's shares of words, p those that the
    model expects given its other modalities, and m those of all objects together, each word counted once more.
    """
    name = "motions" if hidden == "motion" else "objects"
    others = {key: new.counts[key] for key in graph.observations if key != hidden}
    belief, module = infer(graph, others, draws=0)[_variable(graph, name)], graph.modules[name]
    assert isinstance(belief, Categorical)
    assert isinstance(module, LDA | MultimodalMixture)
    expected = (belief.probs @ module.words(hidden)).cpu().numpy()
    average = _shares(known.counts[hidden].sum(0, keepdims=True) + 1)
    true = _shares(new.counts[hidden])
    return float((true * (np.log(expected) - np.log(average))).sum(1).mean())


def _shares(counts: Counts) -> Counts:
    shares: Counts = counts / counts.sum(1, keepdims=True)
    return shares


def _models(kind: str, build: Build) -> list[Model[Objects]]:
    """Each modality alone, the senses, and everything."""

    def model(name: str, modalities: Sequence[str], *beside: str, above: bool = False) -> Model[Objects]:
        parts = [f"{kind}, {part}" for part in beside]
        return Model(f"{kind}, {name}", partial(_learn, build, modalities, above), parts)

    return [
        *(model(key, [key]) for key in EVERYTHING),
        model("three senses", SENSES, *SENSES),
        model("three senses, motion, one above", EVERYTHING, "three senses", "motion", above=True),
    ]


PART = Part(
    "objects",
    load,
    [*_models("LDA", topics_of), *_models("class", classes_of)],
    [
        "objects: fifty objects in ten categories, and ten motions. LDA: topic models, each modality counted as if it "
        f"had {TOKENS:g} tokens an object, {RESTARTS} restarts by F; class: mixtures, counted in full.",
        "Told by the rest: of a fifth of the objects that was left out, a modality told by the others, in nats a word "
        "beyond the mean shares of words. Above 0 is better than the mean.",
    ],
)
