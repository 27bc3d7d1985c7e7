"""Spoken and written digits: 3,000 images, and with each a spoken digit as counts of pairs of sounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from benchmarks.multimodal_parts import Labels, Learnt, Model, Part, accuracy_of, learnt, serket, synthetic_counts
from pgmgraph import ModelGraph, Module, Observation, infer
from pgmgraph.datasets import load_bundled_digits
from pgmgraph.ports import OutPort
from pgmgraph.schedules import Schedule, Stage, View
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.lda import LDA
from pgmgraph_modules.multimodal import MultimodalMixture
from pgmgraph_modules.transforms import SklearnTransform
from pgmgraph_modules.vae import VAE, Ramp

Eye: TypeAlias = SklearnTransform | VAE
"""What looks at the images."""

DIGITS = 10
SHAPES = 30
DIMENSIONS = 18
STARTS = 8
MORE_STARTS = 24
"""Where eight do not always hold the best: two of five cooled ones come to it."""
WORD_WEIGHT = 0.2


@dataclass(frozen=True)
class Spoken:
    """Images (N, pixels) and counts (N, V) of the same N digits, and which digits they are, (N,)."""

    images: NDArray[np.uint8]
    sounds: NDArray[np.uint8]
    labels: Labels
    quick: bool

    def __getitem__(self, rows: NDArray[np.int64]) -> Spoken:
        """Some of the digits."""
        return Spoken(self.images[rows], self.sounds[rows], self.labels[rows], self.quick)


Build: TypeAlias = Callable[[Spoken], ModelGraph]
"""Makes the graph; the module whose classes are scored is called "classes" in it, and gives them as "c" or "z"."""


def load(quick: bool) -> Spoken | None:
    """`serket/digits3000.npz`; with `quick`, 200 of scikit-learn's images with thirty words drawn for each digit."""
    if quick:
        digits = load_bundled_digits()
        labels = digits.train_labels[:200].astype(np.int64)
        counts = synthetic_counts(labels, words=30, length=20, seed=0).astype(np.uint8)
        return Spoken(digits.train_images[:200], counts, labels, quick)
    arrays = serket("digits3000")
    if arrays is None:
        return None
    images, sounds = arrays["images"].astype(np.uint8), arrays["hac"].astype(np.uint8)
    return Spoken(images, sounds, arrays["labels"].astype(np.int64), quick)


def observed(data: Spoken, *names: str, sequences: Labels | None = None) -> dict[str, Observation]:
    """Observations by name, of which there are "images" and "sounds"."""
    values, scales = {"images": data.images, "sounds": data.sounds}, {"images": 1 / 255, "sounds": 1.0}
    return {name: Observation(values[name], scale=scales[name], sequences=sequences) for name in names}


def mixture(data: Spoken, components: int = DIGITS) -> GMM:
    """A mixture of what the eye makes of images."""
    starts = 2 if data.quick else 200 // components
    return GMM(components, starts=starts, concentration=len(data.labels) / components)


def classes(data: Spoken, weight: float | None = WORD_WEIGHT, starts: int = STARTS) -> MultimodalMixture:
    """One class over all that is wired; sounds, if they are, count `weight` times, or once with None."""
    return MultimodalMixture(
        DIGITS,
        concentration=len(data.labels) / DIGITS,
        weights=None if weight is None else {"w.sound": weight},
        starts=2 if data.quick else starts,
    )


def pca(data: Spoken) -> SklearnTransform:
    """The first principal components of the images."""
    return SklearnTransform(PCA(n_components=DIMENSIONS, random_state=0))


def vae(data: Spoken) -> VAE:
    """A VAE whose KL term weighs little at first."""
    return VAE(
        latent_dim=DIMENSIONS,
        hidden=(16,) if data.quick else (128,),
        batch_size=100,
        first_epochs=2 if data.quick else 40,
        epochs=1,
        kl_weight=Ramp(0.05, 1.0, rounds=10),
    )


def seen(eye: Eye) -> OutPort:
    """Where the vectors come out."""
    return eye.y if isinstance(eye, SklearnTransform) else eye.z


def images_alone(eye: Callable[[Spoken], Eye]) -> Build:
    """A Gaussian mixture of the images."""

    def build(data: Spoken) -> ModelGraph:
        looking, top = eye(data), mixture(data)
        graph = _looking(data, looking, top)
        graph.connect(seen(looking), top.x)
        return graph

    return build


def sounds_alone(weight: float | None, starts: int = STARTS) -> Build:
    """A mixture of the sounds."""

    def build(data: Spoken) -> ModelGraph:
        top = classes(data, weight, starts)
        graph = ModelGraph(classes=top, **observed(data, "sounds"))
        graph.connect(graph.observations["sounds"].value, top.w["sound"])
        return graph

    return build


def both(eye: Callable[[Spoken], Eye], weight: float | None = WORD_WEIGHT, starts: int = STARTS) -> Build:
    """One mixture of vectors and sounds."""

    def build(data: Spoken) -> ModelGraph:
        looking, top = eye(data), classes(data, weight, starts)
        graph = _looking(data, looking, top, "sounds")
        graph.connect(seen(looking), top.v["image"])
        graph.connect(graph.observations["sounds"].value, top.w["sound"])
        return graph

    return build


def _over(eye: Callable[[Spoken], Eye]) -> Build:
    """A mixture of the images with a class of its own, finer than digits, under one of that class and of the sounds."""

    def build(data: Spoken) -> ModelGraph:
        looking, middle, top = eye(data), mixture(data, SHAPES), classes(data, starts=2 * STARTS)
        graph = _looking(data, looking, top, "sounds")
        graph.add("mixture", middle)
        graph.connect(seen(looking), middle.x)
        graph.connect(middle.c, top.x["image"])
        graph.connect(graph.observations["sounds"].value, top.w["sound"])
        return graph

    return build


def _topics(eye: Callable[[Spoken], Eye] | None, weights: Mapping[str, float] | None) -> Build:
    """A topic model of the sounds and, with an eye, of the class of a mixture of the images, as the reference does."""

    def build(data: Spoken) -> ModelGraph:
        top = LDA(DIGITS, weights=weights, passes=1)
        if eye is None:
            graph = ModelGraph(classes=top, **observed(data, "sounds"))
        else:
            looking, middle = eye(data), mixture(data)
            graph = _looking(data, looking, top, "sounds")
            graph.add("mixture", middle)
            graph.connect(seen(looking), middle.x)
            graph.connect(middle.c, top.x["image"])
        graph.connect(graph.observations["sounds"].value, top.x["sound"])
        return graph

    return build


def _looking(data: Spoken, eye: Eye, top: Module, *others: str) -> ModelGraph:
    """A graph of the eye on its images, of the module on top, not wired yet, and of other observations."""
    graph = ModelGraph(classes=top, eye=eye, **observed(data, "images", *others))
    graph.connect(graph.observations["images"].value, eye.x)
    return graph


def _topics_seldom(view: View, round: int) -> Iterator[Stage]:
    """What looks at images in every round, and the topic model over all, which takes longer, in every third."""
    yield "eye"
    yield "mixture"
    if round % 3 == 0:
        yield "classes"


def _learn(build: Build, rounds: int, data: Spoken, seed: int) -> Learnt:
    """Accuracies with all that there is, then of what is inferred from images or from sounds alone."""
    graph = build(data)
    topics = isinstance(graph.modules["classes"], LDA)
    schedule: Schedule = _topics_seldom if topics and "eye" in graph.modules else "bottom_up"
    result = learnt(graph, 2 if data.quick else rounds, seed, schedule=schedule)
    variable = "classes.z" if topics else "classes.c"
    figures = {"accuracy": accuracy_of(result.beliefs[variable], data.labels)}
    if "mixture" in graph.modules:
        components = graph.modules["mixture"]
        assert isinstance(components, GMM)
        if components.components == DIGITS:
            figures["accuracy of the mixture below"] = accuracy_of(result.beliefs["mixture.c"], data.labels)
    if len(graph.observations) == 2:
        for name, values in {"images": data.images, "sounds": data.sounds}.items():
            figures[f"from {name} alone"] = accuracy_of(infer(graph, {name: values}, draws=0)[variable], data.labels)
    return Learnt(figures, result.history["F"][-1])


def _model(name: str, build: Build, *beside: str, rounds: int = 10) -> Model[Spoken]:
    return Model(name, partial(_learn, build, rounds), beside)


PART = Part(
    "digits",
    load,
    [
        _model("images by PCA", images_alone(pca)),
        _model("images by VAE", images_alone(vae), rounds=21),
        _model("sounds", sounds_alone(WORD_WEIGHT, MORE_STARTS)),
        _model("sounds, untempered", sounds_alone(None)),
        _model("sounds, LDA", _topics(None, None), rounds=8),
        _model("PCA, class over both", both(pca), "images by PCA", "sounds"),
        _model("PCA, class over both, untempered", both(pca, None), "images by PCA", "sounds, untempered"),
        _model("PCA, mixture of 30, class over both", _over(pca), "images by PCA", "sounds"),
        _model("VAE, class over both", both(vae, starts=MORE_STARTS), "images by VAE", "sounds", rounds=21),
        _model("VAE, mixture of 30, class over both", _over(vae), "images by VAE", "sounds", rounds=21),
        _model("VAE, mixture, LDA", _topics(vae, None), "images by VAE", "sounds, LDA", rounds=12),
        _model(
            "VAE, mixture, LDA, weighted",
            _topics(vae, {"image": 40.0, "sound": WORD_WEIGHT}),
            "images by VAE",
            "sounds, LDA",
            rounds=12,
        ),
    ],
    [
        "digits: 3,000 images and spoken digits; accuracy of the class with both, and inferred from one of them.",
        f"Sounds count {WORD_WEIGHT:g} times, as pairs of sounds that overlap are not independent; untempered: once.",
    ],
)
