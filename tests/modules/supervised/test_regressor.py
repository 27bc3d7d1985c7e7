"""The regressor's message is its likelihood, whatever the units of its targets."""

import math

import pytest
import torch

from pgmgraph import Gaussian, ModelGraph, Observation, Point, fit, infer
from pgmgraph_modules.supervised import Regressor

torch.set_num_threads(1)

SLOPES = torch.tensor([[2.0, 0.0], [-1.0, 1.0]], dtype=torch.float64)


def line(n=200, seed=0, scale=1.0, offset=0.0):
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(n, 2, generator=generator, dtype=torch.float64)
    noise = 0.3 * torch.randn(n, 2, generator=generator, dtype=torch.float64)
    return z, scale * (z @ SLOPES + noise) + offset


def learnt(z, y, rounds=10, **options):
    data, known, regressor = Observation(z), Observation(y), Regressor(**options)
    graph = ModelGraph(data=data, known=known, regressor=regressor)
    graph.connect(data.value, regressor.z)
    graph.connect(known.value, regressor.y)
    return graph, regressor, fit(graph, rounds=rounds)


def log_likelihood(regressor, z, y):
    [layer] = regressor.network
    mean = regressor.units.centre + regressor.units.scale * layer(z)
    return torch.distributions.Normal(mean, regressor.units.noise().sqrt()).log_prob(y).sum(-1).detach()


def test_its_message_is_its_log_likelihood_at_every_point():
    z, y = line()
    _, regressor, _ = learnt(z, y, rounds=2)
    sent = regressor.send(Gaussian(z, torch.full_like(z, 0.2)), Point(y), None).messages["z"]
    elsewhere = 4 * torch.randn(20, *z.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    torch.testing.assert_close(sent.value(elsewhere), log_likelihood(regressor, elsewhere, y), rtol=0, atol=1e-7)


@pytest.mark.parametrize(("scale", "offset"), [(1.0, 0.0), (1e6, -1e7), (1e-6, 0.0)])
def test_it_finds_line_and_noise_in_any_units(scale, offset):
    z, y = line(scale=scale, offset=offset)
    graph, regressor, _ = learnt(z, y, rounds=20, lr=0.05)
    [layer] = regressor.network
    slopes = (regressor.units.scale[:, None] * layer.weight).T.detach() / scale
    torch.testing.assert_close(slopes, SLOPES, rtol=0, atol=0.1)
    noise = regressor.units.noise().detach().sqrt() / scale
    torch.testing.assert_close(noise, torch.full_like(noise, 0.3), rtol=0.15, atol=0)
    unseen, truth = line(1_000, seed=1, scale=scale, offset=offset)
    belief = infer(graph, {"data": unseen})["regressor.predicted"]
    standardised = (truth - belief.mean) / belief.variance.sqrt()
    assert float(standardised.square().mean()) == pytest.approx(1, abs=0.15)


def test_what_is_not_known_of_z_is_not_known_of_y():
    z, y = line()
    _, regressor, _ = learnt(z, y)
    certain, wide = (
        regressor.send(Gaussian(z, torch.full_like(z, variance)), None, None).messages["predicted"]
        for variance in (0.0, 0.5)
    )
    [layer] = regressor.network
    slopes = regressor.units.scale[:, None] * layer.weight.detach()
    torch.testing.assert_close(wide.variance - certain.variance, (0.5 * slopes.square().sum(1)).expand(len(z), -1))
    torch.testing.assert_close(certain.variance, regressor.units.noise().detach().expand(len(z), -1))


def test_targets_that_are_numbers_or_images():
    z, y = line()
    for targets, shape in ((y[:, 0], (1,)), (y.repeat(1, 3).reshape(-1, 2, 3), (6,))):
        _, _, result = learnt(z, targets, rounds=2)
        assert result.beliefs["regressor.predicted"].event_shape == shape
        assert math.isfinite(result.history["F"][-1])
        torch.testing.assert_close(result.beliefs["regressor.predicted"].mean, targets.reshape(len(z), -1))
