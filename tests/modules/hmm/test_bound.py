"""F of random models against the enumerated evidence: never above it, and it never falls.

All parameters of the HMM are integrated out of the evidence, and those of a mixture below it too: Dirichlet-multinomial
for the paths, normals with mean and precision unknown for the vectors. What was not observed is summed over with the
rest, at the ends of sequences too.
"""

import math
import random

import pytest
import torch

from pgmgraph import ModelGraph, ModuleUpdated, Observation, fit
from pgmgraph_modules.conjugate.normal_wishart import NormalWishart
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.hmm import HMM
from tests.modules.hmm.paths import all_paths, log_probability
from tests.toys import Symbols

torch.set_num_threads(1)


class Trial:
    """A random model of up to seven rows, in one of four wirings, learnt by a random schedule."""

    def __init__(self, number):
        dice = self.dice = random.Random(number)
        generator = torch.Generator().manual_seed(number)
        self.lengths = [dice.randint(1, 3) for _ in range(dice.randint(1, 2))] + [1]
        self.states, n = dice.randint(2, 3), sum(self.lengths)
        ids = torch.arange(len(self.lengths)).repeat_interleave(torch.tensor(self.lengths))
        self.missing = torch.rand(n, generator=generator) < 0.25
        self.missing[0] = False
        self.hmm = HMM(
            self.states,
            concentration=dice.choice([0.3, 1.0]),
            stickiness=dice.choice([0.0, 2.0]),
            starts=1,
            passes=dice.randint(1, 2),
        )
        self.graph = ModelGraph(hmm=self.hmm)
        self.kind = ["symbols", "own", "mixture", "both"][number % 4]
        self.vectors = 2 * torch.randn(n, 1, generator=generator, dtype=torch.float64)
        self.symbols = torch.randint(3, (n, 1), generator=generator)
        vectors = Observation(self.vectors, missing=self.missing, sequences=ids)
        symbols = Observation(self.symbols, missing=self.missing, sequences=ids)
        if self.kind != "symbols":
            self.graph.add("vectors", vectors)
        if self.kind in ("symbols", "both"):
            self.below = Symbols(self.states, 3, learning=dice.random() < 0.7)
            self.add_below("symbols", symbols)
        if self.kind in ("own", "both"):
            self.graph.connect(vectors.value, self.hmm.x)
        if self.kind == "mixture":
            self.below = GMM(self.states, starts=1, passes=1)
            self.add_below("vectors", vectors)

    def add_below(self, name, observation):
        if name not in self.graph.observations:
            self.graph.add(name, observation)
        self.graph.add("below", self.below)
        self.graph.connect(observation.value, self.below.x)
        self.graph.connect(self.below.c, self.hmm.c)

    def schedule(self, view, round):
        stages = [(name,) for name in view.bottom_up]
        chosen = self.dice.choices(view.modules, k=4) if round else []
        yield from stages if not round else [(name,) for name in chosen]

    def learn(self):
        """How far F came above the evidence at its present tables after each stage."""
        evidences = []
        watch = lambda event: evidences.append(self.evidence()) if isinstance(event, ModuleUpdated) else None  # noqa: E731
        result = fit(self.graph, rounds=4, schedule=self.schedule, callbacks=[watch], strict=True)
        bounds = [entry.F for entry in result.trace]
        return [bound - known for bound, known in zip(bounds, evidences, strict=True) if bound is not None]

    def evidence(self):
        """log p(data), or None while there are no priors yet."""
        if not self.hmm.context.updates:
            return None
        paths = all_paths(self.states, sum(self.lengths))
        total = log_probability(paths, self.lengths, self.hmm.prior)
        seen = (~self.missing).nonzero().flatten()
        if self.kind in ("symbols", "both"):
            total = total + self.below.log_table[paths[:, seen], self.symbols[seen, 0]].sum(1)
        if self.kind in ("own", "both"):
            total = total + self.of_vectors(paths, self.hmm.emissions.prior, self.hmm.emissions.layout.centre)
        if self.kind == "mixture":
            total = total + self.of_vectors(paths, self.below.prior.components, self.below.layout.centre)
        return float(total.logsumexp(0))

    def of_vectors(self, paths, prior, centre):
        """log p(vectors | path), (P,), with the components' parameters integrated out."""
        seen = ~self.missing
        values = (self.vectors[seen] - centre)[:, 0]
        chosen = torch.nn.functional.one_hot(paths[:, seen], self.states).double()
        sums = chosen.sum(1), chosen.mT @ values, chosen.mT @ values.square()
        counts, first, second = (part.flatten() for part in sums)
        every = NormalWishart(*(part.repeat(len(paths), *[1] * (part.ndim - 1)) for part in vars(prior).values()))
        posterior = every.updated(counts, first[:, None, None], second[:, None, None, None])
        gains = posterior.log_normaliser() - every.log_normaliser()
        return gains.reshape(chosen.shape[0], -1).sum(1) - 0.5 * len(values) * math.log(2 * math.pi)


@pytest.mark.parametrize("kind", range(4), ids=["symbols", "own emissions", "mixture", "symbols and emissions"])
def test_f_stays_below_the_evidence_and_never_falls(kind):
    excesses = [excess for number in range(kind, 32, 4) for excess in Trial(number).learn()]
    assert len(excesses) > 20
    assert max(excesses) <= 1e-9
    assert max(excesses) > -2.0, "a bound, and not a hollow one"
