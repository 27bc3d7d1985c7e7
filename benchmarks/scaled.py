"""The graphs that `benchmarks.scale` runs; and one of them as a program of its own, which knows nothing of others."""

from __future__ import annotations

import json
import subprocess
import sys
from statistics import median

import numpy as np
import torch

from benchmarks.report import images
from pgmgraph import ModelGraph, Observation, fit
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


def possible(case: str, n: int, hidden: tuple[int, ...]) -> float:
    """What two programs that know nothing of each other take at the same time, against one after the other.

    Half would be two cores to themselves; memory and whoever else is on the machine make it more.
    """
    command = [sys.executable, "-m", "benchmarks.scaled", json.dumps([case, n, hidden])]

    def seconds(programs: int) -> float:
        running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(programs)]
        return max(float(program.communicate()[0]) for program in running)

    return seconds(2) / (2 * seconds(1))


def main() -> None:
    """Print the median seconds of a round."""
    case, n, hidden = json.loads(sys.argv[1])
    torch.set_num_threads(1)
    graph = mixture(n) if case == "mixture" else vae_gmm(n, tuple(hidden))
    seconds = fit(graph, rounds=4, seed=SEED).history["seconds"][1:]
    print(median(value for value in seconds if value is not None))


if __name__ == "__main__":
    main()
