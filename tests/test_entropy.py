"""Beliefs do not sharpen by being talked about: after convergence, further rounds leave every entropy as it is.

Evidence that went round in a circle and was counted again would make beliefs ever more certain of themselves.
"""

import pytest
import torch

from examples.custom_module import PPCA
from pgmgraph import Gaussian, ModelGraph, Observation, Outbox, fit
from pgmgraph_modules.gmm import GMM
from tests.toys import Link, Noisy, Symbols, Weights, blobs

torch.set_num_threads(1)

OFTEN = ["gmm", "gmm", "below", "gmm"]


def below_mixture(below, values, covariance="diagonal"):
    """A module that holds z, and a mixture above z."""
    data, gmm = Observation(values), GMM(3, covariance=covariance, starts=2)
    graph = ModelGraph(data=data, below=below, gmm=gmm)
    graph.connect(data.value, below.y if isinstance(below, Noisy) else below.x)
    graph.connect(below.z, gmm.x)
    return graph


def noisy():
    return below_mixture(Noisy(noise=0.1, learn_shift=False), blobs(40, 3, 2, seed=1)[0])


def ppca():
    generator = torch.Generator().manual_seed(1)
    z = blobs(60, 3, 2, seed=1)[0] / 2
    values = z @ torch.randn(2, 6, generator=generator).double() + 0.7 * torch.randn(60, 6, generator=generator)
    return below_mixture(PPCA(2), values, covariance="full")


def discrete():
    """Symbols under two discrete variables, one above the other."""
    generator = torch.Generator().manual_seed(0)
    data, bottom, link, root = (
        Observation(torch.randint(4, (30, 1), generator=generator)),
        Symbols(3, 4),
        Link(2),
        Weights(),
    )
    graph = ModelGraph(data=data, bottom=bottom, link=link, root=root)
    graph.connect(data.value, bottom.x)
    graph.connect(bottom.c, link.c)
    graph.connect(link.b, root.c)
    return graph


def entropies(graph, rounds, **options):
    beliefs = fit(graph, rounds=rounds, objective=False, **options).beliefs
    return {name: belief.entropy() for name, belief in beliefs.items()}


@pytest.mark.parametrize(
    ("build", "schedule", "frozen"),
    [
        (noisy, OFTEN, []),
        (noisy, [("below", "gmm"), "below", "gmm"], []),
        # Its loadings take thousands of rounds to come to rest; what it believes follows the mixture all the same.
        (ppca, OFTEN, ["below"]),
        (ppca, ["below", "below", "gmm"], ["below", "gmm"]),
        (discrete, ["bottom", "bottom", "link", "link", "root", "root", "link"], []),
    ],
)
def test_further_rounds_leave_the_entropies_as_they_are(build, schedule, frozen):
    graph = build()
    entropies(graph, 20)
    before = entropies(graph, 60, schedule=schedule, frozen=frozen)
    after = entropies(graph, 200, schedule=schedule, frozen=frozen)
    assert len(before) == 2
    for name, entropy in before.items():
        torch.testing.assert_close(after[name], entropy, rtol=0, atol=1e-9)
        assert entropy.isfinite().all()
    assert max(float(entropy.max()) for entropy in before.values()) > 0.1, "something was left to be sharpened"


class Echoing(Noisy):
    """Wrong: what comes back is multiplied into the belief that it is an answer to."""

    def send(self, y, z):
        if z is None:
            self.belief = self._belief(y, z)
        else:
            precision = 1 / self.belief.variance + z.precision
            self.belief = Gaussian((self.belief.mean / self.belief.variance + z.shift) / precision, 1 / precision)
        return Outbox(z=self.belief)


def test_a_belief_that_is_multiplied_by_its_own_answer_collapses():
    graph = below_mixture(Echoing(noise=0.1, learn_shift=False), blobs(40, 3, 2, seed=1)[0])
    before = entropies(graph, 20)
    after = entropies(graph, 200, schedule=OFTEN)
    # 220 answers in the place of 20, each worth as much as the last: log(220 / 20) / 2 nats for each of two dimensions.
    assert float((before["below.z"] - after["below.z"]).mean()) > 2
    assert float(after["gmm.c"].sum()) < 0.1 * float(before["gmm.c"].sum())
