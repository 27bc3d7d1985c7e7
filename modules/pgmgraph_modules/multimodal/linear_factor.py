"""One modality of a shared vector: its linear-Gaussian factor, what it says and what it learns."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pgmgraph import Gaussian, GaussianPotential

_LOG_2PI = math.log(2 * math.pi)


@dataclass(frozen=True)
class LinearFactor:
    """p(x | z) = N(A z + b, Psi), in coordinates with `centre` taken off x.

    Attributes:
        regression: [A, b], (D, L + 1).
        noise: Psi, (D, D).
        centre: (D,).
        least: the smallest variance that Psi may have in any direction, ().
        diagonal: whether Psi is diagonal.
    """

    regression: Tensor
    noise: Tensor
    centre: Tensor
    least: Tensor
    diagonal: bool

    @property
    def loadings(self) -> Tensor:
        """A, (D, L)."""
        return self.regression[:, :-1]

    @property
    def mean(self) -> Tensor:
        """b, (D,), of x itself."""
        return self.centre + self.regression[:, -1]

    def weighted(self) -> Tensor:
        """Psi^-1 A, (D, L)."""
        solved: Tensor = torch.cholesky_solve(self.loadings, self._factor())
        return solved

    def information(self) -> Tensor:
        """A' Psi^-1 A, (L, L): the precision of what x says of z."""
        return self.loadings.T @ self.weighted()

    def shift(self, x: Gaussian) -> Tensor:
        """A' Psi^-1 (E[x] - b), (n, L): the precision-weighted mean of what x says of z; zero where x is missing."""
        shifts = (x.mean - self.mean) @ self.weighted()
        return shifts.masked_fill(x.missing_rows()[:, None], 0.0)

    def sums(self, x: Gaussian, z: Gaussian) -> dict[str, Tensor]:
        """What the regression of x on u = [z, 1] takes: the sums of x u', u u' and x x', and the number of items."""
        present = (~x.missing_rows()).to(x.mean)[:, None]
        centred = (x.mean - self.centre) * present
        u = torch.cat([z.mean, torch.ones_like(present)], 1) * present
        uu = u.T @ u
        uu[:-1, :-1] += (covariance(z) * present[:, :, None]).sum(0)
        xx = centred.T @ centred + (covariance(x) * present[:, :, None]).sum(0)
        return {"xu": centred.T @ u, "uu": uu, "xx": xx, "n": present.sum()}

    def updated(self, sums: Mapping[str, Tensor]) -> LinearFactor:
        """The maximum of the expected log-factor given such sums, with no variance below `least`."""
        regression = torch.linalg.solve(sums["uu"], sums["xu"], left=False)
        scatter = (sums["xx"] - regression @ sums["xu"].T) / sums["n"]
        if self.diagonal:
            return replace(self, regression=regression, noise=scatter.diagonal().clamp_min(self.least).diag_embed())
        # The expected log-factor is concave in Psi^-1: within the limit the best is the nearest.
        values, vectors = torch.linalg.eigh(0.5 * (scatter + scatter.T))
        noise = (vectors * values.clamp_min(self.least)) @ vectors.T
        return replace(self, regression=regression, noise=0.5 * (noise + noise.T))

    def expected_log(self, x: Gaussian, z: Gaussian) -> Tensor:
        """E[log p(x | z)] under both beliefs, (n,); zero where x is missing."""
        factor = self._factor()
        away = torch.linalg.solve_triangular(factor, (x.mean - self.mean_of(z.mean)).T, upper=False).square().sum(0)
        precision = torch.cholesky_inverse(factor)
        of_x = (covariance(x) * precision).sum((1, 2))
        of_z = (covariance(z) * self.information()).sum((1, 2))
        expected: Tensor = -0.5 * (away + of_x + of_z + self._constant())
        return expected.masked_fill(x.missing_rows(), 0.0)

    def message(self, z: Gaussian, missing: Tensor | None) -> GaussianPotential:
        """E[log p(x | z)] under the belief about z, as a function of x."""
        mean = self.mean_of(z.mean)
        precision = torch.cholesky_inverse(self._factor())
        shift = mean @ precision
        spread = (covariance(z) * self.information()).sum((1, 2))
        log_scale = -0.5 * ((shift * mean).sum(1) + spread + self._constant())
        each = precision.diagonal() if self.diagonal else precision
        return GaussianPotential(shift, each.expand(len(mean), *each.shape), log_scale, missing=missing)

    def mean_of(self, z: Tensor) -> Tensor:
        """A z + b, (n, D)."""
        return z @ self.loadings.T + self.mean

    def drawn(self, z: Tensor, temperature: float) -> Tensor:
        """A draw of x given z, (n, D); the temperature is a factor of every variance."""
        mean = self.mean_of(z)
        return mean + math.sqrt(temperature) * torch.randn_like(mean) @ self._factor().T

    def state(self) -> dict[str, object]:
        """Tensors and plain values by name."""
        return dict(vars(self))

    def _factor(self) -> Tensor:
        factor: Tensor = torch.linalg.cholesky(self.noise)
        return factor

    def _constant(self) -> Tensor:
        return len(self.noise) * _LOG_2PI + 2 * self._factor().diagonal().log().sum()


def covariance(belief: Gaussian) -> Tensor:
    """The covariance of each item, (n, D, D)."""
    return belief.variance.diag_embed() if belief.is_diagonal else belief.variance
