"""One run of `benchmarks.accuracy`: a graph is wired by a plan, learns, and is scored."""

from __future__ import annotations

import importlib.util
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import normalized_mutual_info_score
from sklearn.mixture import GaussianMixture

from benchmarks.first_learning import First, first_learning
from benchmarks.records import Outcome, Peer, Scored
from benchmarks.schemes import Arguments, Plan
from benchmarks.wiring import joint
from pgmgraph import (
    Beliefs,
    Callback,
    Categorical,
    FitResult,
    Gaussian,
    ModelGraph,
    Observation,
    Point,
    Scores,
    accuracy,
    fit,
    infer,
)
from pgmgraph.datasets import Digits
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.transforms import SklearnTransform
from pgmgraph_modules.vae import VAE

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Wired:
    """A graph with a mixture at its top, and the variable that the mixture explains."""

    graph: ModelGraph
    gmm: GMM
    latents: str


def can_embed() -> bool:
    """Whether UMAP is installed."""
    return importlib.util.find_spec("umap") is not None


def observed(images: NDArray[np.uint8], shape: tuple[int, int], vae: Arguments) -> Observation:
    """Images as the VAE takes them: rows of pixels, or for a convolutional one (height, width)."""
    flat = vae.get("architecture", "perceptron") == "perceptron"
    return Observation(images if flat else images.reshape(-1, *shape), scale=1 / 255)


def wire(plan: Plan, pixels: Observation, first: First | None = None) -> Wired:
    """The plan's graph, going on from networks that have learnt or with new ones."""
    vae = VAE(**(first.arguments(plan.vae) if first else plan.vae))
    gmm = GMM(**plan.gmm)
    if plan.embedding != "wired":
        return Wired(joint(pixels, vae, gmm, backward=plan.backward), gmm, "vae.z")
    umap = _umap(plan)
    graph = ModelGraph(pixels=pixels, vae=vae, umap=umap, gmm=gmm)
    graph.connect(pixels.value, vae.x)
    graph.connect(vae.z, umap.x, via="mean")
    graph.connect(umap.y, gmm.x)
    return Wired(graph, gmm, "umap.y")


def learn(plan: Plan, digits: Digits, *, device: str, cache: Path, watch: Callback) -> Outcome:
    """Learn as planned and score what was learnt.

    Args:
        plan: what to learn.
        digits: training and test images.
        device: "auto", "cpu", "cuda".
        cache: where the first learning is kept.
        watch: hears of each round.
    """
    pixels = observed(digits.train_images, digits.image_shape, plan.vae)
    unseen = observed(digits.test_images, digits.image_shape, plan.vae)
    first = first_learning(pixels, plan.vae, plan.seed, device, cache) if plan.vae.get("first_epochs", 1) > 1 else None
    wall, cpu = time.perf_counter(), time.process_time()
    if plan.embedding == "start":
        plan = replace(plan, embedding="none", gmm={**plan.gmm, "partition": _partition(plan, pixels, first, device)})
    wired = wire(plan, pixels, first)
    result = _fitted(wired, plan, plan.fit, digits.train_labels, device, [watch])
    seen, new = result.beliefs, infer(wired.graph, {"pixels": unseen})
    history = result.history
    if plan.embedding == "after":
        below = points(new[wired.latents])
        wired = _above(plan, Observation(points(seen[wired.latents])))
        result = _fitted(wired, plan, {}, digits.train_labels, device, [watch])
        seen, new = result.beliefs, infer(wired.graph, {"latents": below})
    return Outcome(
        training=_scored(clusters(seen), digits.train_labels),
        test=_scored(clusters(new), digits.test_labels),
        F=result.history["F"][-1],
        standard_error=result.trace[-1].standard_error,
        active=wired.gmm.active,
        seconds=time.perf_counter() - wall + (first.seconds if first else 0.0),
        cpu_seconds=time.process_time() - cpu + (first.cpu_seconds if first else 0.0),
        peer=_peer(points(seen[wired.latents]), points(new[wired.latents]), digits, plan) if plan.peer else None,
        beginnings=[F if math.isfinite(F) else None for F in result.beginnings],
        history=history,
    )


def _partition(plan: Plan, pixels: Observation, first: First | None, device: str) -> NDArray[np.int64]:
    """What a mixture over a UMAP of the latents finds, after the first round of the VAE by itself."""
    wired = wire(replace(plan, embedding="wired"), pixels, first)
    return clusters(fit(wired.graph, seed=plan.seed, device=device, objective=False).beliefs)


def points(belief: object) -> Matrix:
    """The means of a belief about vectors, or the values of points; (N, D)."""
    assert isinstance(belief, Gaussian | Point)
    tensor = belief.mean if isinstance(belief, Gaussian) else belief.value
    array: Matrix = tensor.double().cpu().numpy()
    return array


def clusters(beliefs: Beliefs) -> NDArray[np.int64]:
    """The most probable component of each item, (N,)."""
    belief = beliefs["gmm.c"]
    assert isinstance(belief, Categorical)
    array: NDArray[np.int64] = belief.most_probable().cpu().numpy()
    return array


def _fitted(
    wired: Wired, plan: Plan, arguments: Arguments, labels: NDArray[np.int64], device: str, watch: list[Callback]
) -> FitResult:
    return fit(wired.graph, seed=plan.seed, device=device, callbacks=[Scores(wired.gmm.c, labels), *watch], **arguments)


def _above(plan: Plan, latents: Observation) -> Wired:
    """UMAP and a mixture over what another graph came to believe."""
    umap, gmm = _umap(plan), GMM(**plan.gmm)
    graph = ModelGraph(latents=latents, umap=umap, gmm=gmm)
    graph.connect(latents.value, umap.x)
    graph.connect(umap.y, gmm.x)
    return Wired(graph, gmm, "umap.y")


def _umap(plan: Plan) -> SklearnTransform:
    umap = importlib.import_module("umap")  # an extra, and slow to import
    return SklearnTransform(umap.UMAP(**plan.umap))


def _scored(found: NDArray[np.int64], labels: NDArray[np.int64]) -> Scored:
    return Scored(accuracy(found, labels), float(normalized_mutual_info_score(labels, found)))


def _peer(seen: Matrix, new: Matrix, digits: Digits, plan: Plan) -> Peer:
    """scikit-learn's mixture with full covariances and as many starts as ours."""
    begin = time.perf_counter()
    starts: Mapping[str, int] = {"n_init": plan.gmm.get("starts", 10), "max_iter": 500}
    mixture = GaussianMixture(plan.gmm["components"], random_state=plan.seed, **starts).fit(seen)
    return Peer(
        training=_scored(mixture.predict(seen), digits.train_labels),
        test=_scored(mixture.predict(new), digits.test_labels),
        seconds=time.perf_counter() - begin,
    )
