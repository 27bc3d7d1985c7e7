"""Normal-Wishart posteriors of the components, one formula for full and diagonal covariances.

A full covariance is one block of D dimensions, a diagonal one is D blocks of one: tensors are
(K, B, d) and (K, B, d, d) with B x d = D. Notation and formulas: Bishop, Pattern Recognition and
Machine Learning (2006), section 10.2 and appendix B.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

_LOG_2PI = math.log(2 * math.pi)
_LEAST_SCALE = 1e-6


@dataclass(frozen=True)
class Normals:
    """K normal densities in B blocks, each for certain: what a draw of a Normal-Wishart gives.

    Attributes:
        mean: (K, B, d).
        precision: (K, B, d, d).
        log_determinant: (K,), of the precision, its blocks together.
    """

    mean: Tensor
    precision: Tensor
    log_determinant: Tensor

    def natural(self) -> tuple[Tensor, Tensor, Tensor]:
        """See `NormalWishart.natural`; with nothing to take an expectation over."""
        shift = (self.precision @ self.mean.unsqueeze(-1)).squeeze(-1)
        dimensions = self.mean.shape[1] * self.mean.shape[2]
        log_scale = 0.5 * (self.log_determinant - dimensions * _LOG_2PI - (shift * self.mean).sum((-2, -1)))
        return shift, self.precision, log_scale


@dataclass(frozen=True)
class NormalWishart:
    """Lambda ~ Wishart(W, nu) and mu given Lambda ~ N(mean, (beta Lambda)^-1), for K components in B blocks.

    Attributes:
        mean: (K, B, d).
        beta: (K,), how many observations the mean is worth.
        inverse_scale: (K, B, d, d), W^-1.
        nu: (K,), degrees of freedom, above d - 1.
    """

    mean: Tensor
    beta: Tensor
    inverse_scale: Tensor
    nu: Tensor

    @property
    def size(self) -> int:
        """d, the dimensions of a block."""
        return self.mean.shape[-1]

    def factor(self) -> Tensor:
        """The Cholesky factor of W^-1, (K, B, d, d)."""
        factor: Tensor = torch.linalg.cholesky(self.inverse_scale)
        return factor

    def expected_precision(self) -> Tensor:
        """E[Lambda] = nu W, (K, B, d, d)."""
        scale: Tensor = torch.cholesky_inverse(self.factor())
        precision: Tensor = self.nu[:, None, None, None] * scale
        return precision

    def expected_log_determinant(self) -> Tensor:
        """E[log |Lambda|] of each block, (K, B)."""
        log_scale = -2 * self.factor().diagonal(dim1=-2, dim2=-1).log().sum(-1)
        return self._digammas()[:, None] + self.size * math.log(2) + log_scale

    def updated(self, counts: Tensor, first: Tensor, second: Tensor) -> NormalWishart:
        """The posterior given sums of r, r z and r z z': (K,), (K, B, d), (K, B, d, d)."""
        beta, nu = self.beta + counts, self.nu + counts
        mean = (self.beta[:, None, None] * self.mean + first) / beta[:, None, None]
        inverse_scale = (
            self.inverse_scale
            + second
            + self.beta[:, None, None, None] * _outer(self.mean)
            - beta[:, None, None, None] * _outer(mean)
        )
        return NormalWishart(mean, beta, _positive(inverse_scale, self.inverse_scale), nu)

    def fitted_to(self, posterior: NormalWishart) -> NormalWishart:
        """The prior that lowers the divergence of these posteriors most, of those with its mean and shape of W^-1.

        Empirical Bayes: one beta for all components, and how many times as large W^-1 is, each where the derivative
        of the divergence is zero. What these two are in this prior does not matter, but that items which lie on top
        of one another, and would take W^-1 down to nothing, leave it a share of 1e-6.
        """
        numbers = self.mean.numel()
        precision = posterior.expected_precision()
        away = posterior.mean - self.mean
        spread = _quadratic(away, precision).sum()
        spread += self.mean.shape[1:].numel() * posterior.beta.reciprocal().sum()
        times = self.nu[0] * numbers / (self.inverse_scale * precision).sum()
        beta = (numbers / spread).expand_as(self.beta).contiguous()
        return NormalWishart(self.mean, beta, times.clamp_min(_LEAST_SCALE) * self.inverse_scale, self.nu)

    def blended(self, other: NormalWishart, share: float) -> NormalWishart:
        """The member of the family whose natural parameters are 1 - share of these and `share` of the other's.

        The natural parameters are beta, beta mean, W^-1 + beta mean mean' and nu. W^-1 is put together from parts
        that are positive definite, so that it is too, whatever rounding does.
        """
        mine, theirs = (1 - share) * self.beta, share * other.beta
        beta = mine + theirs
        mean = (mine / beta)[:, None, None] * self.mean + (theirs / beta)[:, None, None] * other.mean
        between = (mine * theirs / beta)[:, None, None, None] * _outer(other.mean - self.mean)
        inverse_scale = torch.lerp(self.inverse_scale, other.inverse_scale, share) + between
        return NormalWishart(mean, beta, inverse_scale, torch.lerp(self.nu, other.nu, share))

    def log_normaliser(self) -> Tensor:
        """The logarithm of the integral of what the density is proportional to, (K,).

        Of a posterior, less that of its prior, it is the log evidence of the data, but for -log(2 pi) / 2 a number.
        """
        blocks, d = self.mean.shape[1:]
        log_determinant = 2 * self.factor().diagonal(dim1=-2, dim2=-1).log().sum((-2, -1))
        normaliser: Tensor = (
            0.5 * blocks * d * (_LOG_2PI - self.beta.log() + self.nu * math.log(2))
            + blocks * torch.special.multigammaln(self.nu / 2, d)
            - 0.5 * self.nu * log_determinant
        )
        return normaliser

    def draw(self) -> Normals:
        """A draw of each component's precision and mean, by the decomposition of Bartlett (1933)."""
        blocks = self.mean.shape[1]
        shape = ((self.nu[:, None] - self._steps()) / 2).unsqueeze(1).expand(-1, blocks, -1)
        chi_squares = 2 * torch.distributions.Gamma(shape, torch.ones_like(shape), validate_args=False).sample()
        standard = torch.randn_like(self.inverse_scale).tril(-1) + chi_squares.sqrt().diag_embed()
        # Lambda = root root' with root = W^(1/2) standard, and W^(1/2) = factor^-T, as W^-1 = factor factor'.
        factor = self.factor()
        root = torch.linalg.solve_triangular(factor.mT, standard, upper=True)
        noise = torch.randn_like(self.mean).unsqueeze(-1) / self.beta.sqrt()[:, None, None, None]
        away = factor @ torch.linalg.solve_triangular(standard.mT, noise, upper=True)
        log_determinant = (chi_squares.log() - 2 * factor.diagonal(dim1=-2, dim2=-1).log()).sum((-2, -1))
        return Normals(self.mean + away.squeeze(-1), root @ root.mT, log_determinant)

    def natural(self) -> tuple[Tensor, Tensor, Tensor]:
        """What E[log N(z | mu, Lambda)] = log_scale + shift.z - z.precision.z / 2 is made of.

        Returns:
            shift (K, B, d), precision (K, B, d, d), log_scale (K,).
        """
        precision = self.expected_precision()
        shift = (precision @ self.mean.unsqueeze(-1)).squeeze(-1)
        dimensions = self.mean.shape[1] * self.size
        square = dimensions / self.beta + (shift * self.mean).sum((-2, -1))
        log_scale = 0.5 * (self.expected_log_determinant().sum(-1) - dimensions * _LOG_2PI - square)
        return shift, precision, log_scale

    def divergence(self, prior: NormalWishart) -> Tensor:
        """KL(self || prior) of each component, (K,)."""
        factor, d, blocks = self.factor(), self.size, self.mean.shape[1]
        scale = torch.cholesky_inverse(factor)
        ratio = prior.beta / self.beta
        away = self.mean - prior.mean
        distance = self.nu * _quadratic(away, scale)
        of_means = 0.5 * (blocks * d * (ratio - 1 - ratio.log()) + prior.beta * distance)
        log_scale = -2 * factor.diagonal(dim1=-2, dim2=-1).log().sum((-2, -1))
        prior_log_scale = -2 * prior.factor().diagonal(dim1=-2, dim2=-1).log().sum((-2, -1))
        trace = (prior.inverse_scale * scale).sum((-3, -2, -1))
        of_precisions = (
            0.5 * prior.nu * (prior_log_scale - log_scale)
            + 0.5 * self.nu * (trace - blocks * d)
            + blocks * (torch.special.multigammaln(prior.nu / 2, d) - torch.special.multigammaln(self.nu / 2, d))
            + 0.5 * blocks * (self.nu - prior.nu) * self._digammas()
        )
        total: Tensor = of_means + of_precisions
        return total

    @property
    def hottest(self) -> Tensor:
        """The temperature from which on `predictive` has nothing to draw from, (K,)."""
        return (self.nu + 1) / self.size

    def predictive(self, components: Tensor, temperature: float = 1.0) -> Tensor:
        """One draw of z for each of the given components, (n,) to (n, B x d).

        The posterior predictive of a block is a Student t with f = nu + 1 - d degrees of freedom and scale S (Bishop
        10.81), of density proportional to (1 + z'S^-1 z / f)^(-(f + d) / 2) about its mean. To the power of 1 / T it
        is a Student t again: with g = (f + d) / T - d degrees of freedom, and scale S f / g, where g is positive.
        """
        if temperature == 0:
            return self.mean[components].flatten(1)
        freedom = (self.nu + 1) / temperature - self.size
        spread = ((1 + self.beta) / (self.beta * freedom))[:, None, None, None] * self.inverse_scale
        factor = torch.linalg.cholesky(spread)[components]
        noise = torch.randn(len(components), *self.mean.shape[1:], dtype=self.mean.dtype, device=self.mean.device)
        gamma = torch.distributions.Gamma(freedom[components] / 2, freedom[components] / 2, validate_args=False)
        heavy = gamma.sample((self.mean.shape[1],)).T.rsqrt()
        drawn = self.mean[components] + heavy.unsqueeze(-1) * (factor @ noise.unsqueeze(-1)).squeeze(-1)
        vectors: Tensor = drawn.flatten(1)
        return vectors

    def _digammas(self) -> Tensor:
        """sum_i digamma((nu + 1 - i) / 2), (K,)."""
        return torch.digamma((self.nu[:, None] - self._steps()) / 2).sum(-1)

    def _steps(self) -> Tensor:
        return torch.arange(self.size, dtype=self.nu.dtype, device=self.nu.device)


def _outer(vectors: Tensor) -> Tensor:
    return vectors.unsqueeze(-1) * vectors.unsqueeze(-2)


def _quadratic(vectors: Tensor, matrices: Tensor) -> Tensor:
    """The sum over blocks of v'M v, (K,)."""
    # For a few small matrices einsum takes longer to plan than to compute.
    return ((matrices @ vectors.unsqueeze(-1)).squeeze(-1) * vectors).sum((1, 2))


def _positive(matrix: Tensor, least: Tensor) -> Tensor:
    """`matrix`, which is at least `least` in exact arithmetic, mended where rounding took it below.

    Subtracting the mean's outer product cancels where a component is far narrower than it is far from
    the centre; the prior's scale is the smallest that can be right.
    """
    matrix = 0.5 * (matrix + matrix.mT)
    _, failed = torch.linalg.cholesky_ex(matrix)
    if not failed.any():
        return matrix
    values, vectors = torch.linalg.eigh(matrix)
    floor = torch.linalg.eigvalsh(least)[..., :1]
    mended = vectors @ (torch.maximum(values, floor).unsqueeze(-1) * vectors.mT)
    return torch.where((failed > 0)[..., None, None], mended, matrix)
