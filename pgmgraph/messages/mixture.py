"""What a mixture sends to the vector below it, without ever writing out N x D x D."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
from torch import Tensor

from pgmgraph.errors import MessageError
from pgmgraph.messages.base import Potential, expect_shape
from pgmgraph.messages.gaussian import Gaussian, GaussianPotential


@dataclass(frozen=True, eq=False)
class PooledGaussianPotential(Potential):
    """log f_n(v) = sum_k weights_nk (log_scale_k + shift_k . v - v . precision_k v / 2).

    The expected natural parameters of a mixture, with the components written once for the plate.

    Attributes:
        weights: (N, K), the responsibilities.
        shift: (K, D), E[Lambda_k mu_k].
        precision: (K, D), a diagonal, or (K, D, D), E[Lambda_k].
        log_scale: (K,), the scalar of each component.
    """

    per_item: ClassVar[tuple[str, ...]] = ("weights",)
    shared: ClassVar[tuple[str, ...]] = ("shift", "precision", "log_scale")

    weights: Tensor
    shift: Tensor
    precision: Tensor
    log_scale: Tensor

    @property
    def event_shape(self) -> tuple[int, ...]:
        """(D,)."""
        return tuple(self.shift.shape[1:])

    def _check_shapes(self) -> None:
        if self.weights.ndim != 2 or self.shift.ndim != 2:
            raise MessageError(
                "Expected PooledGaussianPotential.weights of shape (N, K) and .shift of shape (K, D); "
                f"got {tuple(self.weights.shape)} and {tuple(self.shift.shape)}."
            )
        components, dimensions = self.weights.shape[1], self.shift.shape[1]
        expect_shape(self, "shift", (components, dimensions))
        expect_shape(self, "log_scale", (components,))
        expect_shape(self, "precision", (components, dimensions, dimensions)[: self.precision.ndim])

    def blank(self, n: int) -> Self:
        """See `Message.blank`; weights of zero make the constant zero."""
        missing = torch.ones(n, dtype=torch.bool, device=self.weights.device)
        return replace(self, weights=self.weights.new_zeros(n, self.weights.shape[1]), missing=missing)

    def dense(self) -> GaussianPotential:
        """The same potential with natural parameters of its own for each item; for minibatches."""
        precision = self.weights @ self.precision.flatten(1)
        return GaussianPotential(
            self.weights @ self.shift,
            precision.reshape(len(self), *self.precision.shape[1:]),
            self.weights @ self.log_scale,
            missing=self.missing,
        )

    def expectation(self, belief: Gaussian) -> Tensor:
        """E_q[log f_n(v_n)], (N,), differentiable in the belief's moments."""
        return self.dense().expectation(belief)
