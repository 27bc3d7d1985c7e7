"""The graph that the benchmarks learn with: images, a VAE and a mixture."""

from __future__ import annotations

from pgmgraph import ModelGraph, Observation
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.vae import VAE


def joint(pixels: Observation, vae: VAE, gmm: GMM, *, backward: bool = True) -> ModelGraph:
    """The VAE explains the pixels and the mixture the VAE's latents, with or without messages back."""
    graph = ModelGraph(pixels=pixels, vae=vae, gmm=gmm)
    graph.connect(pixels.value, vae.x)
    graph.connect(vae.z, gmm.x, backward=backward)
    return graph
