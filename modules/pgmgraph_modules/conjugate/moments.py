"""A plate of Gaussian beliefs as one matrix: 1, E[z] and E[z z'], all that a mixture needs of it.

With the moments laid out, a step of variational Bayes is two matrix products: moments times the
components' natural parameters gives log-likelihoods, and responsibilities times moments gives statistics.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pgmgraph import Gaussian


class Layout:
    """Where the moments of z stand among the columns of the matrix.

    Args:
        dimensions: D.
        full: whether all of E[z z'] is kept, or its diagonal.
        centre: (D,), taken off every mean, so that squares do not swallow differences.
    """

    def __init__(self, dimensions: int, full: bool, centre: Tensor) -> None:
        self.blocks = (1, dimensions) if full else (dimensions, 1)
        self.dimensions = dimensions
        self.full = full
        self.centre = centre
        # The lower triangle holds each product once; the columns of z z' read row by row.
        self._rows, self._columns = torch.tril_indices(dimensions, dimensions, device=centre.device)
        self.columns = 1 + dimensions + (len(self._rows) if full else dimensions)

    def moments(self, belief: Gaussian) -> Tensor:
        """1, E[z], E[z z'] of each item, (columns, n): each moment's items lie together, for speed."""
        mean = (belief.mean - self.centre).T.contiguous()
        moments = mean.new_empty(self.columns, len(belief))
        moments[0] = 1.0
        moments[1 : 1 + self.dimensions] = mean
        second = moments[1 + self.dimensions :]
        if not self.full:
            torch.add(mean.square(), belief.marginal_variance().T, out=second)
            return moments
        # Row i of the lower triangle is z_i times the first i + 1 coordinates: a copy, no gather.
        begin = 0
        for row in range(self.dimensions):
            part = second[begin : begin + row + 1]
            torch.mul(mean[: row + 1], mean[row], out=part)
            if belief.is_diagonal:
                part[row] += belief.variance[:, row]
            else:
                part += belief.variance[:, row, : row + 1].T
            begin += row + 1
        return moments

    def coefficients(self, shift: Tensor, precision: Tensor, log_scale: Tensor) -> Tensor:
        """Natural parameters as a matrix C with C @ moments = expected log-likelihoods, (K, columns)."""
        k = len(log_scale)
        if self.full:
            halves = -0.5 * precision.reshape(k, self.dimensions, self.dimensions)[:, self._rows, self._columns]
            second = halves * torch.where(self._rows == self._columns, 1.0, 2.0).to(halves)
        else:
            second = -0.5 * precision.reshape(k, self.dimensions)
        return torch.cat([log_scale[:, None], shift.reshape(k, -1), second], 1)

    def uncentred(self, shift: Tensor, precision: Tensor, log_scale: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Natural parameters in blocks and centred coordinates, z - centre, as those of z itself.

        Returns:
            shift (K, D), precision (K, D, D), or (K, D) for diagonal covariances, and log_scale (K,).
        """
        blocks = self.centre.reshape(self.blocks)
        moved = (precision @ blocks.unsqueeze(-1)).squeeze(-1)
        log_scale = log_scale - (shift * blocks).sum((1, 2)) - 0.5 * (moved * blocks).sum((1, 2))
        precision = precision.squeeze(1) if self.full else precision.flatten(1)
        return (shift + moved).flatten(1), precision.contiguous(), log_scale

    def sums(self, statistics: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Responsibilities' products with the moments, (K, columns), as sums of r, r z and r z z'."""
        k = len(statistics)
        counts, first = statistics[:, 0], statistics[:, 1 : 1 + self.dimensions].reshape(k, *self.blocks)
        flat = statistics[:, 1 + self.dimensions :]
        if not self.full:
            return counts, first, flat.reshape(k, self.dimensions, 1, 1)
        second = flat.new_empty(k, self.dimensions, self.dimensions)
        second[:, self._rows, self._columns] = flat
        second[:, self._columns, self._rows] = flat
        return counts, first, second.unsqueeze(1)
