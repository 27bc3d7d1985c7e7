"""What `VAE` costs: training epochs against a bare PyTorch loop over the same networks.

Run it with `python -m benchmarks.vae`.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from benchmarks.report import Row, alternating, compare, images, settings, write
from pgmgraph import Batches, Context, GaussianPotential, Observation, Point, PooledGaussianPotential
from pgmgraph.plates import Parcel
from pgmgraph_modules.vae import VAE

SEED = 0
COMPONENTS = 10
LR = 1e-3
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Case:
    """A network and how it is trained."""

    hidden: tuple[int, ...]
    latent_dim: int
    batch_size: int
    n: int
    turns: int
    target: float | None
    precision: Literal["fp32", "bf16"] = "fp32"

    @property
    def sizes(self) -> str:
        """The layers, from the image to the latents."""
        return "-".join(map(str, (784, *self.hidden, self.latent_dim)))


class Bare:
    """A loop as one writes it for this one model: float32 images in memory, indexed by a permutation."""

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        values: Tensor,
        prior: PooledGaussianPotential | None,
        batch_size: int,
    ) -> None:
        self.encoder, self.decoder, self.values, self.batch_size = encoder, decoder, values, batch_size
        self.prior = None if prior is None else prior.to(dtype=torch.float32)
        parameters = [*encoder.parameters(), *decoder.parameters()]
        self.optimiser = torch.optim.Adam(parameters, lr=LR, fused=True)
        self.loss = math.nan

    def epoch(self) -> None:
        """One pass over the images."""
        total, n = 0.0, len(self.values)
        order = torch.randperm(n)
        for begin in range(0, n, self.batch_size):
            rows = order[begin : begin + self.batch_size]
            x = self.values[rows]
            mean, log_variance = self.encoder(x).chunk(2, -1)
            deviation = torch.exp(0.5 * log_variance)
            logits = self.decoder(mean + deviation * torch.randn_like(deviation))
            misfit = binary_cross_entropy_with_logits(logits, x, reduction="sum")
            loss = (misfit + self._divergence(mean, log_variance, rows)) / len(rows)
            loss.backward()
            self.optimiser.step()
            self.optimiser.zero_grad()
            total += loss.item() * len(rows)
        self.loss = total / n

    def _divergence(self, mean: Tensor, log_variance: Tensor, rows: Tensor) -> Tensor:
        """-H[q] - E_q[log prior], summed over the minibatch, the prior's normaliser included where it has one."""
        variance = log_variance.exp()
        if self.prior is None:
            return 0.5 * (mean.square() + variance - 1 - log_variance).sum()
        weights, dimensions = self.prior.weights[rows], mean.shape[1]
        shift = weights @ self.prior.shift
        precision = (weights @ self.prior.precision.flatten(1)).reshape(-1, dimensions, dimensions)
        at_mean = torch.bmm(precision, mean.unsqueeze(-1)).squeeze(-1)
        quadratic = (at_mean * mean).sum() + (precision.diagonal(dim1=1, dim2=2) * variance).sum()
        expected = (weights @ self.prior.log_scale).sum() + (shift * mean).sum() - 0.5 * quadratic
        return -0.5 * (log_variance + 1 + math.log(2 * math.pi)).sum() - expected


class Ours:
    """A VAE by itself, epoch by epoch."""

    def __init__(self, observation: Observation, prior: PooledGaussianPotential | None, case: Case) -> None:
        self.vae = VAE(case.latent_dim, hidden=case.hidden, batch_size=case.batch_size, lr=LR, precision=case.precision)
        owned = frozenset({"z"}) if prior is None else frozenset[str]()
        connected = frozenset({"x"} if prior is None else {"x", "z"})
        shapes = {"x": observation.point.event_shape, "z": (case.latent_dim,)}
        torch.manual_seed(SEED)
        self.vae.setup(Context("vae", shapes, connected, owned, CPU, torch.float32, SEED))
        self.vae.context.plate_size = case.n
        self.vae.context.progress = self._watch
        back = None if prior is None else Parcel(prior, GaussianPotential)
        mail = {"x": Parcel(observation.point, Point), "z": back}
        self.batches = Batches(mail, frozenset({"x"}), CPU, torch.float32)
        self.loss = math.nan

    def epoch(self) -> None:
        """One pass over the images."""
        self.vae.learn_batches(self.batches)

    def networks(self) -> tuple[nn.Module, nn.Module]:
        """Copies of the encoder and decoder as they are."""
        assert self.vae.encoder is not None
        assert self.vae.decoder is not None
        return copy.deepcopy(self.vae.encoder), copy.deepcopy(self.vae.decoder)

    def _watch(self, done: int, total: int, values: Mapping[str, float]) -> None:
        self.loss = values["loss"]


def main() -> None:
    """Measure, and write the report."""
    given = settings("Training epochs of VAE against a bare PyTorch loop.")
    if given.quick:
        cases = [Case((32,), 4, batch_size=100, n=200, turns=3, target=None)]
    else:
        cases = [
            Case((128,), 18, batch_size=500, n=6_000, turns=41, target=1.25),
            Case((500, 500, 2000), 10, batch_size=256, n=2_560, turns=9, target=1.10),
        ]
    rows = [row for case in cases for row in _rows(case)]
    notes = [
        f"Images: {images(1)[0]}.",
        "VAE: learn_batches of one epoch on Batches: a permutation, minibatches cut from the observation and from the "
        "mixture's message, Pyro's model and guide, TraceMeanField_ELBO, a check that the loss is finite.",
        "Bare: the same networks from the same start, the same loss in closed form, float32 images in memory, indexed "
        "by a permutation; the mixture's natural parameters in float32, pooled for each minibatch. No Pyro, no checks.",
        "Both: torch.optim.Adam(fused=True), the loss read off after each minibatch, the same batch size and threads.",
        "float32: VAE reads the very tensor that the bare loop reads. uint8: it keeps bytes and casts each minibatch, "
        "the bare loop still has float32.",
        "Loss differs by: relative difference of the first epoch's mean loss, from the same seed.",
    ]
    write("vae", "Training epochs of VAE against a bare PyTorch loop", ("VAE", "bare"), rows, notes, given)


def _rows(case: Case) -> Sequence[Row]:
    pixels = torch.from_numpy(images(case.n)[1])
    values = pixels.float() / 255
    floats, bytes_ = Observation(values), Observation(pixels, scale=1 / 255)
    return [
        _row(case, "prior from a mixture, float32", floats, values, mixture_prior(case)),
        _row(case, "prior N(0, I), float32", floats, values, None),
        _row(case, "prior from a mixture, uint8", bytes_, values, mixture_prior(case)),
    ]


def _row(case: Case, what: str, observation: Observation, values: Tensor, prior: PooledGaussianPotential | None) -> Row:
    ours = Ours(observation, prior, case)
    bare = Bare(*ours.networks(), values, prior, case.batch_size)
    for side in (ours, bare):
        torch.manual_seed(SEED)
        side.epoch()
    difference = abs(ours.loss - bare.loss) / abs(bare.loss)
    times = alternating({"ours": ours.epoch, "bare": bare.epoch}, case.turns)
    name = f"{case.sizes}, batch {case.batch_size}, {case.n} images; {what}"
    return compare(name, times["ours"], times["bare"], case.target, {"loss differs by": difference})


def mixture_prior(case: Case) -> PooledGaussianPotential:
    """What a mixture with full covariances sends back, float64 as a mixture sends it."""
    generator = torch.Generator().manual_seed(SEED)
    d = case.latent_dim
    draw = torch.randn(COMPONENTS, d, d, generator=generator, dtype=torch.float64)
    precision = torch.eye(d, dtype=torch.float64) + draw @ draw.mT / d
    mean = torch.randn(COMPONENTS, d, 1, generator=generator, dtype=torch.float64)
    shift = (precision @ mean).squeeze(-1)
    log_scale = 0.5 * (torch.logdet(precision) - d * math.log(2 * math.pi) - (shift * mean.squeeze(-1)).sum(-1))
    logits = 3 * torch.randn(case.n, COMPONENTS, generator=generator, dtype=torch.float64)
    return PooledGaussianPotential(torch.softmax(logits, 1), shift, precision, log_scale)


if __name__ == "__main__":
    main()
