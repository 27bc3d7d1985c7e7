"""Moments laid out as a matrix, against plain sums."""

import pytest
import torch

from pgmgraph import Gaussian
from pgmgraph_modules.conjugate.moments import Layout


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("full_belief", [True, False])
@pytest.mark.parametrize("dimensions", [1, 2, 5])
def test_products_with_the_moments_are_expectations_and_sums(full, full_belief, dimensions):
    generator = torch.Generator().manual_seed(dimensions)
    n, k = 7, 3
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    root, centre = draw(n, dimensions, dimensions), draw(dimensions)
    covariance = root @ root.mT
    variance = covariance if full_belief else covariance.diagonal(dim1=1, dim2=2)
    belief = Gaussian(draw(n, dimensions), variance)
    layout = Layout(dimensions, full, centre)
    moments = layout.moments(belief)
    assert moments.shape == (layout.columns, n)

    mean = belief.mean - centre
    second = mean.unsqueeze(2) * mean.unsqueeze(1)
    second = second + (variance if full_belief else variance.diag_embed())
    symmetric = draw(k, dimensions, dimensions)
    precision = symmetric @ symmetric.mT
    if not full:
        precision = precision.diagonal(dim1=1, dim2=2).diag_embed()
    shift, log_scale = draw(k, dimensions), draw(k)
    blocks, size = layout.blocks
    cut = precision.unsqueeze(1) if full else precision.diagonal(dim1=1, dim2=2).reshape(k, blocks, 1, 1)
    coefficients = layout.coefficients(shift.reshape(k, blocks, size), cut, log_scale)
    expected = log_scale + mean @ shift.T - 0.5 * torch.einsum("kij,nij->nk", precision, second)
    torch.testing.assert_close(coefficients @ moments, expected.T)

    responsibilities = torch.softmax(draw(n, k), 1)
    counts, first, sums = layout.sums(responsibilities.T @ moments.T)
    torch.testing.assert_close(counts, responsibilities.sum(0))
    torch.testing.assert_close(first.flatten(1), responsibilities.T @ mean)
    expected_sums = torch.einsum("nk,nij->kij", responsibilities, second)
    if full:
        torch.testing.assert_close(sums[:, 0], expected_sums)
    else:
        torch.testing.assert_close(sums[..., 0, 0], expected_sums.diagonal(dim1=1, dim2=2))
