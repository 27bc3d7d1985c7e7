"""Mixed precision: a training epoch in bf16 against a bare loop in fp32, and what learning comes to in both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import mean
from typing import Literal

import torch

from benchmarks.digits import load
from benchmarks.report import Cell, Table, alternating, compare, images
from benchmarks.vae import Bare, Case, Ours, mixture_prior
from benchmarks.wiring import joint
from pgmgraph import Observation, Scores, fit
from pgmgraph.datasets import Digits
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.vae import VAE, Ramp

TARGET = 1 / 1.5
COMPONENTS = 10
EPOCH = Case((500, 500, 2000), 10, batch_size=256, n=2_560, turns=15, target=TARGET, precision="bf16")
QUICK_EPOCH = Case((32,), 4, batch_size=100, n=200, turns=3, target=None, precision="bf16")


@dataclass(frozen=True)
class Learning:
    """A VAE and a mixture, small enough for several seeds in both precisions."""

    n: int
    hidden: tuple[int, ...]
    latent_dim: int
    batch_size: int
    first_epochs: int
    rounds: int


LEARNING = Learning(n=10_000, hidden=(500, 500), latent_dim=10, batch_size=128, first_epochs=15, rounds=13)
QUICK_LEARNING = Learning(n=200, hidden=(16,), latent_dim=3, batch_size=64, first_epochs=2, rounds=2)


def epoch_table(case: Case) -> Table:
    """An epoch of VAE in bf16 and in fp32, each against the bare loop in fp32, in turns."""
    pixels = torch.from_numpy(images(case.n)[1])
    values, prior = pixels.float() / 255, mixture_prior(case)
    observation = Observation(pixels, scale=1 / 255)
    low, full = Ours(observation, prior, case), Ours(observation, prior, replace(case, precision="fp32"))
    bare = Bare(*full.networks(), values, prior, case.batch_size)
    times = alternating({"bf16": low.epoch, "fp32": full.epoch, "bare": bare.epoch}, case.turns)
    rows: list[dict[str, Cell]] = []
    for name, target in (("bf16", case.target), ("fp32", None)):
        row = compare(name, times[name], times["bare"], target)
        rows.append(
            {
                "VAE": f"{case.sizes}, batch {case.batch_size}, {name}",
                "VAE, ms": row.ours,
                "bare fp32, ms": row.other,
                "ratio": row.ratio,
                "quartiles": f"{row.low:.3f} to {row.high:.3f}",
                "in CPU time": row.cpu_ratio,
                "target": "" if target is None else f"{target:.2f}: {'met' if row.met else 'missed'}",
            }
        )
    notes = [
        f"Images: {case.n:,}, {images(1)[0]}, bytes; the prior comes from a mixture of full covariances.",
        "Bare: the same networks and loss in float32, as in benchmarks/vae.py. Ratios of times, medians over "
        f"{case.turns} turns; 0.67 is 1.5 times faster.",
    ]
    return Table("bf16-epoch", "A training epoch in bf16 against a bare fp32 loop", rows, notes)


def outcomes_table(learning: Learning, seeds: Sequence[int], *, quick: bool) -> Table:
    """F and accuracy at the end of learning, in both precisions, seed by seed."""
    digits = load(learning.n, bundled=quick)
    precisions: tuple[Literal["fp32", "bf16"], ...] = ("fp32", "bf16")
    ended = {name: [_end(learning, digits, name, seed) for seed in seeds] for name in precisions}
    rows = [
        {
            "precision": name,
            "F, nats an image": mean(F for F, _ in ends),
            "each seed": " ".join(f"{F:.2f}" for F, _ in ends),
            "accuracy": mean(score for _, score in ends),
            "each seed, accuracy": " ".join(f"{score:.3f}" for _, score in ends),
        }
        for name, ends in ended.items()
    ]
    sizes = "-".join(map(str, (784, *learning.hidden, learning.latent_dim)))
    notes = [
        f"{sizes}, {len(digits.train_labels):,} images of {digits.name}, {learning.first_epochs} first epochs at KL "
        f"weight 0.05, {learning.rounds} rounds with the weight rising; seeds {', '.join(map(str, seeds))}; "
        "accuracy on the images that were learnt from; on the CPU.",
    ]
    return Table("bf16-outcomes", "What learning comes to in fp32 and in bf16", rows, notes)


def _end(learning: Learning, digits: Digits, precision: Literal["fp32", "bf16"], seed: int) -> tuple[float, float]:
    """F, in nats an image, and the accuracy after learning."""
    vae = VAE(
        learning.latent_dim,
        hidden=learning.hidden,
        batch_size=learning.batch_size,
        first_epochs=learning.first_epochs,
        kl_weight=Ramp(0.05, 1.0, rounds=max(1, learning.rounds - 4)),
        precision=precision,
    )
    pixels = Observation(digits.train_images, scale=1 / 255)
    gmm = GMM(COMPONENTS, concentration=len(pixels) / COMPONENTS)
    scores = Scores(gmm.c, digits.train_labels)
    history = fit(joint(pixels, vae, gmm), rounds=learning.rounds, seed=seed, device="cpu", callbacks=[scores]).history
    F, score = history["F"][-1], history["accuracy"][-1]
    assert F is not None
    assert score is not None
    return F / len(pixels), score
