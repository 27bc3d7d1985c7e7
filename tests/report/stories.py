"""Small graphs that have learnt, and the stories that can be told of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pgmgraph import FitResult, ModelGraph, Observation, Scores, fit
from pgmgraph.report import Account, Story, tell
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.vae import VAE


@dataclass(frozen=True)
class Fitted:
    """A graph of an image, a latent vector and a mixture, after a few rounds."""

    graph: ModelGraph
    result: FitResult
    images: Tensor
    labels: Tensor


def checkered(n: int = 40, side: int = 8) -> tuple[Tensor, Tensor]:
    """n images (side, side) within [0, 1], bright on the one half of a board or on the other, and which."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(n) % 2
    board = (torch.arange(side)[:, None] + torch.arange(side)) % 2
    bright = (board + labels[:, None, None]) % 2
    return (0.15 + 0.6 * bright + 0.2 * torch.rand(n, side, side, generator=generator)).float(), labels


def learn(rounds: int = 3) -> Fitted:
    """A VAE of the pixels, and a mixture of its latents."""
    images, labels = checkered()
    pixels, gmm = Observation(images.flatten(1)), GMM(2, starts=1)
    vae = VAE(3, hidden=(16,), epochs=2, first_epochs=60, batch_size=20, lr=1e-2)
    graph = ModelGraph(pixels=pixels, vae=vae, gmm=gmm)
    graph.connect(pixels.value, vae.x)
    graph.connect(vae.z, gmm.x)
    result = fit(graph, rounds=rounds, callbacks=[Scores(gmm.c, labels)])
    return Fitted(graph, result, images, labels)


def account(fitted: Fitted, title: str = "Checkered") -> Account:
    """The account of what `learn` did."""
    return Account(
        title,
        history=fitted.result.history,
        trace=fitted.result.trace,
        name="mutual",
        configuration="graph:\n  modules: {}\n",
        environment={"torch": torch.__version__, "seed": "0"},
        status="all that were asked for",
    )


def whole_story(fitted: Fitted) -> Story:
    """Everything that a report can hold."""
    history = {name: list(column) for name, column in fitted.result.history.items()}
    told = replace(account(fitted), others={"no messages": history}, warnings=["first", "second", "first"])
    return tell(fitted.graph, fitted.result.beliefs, told, labels=fitted.labels, label_names=["even", "odd"])
