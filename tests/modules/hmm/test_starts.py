"""Where a hidden Markov model over vectors starts."""

import pytest
import torch

from pgmgraph import Gaussian
from pgmgraph_modules.conjugate.emissions import Emissions
from pgmgraph_modules.conjugate.prior import prior_from
from pgmgraph_modules.hmm.dynamics import Dynamics
from pgmgraph_modules.hmm.starts import best_start


def started(x, states, starts=2):
    torch.manual_seed(0)
    belief = Gaussian(x, torch.zeros_like(x))
    layout, components = prior_from(belief, states, full=True)
    ones = torch.ones(states, states, dtype=torch.float64)
    prior = Dynamics(ones[0], ones)
    return best_start(belief, torch.tensor([len(x)]), prior, Emissions(layout, components, components), starts)


def test_it_finds_separate_states_and_their_cycle():
    torch.manual_seed(0)
    x = torch.randn(60, 2, dtype=torch.float64) + 10 * (torch.arange(60) % 3)[:, None]
    dynamics, emissions, _ = started(x, 3)
    order = emissions.means[:, 0].argsort()
    _, transition = dynamics.mean()
    assert (transition[order[[0, 1, 2]], order[[1, 2, 0]]] > 0.85).all()
    torch.testing.assert_close(emissions.means[order, 0], torch.tensor([0.0, 10, 20]).double(), rtol=0, atol=1)


def test_more_starts_are_never_worse():
    torch.manual_seed(1)
    x = torch.randn(40, 2, dtype=torch.float64) + 2 * (torch.arange(40) % 4)[:, None]
    bounds = [started(x, 4, starts)[2] for starts in (1, 2, 4)]
    assert bounds == sorted(bounds)


def test_states_without_rows_stay_at_the_prior():
    dynamics, emissions, bound = started(torch.tensor([[0.0, 0.0], [9.0, 9.0]], dtype=torch.float64), 4)
    assert torch.isfinite(emissions.means).all()
    assert torch.isfinite(torch.tensor(bound))
    assert float((dynamics.transition - 1).sum()) == pytest.approx(1)  # the one transition that there was
