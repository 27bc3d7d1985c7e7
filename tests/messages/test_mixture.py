"""The pooled potential is the responsibilities' average of its components, never written out."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pgmgraph.messages import Gaussian, GaussianPotential, PooledGaussianPotential

D64 = torch.float64


def pooled(n: int, d: int, k: int, diagonal: bool, seed: int) -> PooledGaussianPotential:
    generator = torch.Generator().manual_seed(seed)
    root = torch.randn(k, d, d, generator=generator, dtype=D64)
    precision = root @ root.mT
    return PooledGaussianPotential(
        torch.softmax(torch.randn(n, k, generator=generator, dtype=D64), 1),
        torch.randn(k, d, generator=generator, dtype=D64),
        precision.diagonal(dim1=-2, dim2=-1) if diagonal else precision,
        torch.randn(k, generator=generator, dtype=D64),
    )


def belief(n: int, d: int, diagonal: bool, seed: int) -> Gaussian:
    generator = torch.Generator().manual_seed(seed + 1)
    root = torch.randn(n, d, d, generator=generator, dtype=D64)
    covariance = root @ root.mT
    variance = covariance.diagonal(dim1=-2, dim2=-1) if diagonal else covariance
    return Gaussian(torch.randn(n, d, generator=generator, dtype=D64), variance)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 5), st.integers(1, 4), st.integers(1, 4), st.booleans(), st.booleans(), st.integers(0, 10**6))
def test_expectation_is_the_weighted_sum_over_components(
    n: int, d: int, k: int, diagonal: bool, flat_belief: bool, seed: int
) -> None:
    f, q = pooled(n, d, k, diagonal, seed), belief(n, d, flat_belief, seed)
    by_component = torch.stack(
        [
            GaussianPotential(
                f.shift[j].expand(n, -1), f.precision[j].expand(n, *f.precision.shape[1:]), f.log_scale[j].expand(n)
            ).expectation(q)
            for j in range(k)
        ],
        1,
    )
    torch.testing.assert_close(f.expectation(q), (f.weights * by_component).sum(1))
    torch.testing.assert_close(f.dense().expectation(q), f.expectation(q))


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 6), st.integers(1, 3), st.integers(1, 3), st.booleans(), st.integers(0, 10**6))
def test_a_minibatch_made_dense_is_the_minibatch_of_the_dense(
    n: int, d: int, k: int, diagonal: bool, seed: int
) -> None:
    f = pooled(n, d, k, diagonal, seed)
    index = torch.randperm(n)[: max(1, n // 2)]
    one, other = f[index].dense(), f.dense()[index]
    for name in GaussianPotential.per_item:
        torch.testing.assert_close(getattr(one, name), getattr(other, name))
    assert f.event_shape == one.event_shape == (d,)


def test_missing_rows_stay_missing() -> None:
    f = pooled(3, 2, 2, True, 0)
    mask = torch.tensor([True, False, False])
    masked = PooledGaussianPotential(f.weights, f.shift, f.precision, f.log_scale, missing=mask)
    assert masked.dense().missing_rows().tolist() == [True, False, False]
    blank = f.blank(2)
    assert blank.expectation(belief(2, 2, True, 0)).tolist() == [0.0, 0.0]
