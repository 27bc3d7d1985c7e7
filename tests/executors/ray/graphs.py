"""Graphs whose modules run elsewhere."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch

from pgmgraph import ModelGraph, Observation
from pgmgraph.module import method
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.hmm import HMM
from pgmgraph_modules.vae import VAE


def two_senses(send: Literal["belief", "sample"] = "belief") -> ModelGraph:
    """Pictures by a VAE and sounds, both under mixtures, the sounds' under an HMM; some sounds are missing."""
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 3, size=90)
    pixels = (rng.random((90, 16)) < 0.2 + 0.3 * kind[:, None]).astype(np.float32)
    sounds = rng.normal(size=(90, 2)) + 4 * kind[:, None]
    pictures = Observation(pixels)
    heard = Observation(sounds, plate="sounds", missing=np.arange(90) % 7 == 3, sequences=np.repeat(np.arange(9), 10))
    vae = VAE(latent_dim=2, hidden=(8,), epochs=2, batch_size=30, send=send)
    seen, sound, order = GMM(components=3, starts=2), GMM(components=3, starts=2), HMM(states=3, starts=2)
    graph = ModelGraph(pictures=pictures, heard=heard, vae=vae, seen=seen, sound=sound, order=order)
    graph.connect(pictures.value, vae.x)
    graph.connect(vae.z, seen.x)
    graph.connect(heard.value, sound.x)
    graph.connect(sound.c, order.c)
    return graph


def parameters(graph: ModelGraph) -> dict[str, object]:
    """What the modules have learnt."""
    return {name: method(module, "state_dict", "to compare")() for name, module in graph.modules.items()}


def same(one: object, other: object) -> bool:
    """Whether two states are the same to the last bit."""
    match one, other:
        case torch.Tensor(), torch.Tensor():
            return torch.equal(one, other)
        case dict(), dict():
            return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
        case ((list() | tuple()), (list() | tuple())):
            return len(one) == len(other) and all(map(same, one, other))
        case _:
            return one == other
