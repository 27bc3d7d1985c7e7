"""What a VAE learns before any message has come: the same for all schemes, so learnt once and kept."""

from __future__ import annotations

import copy
import hashlib
import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import pgmgraph
from benchmarks.schemes import Arguments, plain
from pgmgraph import Context, ModelGraph, Observation, Point, fit
from pgmgraph_modules.vae import VAE, Ramp

CACHE = Path(__file__).parent / ".cache"

# What has no part in the first learning: it only sends, only learns later, or is put in here.
_LATER = {"send", "epochs", "first_epochs", "kl_weight"}


@dataclass(frozen=True)
class First:
    """Networks after the first learning.

    Attributes:
        encoder, decoder: the networks, on the CPU.
        seconds, cpu_seconds: what learning them took, when they were learnt.
    """

    encoder: nn.Module
    decoder: nn.Module
    seconds: float
    cpu_seconds: float

    def arguments(self, given: Arguments) -> dict[str, Any]:  # Any: see `Arguments`
        """Arguments of a VAE that goes on from copies of the networks, with one more epoch in the first round."""
        networks = {"encoder": copy.deepcopy(self.encoder), "decoder": copy.deepcopy(self.decoder)}
        kept = {name: value for name, value in given.items() if name not in ("architecture", "hidden")}
        return {**kept, **networks, "first_epochs": 1}


def first_learning(pixels: Observation, given: Arguments, seed: int, device: str, cache: Path) -> First:
    """The networks of a VAE alone after all of its first epochs but one, learnt or read from `cache`.

    Args:
        pixels: what is learnt from.
        given: the VAE's arguments, `first_epochs` of at least 2 among them.
        seed: of the networks and of learning.
        device: "auto", "cpu", "cuda".
        cache: folder for the networks.
    """
    weight = given.get("kl_weight", 1.0)
    early = {name: value for name, value in given.items() if name not in _LATER}
    early |= {"epochs": given["first_epochs"] - 1, "kl_weight": weight.at(0) if isinstance(weight, Ramp) else weight}
    path = cache / f"first-{_key(pixels, early, seed, device)}.pt"
    if path.exists():
        return _read(path, early, pixels.point.event_shape)
    vae = VAE(**early)
    graph = ModelGraph(pixels=pixels, vae=vae)
    graph.connect(pixels.value, vae.x)
    wall, cpu = time.perf_counter(), time.process_time()
    fit(graph, seed=seed, device=device, objective=False)
    seconds = {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
    encoder, decoder = _networks(vae)
    _write(path, {"encoder": encoder.state_dict(), "decoder": decoder.state_dict(), **seconds})
    return First(encoder, decoder, **seconds)


def _key(pixels: Observation, early: Arguments, seed: int, device: str) -> str:
    assert isinstance(pixels.point, Point)
    images = pixels.point.value.numpy()
    on_gpu = device.startswith("cuda") or (device == "auto" and torch.cuda.is_available())
    facts = {"vae": plain(early), "seed": seed, "shape": images.shape, "gpu": on_gpu, "version": pgmgraph.__version__}
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    digest.update(np.ascontiguousarray(images).data)
    return digest.hexdigest()[:16]


def _networks(vae: VAE) -> tuple[nn.Module, nn.Module]:
    assert vae.encoder is not None
    assert vae.decoder is not None
    return vae.encoder.cpu(), vae.decoder.cpu()


def _read(path: Path, early: Arguments, event_shape: tuple[int, ...]) -> First:
    saved = torch.load(path, weights_only=True)
    vae = VAE(**early)
    shapes = {"x": event_shape, "z": (vae.latent_dim,)}
    vae.setup(Context("vae", shapes, frozenset({"x"}), frozenset({"z"}), torch.device("cpu"), torch.float32, 0))
    encoder, decoder = _networks(vae)
    encoder.load_state_dict(saved["encoder"])
    decoder.load_state_dict(saved["decoder"])
    return First(encoder, decoder, saved["seconds"], saved["cpu_seconds"])


def _write(path: Path, content: dict[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
        whole = Path(folder) / path.name
        torch.save(content, whole)
        whole.replace(path)
