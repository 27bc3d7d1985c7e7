"""The graphs that `benchmarks.scale` runs."""

from __future__ import annotations

import numpy as np

from benchmarks.report import images
from pgmgraph import ModelGraph, Observation
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.vae import VAE

SEED = 0


def vae_gmm(n: int, hidden: tuple[int, ...]) -> ModelGraph:
    """A VAE under a mixture, an epoch a round."""
    pixels = Observation(images(n)[1], scale=1 / 255)
    vae, gmm = VAE(latent_dim=10, hidden=hidden, epochs=1, batch_size=256), GMM(10, starts=2)
    graph = ModelGraph(pixels=pixels, vae=vae, gmm=gmm)
    graph.connect(pixels.value, vae.x)
    graph.connect(vae.z, gmm.x)
    return graph


def two_vaes(n: int, hidden: tuple[int, ...]) -> ModelGraph:
    """Two modalities, each with a VAE and a mixture of its own."""
    graph = ModelGraph()
    for name in ("left", "right"):
        pixels = Observation(images(n)[1], scale=1 / 255)
        vae, gmm = VAE(latent_dim=10, hidden=hidden, epochs=1, batch_size=256), GMM(10, starts=2)
        for suffix, node in {"pixels": pixels, "vae": vae, "gmm": gmm}.items():
            graph.add(f"{name}_{suffix}", node)
        graph.connect(pixels.value, vae.x)
        graph.connect(vae.z, gmm.x)
    return graph


def mixture(n: int) -> ModelGraph:
    """A mixture over points, ten passes a round."""
    generator = np.random.default_rng(SEED)
    points = Observation(generator.normal(size=(n, 10)) + 3 * generator.integers(0, 4, size=(n, 1)))
    gmm = GMM(10, starts=1, passes=10)
    graph = ModelGraph(points=points, gmm=gmm)
    graph.connect(points.value, gmm.x)
    return graph
