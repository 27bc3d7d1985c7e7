"""What a mixture sends to the vector below it, in mean field or whole, without ever writing out N x D x D."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
from torch import Tensor

from pgmgraph.errors import MessageError
from pgmgraph.messages.base import Index, Potential, expect_shape
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


@dataclass(frozen=True, eq=False)
class MixturePotential(Potential):
    """log f(v) = log sum_k exp(log_weights_k + log_scale_k + shift_k . v - v . precision_k v / 2), for every item.

    A mixture with its component summed out, the prior of VaDE (Jiang et al., 2017). It has no expectation in
    closed form: a belief about v takes it by samples.

    Attributes:
        items: N; the tensors are the same for the whole plate.
        log_weights: (K,), E[log pi_k]; minus infinity where a component is impossible.
        shift: (K, D), E[Lambda_k mu_k].
        precision: (K, D), a diagonal, or (K, D, D), E[Lambda_k].
        log_scale: (K,), the scalar of each component.
    """

    shared: ClassVar[tuple[str, ...]] = ("log_weights", "shift", "precision", "log_scale")

    items: int
    log_weights: Tensor
    shift: Tensor
    precision: Tensor
    log_scale: Tensor

    @property
    def event_shape(self) -> tuple[int, ...]:
        """(D,)."""
        return tuple(self.shift.shape[1:])

    def _check_shapes(self) -> None:
        if self.shift.ndim != 2:
            raise MessageError(f"Expected MixturePotential.shift of shape (K, D); got {tuple(self.shift.shape)}.")
        components, dimensions = self.shift.shape
        expect_shape(self, "log_weights", (components,))
        expect_shape(self, "log_scale", (components,))
        expect_shape(self, "precision", (components, dimensions, dimensions)[: max(2, self.precision.ndim)])

    def __len__(self) -> int:
        return self.items

    def __getitem__(self, index: Index) -> Self:
        """See `Message.__getitem__`."""
        kept = self.missing_rows()[index]
        return replace(self, items=len(kept), missing=None if self.missing is None else kept)

    def blank(self, n: int) -> Self:
        """See `Message.blank`."""
        return replace(self, items=n, missing=torch.ones(n, dtype=torch.bool, device=self.device))

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """See `Message.concatenate`."""
        flagged = any(part.missing is not None for part in parts)
        missing = torch.cat([part.missing_rows() for part in parts]) if flagged else None
        return replace(parts[0], items=sum(part.items for part in parts), missing=missing)

    def value(self, v: Tensor) -> Tensor:
        """The potential at v, (..., N, D) to (..., N)."""
        if self.precision.ndim == 2:
            squares = v.square() @ self.precision.T
        else:
            squares = (v.unsqueeze(-1) * v.unsqueeze(-2)).flatten(-2) @ self.precision.flatten(1).T
        return torch.logsumexp(self.log_weights + self.log_scale + v @ self.shift.T - 0.5 * squares, -1)

    def sample(self, sample_shape: tuple[int, ...] = ()) -> Tensor:
        """Draws from the mixture that is proportional to f, (*sample_shape, N, D); precisions must be positive."""
        precision = self.precision.diag_embed() if self.precision.ndim == 2 else self.precision
        factor = torch.linalg.cholesky(precision)
        mean = torch.cholesky_solve(self.shift.unsqueeze(-1), factor).squeeze(-1)
        # The integral of each component, up to what is the same for all.
        log_mass = 0.5 * (self.shift * mean).sum(-1) - factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        logits = (self.log_weights + self.log_scale + log_mass).expand(*sample_shape, self.items, -1)
        chosen = torch.distributions.Categorical(logits=logits, validate_args=False).sample()
        noise = torch.randn(*chosen.shape, *self.event_shape, 1, dtype=mean.dtype, device=mean.device)
        spread = torch.linalg.solve_triangular(factor.mT[chosen], noise, upper=True).squeeze(-1)
        drawn: Tensor = mean[chosen] + spread
        return drawn
