"""Each way in which a module that says it is exact can be wrong is caught by the fall of F that it causes.

The module that is named is the one whose update lowered F. That is the one that is wrong, except where a potential is
wrong: it shows when the holder of the variable follows it. A mistake need not show on all data: these data were chosen.
"""

import itertools

import pytest
import torch

from examples.custom_module import PPCA
from pgmgraph import Categorical, CategoricalPotential, Gaussian, ModelGraph, Observation, Outbox, fit
from pgmgraph.errors import BoundDecreased, BoundDecreasedError
from pgmgraph_modules.gmm import GMM
from tests.refusals import refused
from tests.toys import Link, Symbols, Weights, blobs

torch.set_num_threads(1)


def vectors(ppca=PPCA, gmm=GMM, seed=0):
    """Six columns that follow from a latent vector, and a mixture of that."""
    generator = torch.Generator().manual_seed(seed)
    z = blobs(60, 3, 2, seed=seed)[0] / 2
    values = z @ torch.randn(2, 6, generator=generator).double() + 0.7 * torch.randn(60, 6, generator=generator)
    data, below, above = Observation(values), ppca(2), gmm(3, starts=2)
    graph = ModelGraph(data=data, ppca=below, gmm=above)
    graph.connect(data.value, below.x)
    graph.connect(below.z, above.x)
    return graph


def symbols(bottom=Symbols, link=Link):
    """Symbols under two discrete variables, one above the other."""
    generator = torch.Generator().manual_seed(0)
    data = Observation(torch.randint(4, (30, 1), generator=generator))
    below, middle, root = bottom(3, 4), link(2), Weights()
    graph = ModelGraph(data=data, bottom=below, link=middle, root=root)
    graph.connect(data.value, below.x)
    graph.connect(below.c, middle.c)
    graph.connect(middle.b, root.c)
    return graph


class ForgetsVariance(PPCA):
    """A wrong M step: takes the mean of its belief for z itself."""

    def statistics(self, x, z):
        total = dict(super().statistics(x, z))
        mean = self.send(x, z).messages["z"].mean
        with_one = torch.cat([mean, torch.ones_like(mean[:, :1])], 1)
        total["zz"] = with_one.T @ with_one
        return total


class Smooths(Symbols):
    """A wrong M step: adds pseudo-counts, for which no prior stands in its terms."""

    def learn(self, total):
        super().learn(total + 1)


class TakesThePriorTwice(PPCA):
    """A wrong belief."""

    def send(self, x, z):
        return super().send(x, None if z is None else z * z)


class IsTooSure(PPCA):
    """A wrong belief: nearly certain, as older models' are."""

    def send(self, x, z):
        belief = super().send(x, z).messages["z"]
        return Outbox(z=Gaussian(belief.mean, 1e-3 * belief.variance))


class IgnoresItsParent(Link):
    """A wrong belief: what the data say, whatever comes from above."""

    def _belief(self, c, b):
        return Categorical(torch.softmax(c.log_weights, 1))


class SaysItTwice(Symbols):
    """A wrong potential: the likelihoods, squared."""

    def send(self, x, c):
        return Outbox(c=CategoricalPotential(2 * self.log_likelihoods(x)))


class ReturnsWhatItGot(Symbols):
    """A wrong potential: its parent's own belief is in it, and so is counted again."""

    def send(self, x, c):
        likelihoods = self.log_likelihoods(x)
        return Outbox(c=CategoricalPotential(likelihoods if c is None else likelihoods + c.probs.log()))


class LeavesOut(GMM):
    """Wrong terms: one of them is not there."""

    term: str

    def elbo(self, x, c):
        return {name: value for name, value in super().elbo(x, c).items() if name != self.term}


class WithoutDivergence(LeavesOut):
    term = "-KL components"


class OverlooksDoubt(LeavesOut):
    """A wrong entropy: none."""

    term = "H[c]"


class CountsItsParentsPrior(PPCA):
    """Wrong terms: p(z) belongs to the mixture."""

    def elbo(self, x, z):
        squares = z.mean.square().sum(1) + z.marginal_variance().sum(1)
        return {**super().elbo(x, z), "log p(z)": -0.5 * squares}


class TurnsEntropyRound(PPCA):
    """A wrong entropy: its sign."""

    def elbo(self, x, z):
        terms = super().elbo(x, z)
        return {**terms, "H[z]": -terms["H[z]"]}


WRONG = {
    "M step without the variance": (lambda: vectors(ppca=ForgetsVariance), "ppca"),
    "M step with pseudo-counts": (lambda: symbols(bottom=Smooths), "bottom"),
    "belief with the prior twice": (lambda: vectors(ppca=TakesThePriorTwice), "ppca"),
    "belief that is too sure": (lambda: vectors(ppca=IsTooSure), "ppca"),
    "belief without the prior": (lambda: symbols(link=IgnoresItsParent), "link"),
    "potential squared": (lambda: symbols(bottom=SaysItTwice), "link"),
    "potential with its own answer": (lambda: symbols(bottom=ReturnsWhatItGot), "link"),
    "terms without a divergence": (lambda: vectors(gmm=WithoutDivergence), "gmm"),
    "terms with the parent's prior": (lambda: vectors(ppca=CountsItsParentsPrior), "ppca"),
    "no entropy": (lambda: vectors(gmm=OverlooksDoubt, seed=1), "gmm"),
    "entropy turned round": (lambda: vectors(ppca=TurnsEntropyRound), "ppca"),
}
ROUNDS = 15


@pytest.mark.parametrize("build", [vectors, symbols])
def test_the_same_models_done_right_raise_no_alarm(build):
    fit(build(), rounds=5 * ROUNDS, strict=True)


@pytest.mark.parametrize("mistake", WRONG)
def test_a_mistake_sets_the_alarm_off_and_is_named(mistake):
    build, name = WRONG[mistake]
    with pytest.warns(
        BoundDecreased, match=rf"Updating {name} in round \d+ lowered F by .* an exact update never does"
    ):
        result = fit(build(), rounds=ROUNDS)
    steps = itertools.pairwise(entry.F for entry in result.trace if entry.F is not None)
    assert any(after < before for before, after in steps)


@pytest.mark.parametrize("mistake", WRONG)
def test_under_strict_it_stops_at_the_first_fall(mistake):
    build, name = WRONG[mistake]
    events = []
    with refused(BoundDecreasedError, name, "contradict one another") as caught:
        fit(build(), rounds=ROUNDS, strict=True, callbacks=[events.append])
    assert caught.value.module == name
    assert caught.value.fall > 0
    assert caught.value.round == max(event.round for event in events if hasattr(event, "round"))
