"""Moments summed up draw by draw are those of all draws at once."""

from __future__ import annotations

import torch

from pgmgraph.moments import Moments


def made(draws: int = 40, n: int = 3, d: int = 2, far: float = 0.0) -> torch.Tensor:
    return far + torch.randn(draws, n, d, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_pieces_give_the_moments_of_the_whole() -> None:
    drawn, moments = made(), Moments()
    for piece in drawn.split([1, 7, 20, 12]):
        moments.add(piece)
    torch.testing.assert_close(moments.mean, drawn.mean(0))
    torch.testing.assert_close(moments.variance, drawn.var(0))


def test_a_covariance_is_that_of_the_draws() -> None:
    drawn, moments = made(), Moments(full=True)
    for piece in drawn.split(9):
        moments.add(piece)
    expected = torch.stack([drawn[:, row].T.cov() for row in range(3)])
    torch.testing.assert_close(moments.variance, expected)


def test_the_variance_within_is_added_to_that_between() -> None:
    drawn, inner, moments = made(), made().square(), Moments()
    for piece, within in zip(drawn.split(15), inner.split(15), strict=True):
        moments.add(piece, within)
    torch.testing.assert_close(moments.variance, drawn.var(0) + inner.mean(0))


def test_values_far_from_zero_cancel_nothing() -> None:
    drawn, moments = made(far=1e9), Moments()
    for piece in drawn.split(3):
        moments.add(piece)
    torch.testing.assert_close(moments.variance, drawn.var(0), rtol=1e-6, atol=0)


def test_a_single_draw_has_the_variance_within_alone() -> None:
    moments = Moments()
    moments.add(made(draws=1), torch.full((1, 3, 2), 0.5))
    assert torch.equal(moments.variance, torch.full((3, 2), 0.5, dtype=torch.float64))
