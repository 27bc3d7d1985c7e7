"""How long a round takes over many machines: a model on paper, with costs that are measured on one."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import ray
import torch

from benchmarks.report import Cell, Table
from benchmarks.scaled import SEED, mixture, vae_gmm
from pgmgraph import Event, ModelGraph, ModuleUpdated, fit
from pgmgraph.executors.ray import RayExecutor
from pgmgraph.executors.ray.packing import Letter, packed
from pgmgraph.messages import Gaussian, Message
from pgmgraph_modules.vae import VAE

NETWORK = 1.25e9  # bytes a second, 10 Gbit/s: an assumption, since one machine has no network to measure
LATENCY = 2e-4  # seconds a message between machines, an assumption too
BATCH = 256
WORKERS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
ITEMS = (10**6, 10**7, 10**8, 10**9)


@dataclass(frozen=True)
class Measured:
    """What was measured on one machine, one thread.

    Attributes:
        network: seconds that an item takes a VAE in an epoch.
        statistics: seconds that an item takes a mixture in a pass.
        passes: of a mixture in a round.
        call: seconds of a call that does nothing.
        parameters: bytes of the VAE's parameters.
        sums: bytes of the mixture's statistics.
        item: bytes that go over the wires for an item in a round.
        copy: bytes a second into and out of the object store of one machine.
    """

    network: float
    statistics: float
    passes: int
    call: float
    parameters: int
    sums: int
    item: float
    copy: float

    def table(self) -> Table:
        """The costs."""
        row: dict[str, Cell] = {
            "VAE, us an item and epoch": 1e6 * self.network,
            "GMM, us an item and pass": 1e6 * self.statistics,
            "a call, ms": 1e3 * self.call,
            "gradients, MB": self.parameters / 1e6,
            "statistics, kB": self.sums / 1e3,
            "messages, bytes an item": self.item,
            "object store, GB/s": self.copy / 1e9,
        }
        notes = [
            f"VAE 784-500-500-2000-10 in minibatches of {BATCH}; GMM, K = D = 10, {self.passes} passes a round.",
            f"Assumed, not measured: a network of {NETWORK / 1e9:g} GB/s between machines, "
            f"{1e3 * LATENCY:g} ms a message.",
        ]
        return Table("costs", "What the model on paper is made of", [row], notes)

    def mixture_round(self, items: float, workers: int) -> float:
        """Seconds of a round of the mixture over so many workers."""
        work = items / workers * self.statistics * (self.passes + 1)
        exchange = 0.0 if workers == 1 else self.passes * (self.sums * workers / NETWORK + LATENCY * workers)
        return work + exchange + (self.passes + 2) * self.call

    def network_round(self, items: float, workers: int, batch: int = BATCH) -> float:
        """Seconds of an epoch of the VAE, whose gradients are averaged after every minibatch."""
        steps = items / batch
        work = items / workers * self.network
        ring = 2 * (workers - 1) / workers * self.parameters / NETWORK + 2 * LATENCY * math.log2(workers)
        return work + steps * ring + 2 * self.call

    def wires(self, items: float, workers: int) -> float:
        """Seconds that messages take, which stay on the machine of their part of the plate."""
        return self.item * items / workers / self.copy


def measure(quick: bool) -> Measured:
    """Measure the costs here."""
    n, hidden = (512, (16,)) if quick else (10_240, (500, 500, 2000))
    points = 2_000 if quick else 200_000
    graph, mixed = vae_gmm(n, hidden), mixture(points)
    network = _seconds(graph, "vae") / n
    passes = 10
    statistics = _seconds(mixed, "gmm") / points / (passes + 1)
    vae = graph.modules["vae"]
    assert isinstance(vae, VAE)
    parameters = sum(4 * one.numel() for network_ in vae.networks.values() for one in network_.parameters())
    with RayExecutor(patience=120, keep=False) as executor:
        small = vae_gmm(512, (16,))
        fit(small, rounds=3, seed=SEED, executor=executor)
        item = sum(executor.traffic.sent.values()) / 512
        ray_call, copy = _store(4_000 if quick else 1_000_000)
    return Measured(network, statistics, 2, ray_call, parameters, 8 * 10 * (1 + 10 + 100), item, copy)


def _seconds(graph: ModelGraph, module: str) -> float:
    """The median seconds of a module's update, without the first."""
    heard: list[float] = []

    def hear(event: Event) -> None:
        if isinstance(event, ModuleUpdated) and event.module == module and event.round:
            heard.append(event.seconds)

    fit(graph, rounds=4, seed=SEED, callbacks=[hear], objective=False)
    return median(heard)


def _store(items: int) -> tuple[float, float]:
    """Seconds of a call of an actor that does nothing, and bytes a second of a message there and back."""
    message: Message = Gaussian(torch.rand(items, 10), torch.rand(items, 10))
    ray.init(ignore_reinit_error=True, log_to_driver=False, include_dashboard=False)
    echo: Any = ray.remote(_Echo).remote()  # Any: ray makes handles at run time
    letter = Letter(packed(message))

    def timed(run: Callable[[], object]) -> float:
        begin = time.perf_counter()
        run()
        return time.perf_counter() - begin

    ray.get(echo.nothing.remote())
    call = median(timed(lambda: ray.get(echo.nothing.remote())) for _ in range(200))
    copied = median(timed(lambda: ray.get(echo.touched.remote(ray.put(letter)))) for _ in range(5))
    ray.kill(echo)
    return call, letter.bytes / max(copied - call, 1e-9)


class _Echo:
    def nothing(self) -> None:
        """Do nothing."""

    def touched(self, letter: Letter) -> float:
        """Read every byte of a letter."""
        return float(sum(array.sum() for array in letter.message.arrays.values()))


def prediction_table(measured: Measured) -> Table:
    """Seconds of a round by items and workers."""
    rows: list[dict[str, Cell]] = []
    for items in ITEMS:
        for workers in (1, 4, 16, 64, 256):
            rows.append(
                {
                    "items": f"{items:.0e}",
                    "workers": str(workers),
                    "messages, GB": measured.item * items / 1e9,
                    "GMM, s a round": measured.mixture_round(items, workers),
                    "VAE, s an epoch": measured.network_round(items, workers),
                    "VAE, minibatches of 256 a worker": measured.network_round(items, workers, BATCH * workers),
                    "wires, s": measured.wires(items, workers),
                }
            )
    notes = [
        "GMM: passes of N / W items, statistics from everybody to everybody, calls.",
        "VAE: N / W items, and after each of N / batch steps the gradients once around a ring (2 (W - 1) / W of their "
        "size). With minibatches of 256 in all, the ring soon costs more than the work; larger ones learn otherwise.",
    ]
    return Table("predictions", "Seconds a round, on paper", rows, notes)


def draw(measured: Measured, path: Path) -> None:
    """Draw seconds a round over workers, for ten million items."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    items = 1e7
    lines = {
        "GMM": [measured.mixture_round(items, workers) for workers in WORKERS],
        "VAE, minibatches of 256 in all": [measured.network_round(items, workers) for workers in WORKERS],
        "VAE, minibatches of 256 a worker": [measured.network_round(items, one, BATCH * one) for one in WORKERS],
    }
    for name, seconds in lines.items():
        axes.plot(WORKERS, seconds, marker="o", label=name)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set(xlabel="workers", ylabel="seconds a round", title="10 million items, on paper")
    axes.legend(loc=(0.02, 0.4))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
