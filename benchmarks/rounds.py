"""What a round of a VAE and a mixture takes: seconds by module, and how much of them goes to matrix products."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch.profiler import ProfilerActivity, profile

from benchmarks.report import Cell, Table, images
from benchmarks.wiring import joint
from pgmgraph import Event, ModelGraph, ModuleUpdated, Observation, RoundEnded, RoundStarted, fit
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.vae import VAE

SEED = 0
COMPONENTS = 10

# Torch's names of the operations that multiply matrices; convolutions are such products over patches.
PRODUCTS = ("aten::addmm", "aten::mm", "aten::bmm", "aten::baddbmm", "aten::mv", "aten::addmv", "aten::dot")
CONVOLUTIONS = ("convolution", "conv2d", "conv_transpose2d")


@dataclass(frozen=True)
class Case:
    """A VAE and a mixture, and how many rounds are measured after the first, in which the mixture starts."""

    hidden: tuple[int, ...]
    latent_dim: int
    batch_size: int
    n: int
    rounds: int
    precision: Literal["fp32", "bf16"] = "fp32"

    @property
    def name(self) -> str:
        """In a line."""
        sizes = "-".join(map(str, (784, *self.hidden, self.latent_dim)))
        return f"{sizes}, batch {self.batch_size}, {self.precision}, {self.n:,} images"

    def graph(self, values: NDArray[np.uint8] | None = None) -> ModelGraph:
        """The model over MNIST's images, or over the (N, 784) values given."""
        pixels = Observation(images(self.n)[1] if values is None else values, scale=1 / 255)
        vae = VAE(self.latent_dim, hidden=self.hidden, batch_size=self.batch_size, precision=self.precision)
        gmm = GMM(COMPONENTS, concentration=self.n / COMPONENTS)
        return joint(pixels, vae, gmm)


class Clock:
    """Seconds of each round, and of each module in it, the first round left out.

    Attributes:
        modules: seconds on the clock by module.
        rounds: seconds on the clock.
        cpu_rounds: of the processor's time, which other processes disturb less.
    """

    def __init__(self) -> None:
        self.modules: dict[str, list[float]] = defaultdict(list)
        self.rounds: list[float] = []
        self.cpu_rounds: list[float] = []
        self._begin = 0.0

    def __call__(self, event: Event) -> None:
        match event:
            case RoundStarted():
                self._begin = time.process_time()
            case ModuleUpdated() if event.round > 0:
                self.modules[event.module].append(event.seconds)
            case RoundEnded() if event.round > 0:
                self.rounds.append(event.seconds)
                self.cpu_rounds.append(time.process_time() - self._begin)


class LastRound:
    """Profiles the last round."""

    def __init__(self, last: int, device: str) -> None:
        self._last, self._device = last, device
        on_device = [ProfilerActivity.CUDA] if device == "cuda" else []
        self._profile = profile(activities=[ProfilerActivity.CPU, *on_device])

    def __call__(self, event: Event) -> None:
        match event:
            case RoundStarted() if event.round == self._last:
                self._profile.start()
            case RoundEnded() if event.round == self._last:
                self._profile.stop()

    def seconds(self) -> tuple[float, float]:
        """Time spent in matrix products, and in all of torch's operations; of the device that computes."""
        products = total = 0.0
        for operation in self._profile.key_averages():
            if not operation.key.startswith("aten::"):
                continue  # what calls operations, or on a GPU the kernels that they call
            own = operation.self_device_time_total if self._device == "cuda" else operation.self_cpu_time_total
            total += own / 1e6
            if operation.key in PRODUCTS or any(name in operation.key for name in CONVOLUTIONS):
                products += own / 1e6
        return products, total


def modules_table(cases: Sequence[Case], devices: Sequence[str]) -> Table:
    """Seconds of a round by module."""
    rows = [modules_row(case, device, _clocked(case, device)) for device in devices for case in cases]
    notes = [
        "A round: an epoch of the VAE, two passes of the mixture, the messages both ways, F after each stage.",
        "Medians over the rounds after the first, in which the mixture starts; quartiles of the whole round.",
        "F and the rest: what is left of a round after its modules: the terms of F, and the core.",
    ]
    return Table("modules", "Seconds of a round, by module", rows, notes)


def products_table(cases: Sequence[Case], devices: Sequence[str]) -> Table:
    """The share of matrix products in a round."""
    rows = [_products_row(case, device) for device in devices for case in cases]
    notes = [
        f"Matrix products: {', '.join(PRODUCTS)} and convolutions, as torch.profiler measures their own time in one "
        "round after the others.",
        "Share of the round: of the median round that was not profiled, so that the profiler's cost is not in it. "
        "Share of the operations: of the time that the profiler saw in all operations of torch.",
    ]
    return Table("products", "Share of matrix products in a round", rows, notes)


def modules_row(case: Case, device: str, clock: Clock) -> dict[str, Cell]:
    """Medians over the rounds that a clock has seen."""
    own = zip(*clock.modules.values(), strict=True)
    rest = [whole - sum(parts) for whole, parts in zip(clock.rounds, own, strict=True)]
    low, middle, high = quantiles(clock.rounds, n=4)
    return {
        "case": case.name,
        "device": device,
        "VAE, s": median(clock.modules["vae"]),
        "mixture, s": median(clock.modules["gmm"]),
        "F and the rest, s": median(rest),
        "round, s": middle,
        "quartiles": f"{low:.3g} to {high:.3g}",
        "rounds": len(clock.rounds),
    }


def _clocked(case: Case, device: str) -> Clock:
    clock = Clock()
    fit(case.graph(), rounds=case.rounds + 1, seed=SEED, device=device, callbacks=[clock])
    return clock


def _products_row(case: Case, device: str) -> dict[str, Cell]:
    clock, last = Clock(), LastRound(case.rounds + 1, device)
    fit(case.graph(), rounds=case.rounds + 2, seed=SEED, device=device, callbacks=[clock, last])
    products, total = last.seconds()
    whole = median(clock.rounds[:-1])
    return {
        "case": case.name,
        "device": device,
        "matrix products, s": products,
        "round, s": whole,
        "share of the round": products / whole,
        "share of the operations": products / total,
    }


def devices() -> list[str]:
    """The CPU, and a GPU where there is one."""
    return ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
