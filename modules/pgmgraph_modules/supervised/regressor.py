"""Numbers from vectors: a regressor that learns with the rest of the model and pulls at what it predicts from."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from pgmgraph import Batches, Belief, Gaussian, Out, Point
from pgmgraph_modules.supervised.predictor import Predictor, known_rows

_LEAST_NOISE = 1e-4


class Units(nn.Module):
    """Where the targets lie, how far they spread, and the log of their noise relative to that.

    Args:
        columns: P.
    """

    centre: Tensor
    scale: Tensor

    def __init__(self, columns: int) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(columns))
        self.register_buffer("scale", torch.ones(columns))
        self.log_noise = nn.Parameter(torch.zeros(columns))

    def noise(self) -> Tensor:
        """The variances of the noise in the targets' own units, (P,); never quite zero."""
        return self.scale.square() * (self.log_noise.exp() + _LEAST_NOISE)


class Regressor(Predictor):
    r"""y_n = centre + scale f(z_n) + noise, a variance for each column of y; y may be missing. See `Predictor`.

    Centre and scale are the mean and the standard deviation of the targets that the first update knows. C is the
    inverse of the noise's variance, and no bound but the curvature itself: with a linear f, L_n is E log p(y | z),
    and the message is exact. The noise is at least a ten-thousandth of the targets' variance, since few targets can be
    met without any.

    Args:
        hidden, weight, prior_variance, epochs, first_epochs, batch_size, lr: see `Predictor`. The network
            makes standardised targets.

    Raises:
        ValueError: an argument that no regressor can have.
    """

    predicted = Out(Gaussian)

    @property
    def outputs(self) -> int:
        """See `Predictor`."""
        return math.prod(self.context.shapes["y"])

    def event_shapes(self, z: tuple[int, ...] | None, y: tuple[int, ...] | None) -> dict[str, tuple[int, ...]]:
        """See `Module`; targets of any shape are flattened."""
        return {"predicted": (1 if y is None else math.prod(y),)}

    def build(self) -> None:
        """See `SVIModule`."""
        super().build()
        self.units = Units(self.outputs).double()

    def start(self, batches: Batches) -> None:
        """Standardise by the targets that are known."""
        found = []
        for batch in batches.in_order(self.at_once):
            z, y = batch["z"], batch["y"]
            if isinstance(z, Gaussian) and isinstance(y, Point):
                found.append(y.value[known_rows(z, y)].reshape(-1, self.outputs))
        if found and len(values := torch.cat(found)):
            spread = values.std(0, correction=0)
            self.units.centre.copy_(values.mean(0))
            self.units.scale.copy_(torch.where(spread > 0, spread, 1.0))

    def log_likelihood(self, a: Tensor, y: Tensor) -> Tensor:
        """See `Predictor`."""
        noise = self.units.noise()
        return -0.5 * (self._error(a, y).square() / noise + (2 * math.pi * noise).log()).sum(1)

    def gradient(self, a: Tensor, y: Tensor) -> Tensor:
        """See `Predictor`."""
        return self.units.scale * self._error(a, y) / self.units.noise()

    def curvature(self) -> Tensor:
        """See `Predictor`."""
        return (self.units.scale.square() / self.units.noise()).diag()

    def foretold(self, a: Tensor, spread: Tensor) -> Belief:
        """See `Predictor`; the noise included."""
        variance = self.units.scale.square() * spread.diagonal(dim1=1, dim2=2) + self.units.noise()
        return Gaussian(self._mean(a), variance)

    def known(self, y: Tensor) -> Belief:
        """See `Predictor`."""
        value = y.reshape(-1, self.outputs)
        return Gaussian(value, torch.zeros_like(value))

    def _mean(self, a: Tensor) -> Tensor:
        return self.units.centre + self.units.scale * a

    def _error(self, a: Tensor, y: Tensor) -> Tensor:
        return y.reshape(-1, self.outputs) - self._mean(a)
