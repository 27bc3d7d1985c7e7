"""Real vectors: the Gaussian belief and the Gaussian potential."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal

from pgmgraph.errors import MessageError
from pgmgraph.messages.base import Belief, Potential, expect_shape


def _expect_matrix_or_diagonal(message: Belief | Potential, name: str, n: int, dimensions: int) -> None:
    got = tuple(getattr(message, name).shape)
    if got not in {(n, dimensions), (n, dimensions, dimensions)}:
        raise MessageError(
            f"Expected {type(message).__name__}.{name} of shape {(n, dimensions)} or "
            f"{(n, dimensions, dimensions)}; got {got}."
        )


@dataclass(frozen=True, eq=False)
class Gaussian(Belief):
    """q(v_n) = N(mean_n, variance_n).

    Attributes:
        mean: (N, D).
        variance: (N, D), the diagonal, or (N, D, D), the covariance. Zero where v is known exactly.
    """

    per_item: ClassVar[tuple[str, ...]] = ("mean", "variance")

    mean: Tensor
    variance: Tensor

    @property
    def event_shape(self) -> tuple[int, ...]:
        """(D,)."""
        return tuple(self.mean.shape[1:])

    @property
    def is_diagonal(self) -> bool:
        """Whether `variance` holds the diagonal alone."""
        return self.variance.ndim == 2

    def _check_shapes(self) -> None:
        if self.mean.ndim != 2:
            raise MessageError(f"Expected Gaussian.mean of shape (N, D); got {tuple(self.mean.shape)}.")
        _expect_matrix_or_diagonal(self, "variance", *self.mean.shape)

    def blank(self, n: int) -> Self:
        """See `Message.blank`; the placeholder is N(0, I)."""
        variance = self.variance.new_ones(n, *self.event_shape)
        return replace(
            self,
            mean=self.mean.new_zeros(n, *self.event_shape),
            variance=variance if self.is_diagonal else variance.diag_embed(),
            missing=torch.ones(n, dtype=torch.bool, device=self.mean.device),
        )

    def marginal_variance(self) -> Tensor:
        """Var[v_nd], (N, D)."""
        return self.variance if self.is_diagonal else self.variance.diagonal(dim1=-2, dim2=-1)

    def distribution(self) -> Distribution:
        """See `Belief.distribution`; the variance must be positive."""
        if self.is_diagonal:
            return Independent(Normal(self.mean, self.variance.sqrt(), validate_args=False), 1)
        return MultivariateNormal(self.mean, self.variance, validate_args=False)

    def draw(self, temperature: float = 1.0) -> Tensor:
        """See `Belief.draw`; vectors, (N, D). The temperature is a factor of the variance."""
        if temperature == 0:
            return self.mean
        drawn: Tensor = replace(self, variance=temperature * self.variance).distribution().sample()
        return drawn

    def entropy(self) -> Tensor:
        """See `Belief.entropy`; minus infinity where a variance is zero."""
        variance = self.variance.double()
        if self.is_diagonal:
            log_determinant = variance.log().sum(-1)
        else:
            factor, failed = torch.linalg.cholesky_ex(variance)
            log_determinant = 2 * factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
            log_determinant = log_determinant.masked_fill(failed > 0, -torch.inf)  # singular, but for rounding
        return 0.5 * (self.event_shape[0] * (1 + math.log(2 * math.pi)) + log_determinant)


def quadratic(precision: Tensor, belief: Gaussian) -> Tensor:
    """E_q[v' P v] for each item, (N,); `precision` is (N, D), a diagonal, or (N, D, D)."""
    mean = belief.mean
    if precision.ndim == 2:
        return (precision * (mean.square() + belief.marginal_variance())).sum(-1)
    at_mean = (torch.bmm(precision, mean.unsqueeze(-1)).squeeze(-1) * mean).sum(-1)
    if belief.is_diagonal:
        return at_mean + (precision.diagonal(dim1=-2, dim2=-1) * belief.variance).sum(-1)
    return at_mean + (precision * belief.variance).sum((-2, -1))


@dataclass(frozen=True, eq=False)
class GaussianPotential(Potential):
    """log f_n(v) = log_scale_n + shift_n . v - v . precision_n v / 2.

    Attributes:
        shift: (N, D), precision times mean.
        precision: (N, D), a diagonal, or (N, D, D), symmetric and positive semi-definite.
        log_scale: (N,), the scalar which makes the expectation of the potential under a belief equal
            the expected log-factor of its sender.
    """

    per_item: ClassVar[tuple[str, ...]] = ("shift", "precision", "log_scale")

    shift: Tensor
    precision: Tensor
    log_scale: Tensor

    @property
    def event_shape(self) -> tuple[int, ...]:
        """(D,)."""
        return tuple(self.shift.shape[1:])

    def _check_shapes(self) -> None:
        if self.shift.ndim != 2:
            raise MessageError(f"Expected GaussianPotential.shift of shape (N, D); got {tuple(self.shift.shape)}.")
        _expect_matrix_or_diagonal(self, "precision", *self.shift.shape)
        expect_shape(self, "log_scale", (len(self),))

    def blank(self, n: int) -> Self:
        """See `Message.blank`; the placeholder is the constant zero."""
        return replace(
            self,
            shift=self.shift.new_zeros(n, *self.event_shape),
            precision=self.precision.new_zeros(n, *self.precision.shape[1:]),
            log_scale=self.log_scale.new_zeros(n),
            missing=torch.ones(n, dtype=torch.bool, device=self.shift.device),
        )

    def value(self, v: Tensor) -> Tensor:
        """The potential at v, (..., N, D) to (..., N)."""
        pulled = self.precision * v if self.precision.ndim == 2 else (self.precision @ v.unsqueeze(-1)).squeeze(-1)
        return self.log_scale + ((self.shift - 0.5 * pulled) * v).sum(-1)

    def expectation(self, belief: Gaussian) -> Tensor:
        """E_q[log f_n(v_n)], (N,), differentiable in the belief's moments."""
        linear = (self.shift * belief.mean).sum(-1)
        return self.log_scale + linear - 0.5 * quadratic(self.precision, belief)

    def sample(self, sample_shape: tuple[int, ...] = ()) -> Tensor:
        """Draws from the normal that is proportional to f_n, (*sample_shape, N, D); precisions must be positive."""
        precision = self.precision.diag_embed() if self.precision.ndim == 2 else self.precision
        factor = torch.linalg.cholesky(precision)
        mean = torch.cholesky_solve(self.shift.unsqueeze(-1), factor).squeeze(-1)
        noise = torch.randn(*sample_shape, *mean.shape, 1, dtype=mean.dtype, device=mean.device)
        drawn: Tensor = mean + torch.linalg.solve_triangular(factor.mT, noise, upper=True).squeeze(-1)
        return drawn

    def __mul__(self, other: GaussianPotential) -> GaussianPotential:
        """The product of two potentials of one variable: their natural parameters add up."""
        mine, theirs = self.precision, other.precision
        if mine.ndim != theirs.ndim:
            mine, theirs = (p.diag_embed() if p.ndim == 2 else p for p in (mine, theirs))
        both = self.missing_rows() & other.missing_rows()
        return GaussianPotential(
            self.shift + other.shift,
            mine + theirs,
            self.log_scale + other.log_scale,
            missing=both if both.any() else None,
        )


@dataclass(frozen=True, eq=False)
class GaussianEvidence(GaussianPotential):
    """A likelihood log p(y_n | v) as a function of v: it multiplies a prior of v, and is none itself.

    Its sender owns no p(v). That stays with another parent, or with the child, which then multiplies what comes by
    its own prior. Of an item that nothing is known of it is the constant zero, so alone it may be improper.
    """

    def __mul__(self, other: GaussianPotential) -> GaussianPotential:
        """See `GaussianPotential`; evidence still, where both are."""
        product = super().__mul__(other)
        if not isinstance(other, GaussianEvidence):
            return product
        return GaussianEvidence(product.shift, product.precision, product.log_scale, missing=product.missing)
