"""Fixed draws of beliefs: the right moments, and the same noise in every round."""

import pytest
import torch

from pgmgraph import Gaussian
from pgmgraph_modules.gmm.samples import ROWS, BeliefSamples

torch.set_num_threads(1)
CPU = torch.device("cpu")


def beliefs(n, d=3, full=False, seed=0):
    generator = torch.Generator().manual_seed(seed)
    mean = torch.randn(n, d, generator=generator, dtype=torch.float64)
    root = torch.randn(n, d, d, generator=generator, dtype=torch.float64)
    covariance = root @ root.mT
    return Gaussian(mean, covariance if full else covariance.diagonal(dim1=1, dim2=2).contiguous())


@pytest.mark.parametrize("full", [True, False])
def test_draws_have_the_moments_of_the_beliefs(full):
    n = ROWS
    one = beliefs(1, full=full)
    belief = Gaussian(one.mean.expand(n, -1), one.variance.expand(n, *one.variance.shape[1:]).contiguous())
    drawn = BeliefSamples(8, 3, CPU).draw(belief).mean.unflatten(0, (8, n))
    torch.testing.assert_close(drawn.mean(0), belief.mean, msg="antithetic pairs average to the mean")
    covariance = torch.cov((drawn - belief.mean).flatten(0, 1).T, correction=0)
    expected = one.variance[0] if full else one.variance[0].diag()
    size = torch.sqrt(expected.diagonal()[:, None] * expected.diagonal())
    assert float(((covariance - expected) / size).abs().max()) < 6 / (4 * n) ** 0.5, "four independent draws an item"


@pytest.mark.parametrize("full", [True, False])
def test_noise_stays_when_beliefs_move(full):
    belief, samples = beliefs(50, full=full), BeliefSamples(4, 3, CPU)
    away = samples.draw(belief).mean.unflatten(0, (4, 50)) - belief.mean
    moved = Gaussian(belief.mean + 7.0, 4.0 * belief.variance)
    again = samples.draw(moved).mean.unflatten(0, (4, 50)) - moved.mean
    torch.testing.assert_close(again, 2 * away)


def test_minibatches_in_order_get_the_draws_of_the_whole():
    belief, samples = beliefs(2 * ROWS + 5), BeliefSamples(2, 3, CPU)
    whole = samples.draw(belief).mean.unflatten(0, (2, -1))
    pieces = [belief[begin : begin + ROWS] for begin in range(0, len(belief), ROWS)]
    drawn = [samples.draw(piece).mean.unflatten(0, (2, -1)) for piece in pieces]
    torch.testing.assert_close(torch.cat(drawn, 1), whole)


def test_certain_values_need_no_draws():
    belief = Gaussian(beliefs(5).mean, torch.zeros(5, 3, dtype=torch.float64))
    assert BeliefSamples(8, 3, CPU).draw(belief) is belief


def test_a_covariance_may_be_singular():
    root = torch.tensor([[1.0], [2.0], [0.0]], dtype=torch.float64)
    belief = Gaussian(torch.zeros(1, 3, dtype=torch.float64), (root @ root.T)[None])
    drawn = BeliefSamples(8, 3, CPU).draw(belief).mean
    torch.testing.assert_close(drawn[:, 1], 2 * drawn[:, 0])
    assert float(drawn[:, 0].abs().min()) > 0
    torch.testing.assert_close(drawn[:, 2], torch.zeros(8, dtype=torch.float64), atol=1e-6, rtol=0)
