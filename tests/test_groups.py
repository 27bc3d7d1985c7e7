"""Groups: what members say together, what they are told, and F of the whole against enumeration."""

import itertools
import math
import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pgmgraph import (
    Categorical,
    CategoricalPotential,
    ModelGraph,
    ModuleUpdated,
    Observation,
    Point,
    SparsePoint,
    fit,
    infer,
)
from pgmgraph.groups import Groups
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.hmm import HMM
from tests.grouped import IDS, SIZE, N, members, shared, symbols
from tests.modules.hmm.paths import all_paths, log_probability
from tests.toys import Link, Symbols, Weights

torch.set_num_threads(1)


@st.composite
def groupings(draw):
    """Ids of random groups, empty ones among them, which members are missing, and a generator."""
    size = draw(st.integers(1, 6))
    ids = torch.tensor(draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=12)))
    missing = torch.tensor(draw(st.lists(st.booleans(), min_size=len(ids), max_size=len(ids))))
    return Groups(ids, size), missing, torch.Generator().manual_seed(draw(st.integers(0, 99)))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(groupings())
def test_what_members_say_adds_up(grouping):
    groups, missing, generator = grouping
    values = torch.randn(len(missing), 3, generator=generator)
    values[missing] = torch.nan  # what is missing may hold anything
    evidence = groups.pooled(CategoricalPotential(values, missing=missing))
    sums, means = (groups.pooled(Point(values, 2.0, missing=missing), average) for average in (False, True))
    whole = Point(values.round().nan_to_num(), 2.0, missing=missing)
    for average in (False, True):
        sparse, dense = (groups.pooled(kind, average) for kind in (SparsePoint.of(whole), whole))
        assert torch.equal(sparse.dense().value, dense.value)
        assert torch.equal(sparse.missing_rows(), dense.missing_rows())
    for group in range(groups.size):
        mine = [row for row in range(len(missing)) if groups.ids[row] == group and not missing[row]]
        expected = sum((values[row].double() for row in mine), torch.zeros(3).double())
        torch.testing.assert_close(evidence.log_weights[group], expected, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(sums.value[group], 2 * expected, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(means.value[group], 2 * expected / max(1, len(mine)), rtol=1e-12, atol=1e-12)
        for message in (evidence, sums, means):
            assert bool(message.missing_rows()[group]) == (not mine)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(groupings())
def test_evidence_is_the_derivative_of_what_members_share(grouping):
    """Of the bound sum_n E_q(g)[log lambda_n(g)] with respect to q(g); each member is told its group's belief."""
    groups, missing, generator = grouping
    log_weights = torch.randn(len(missing), 3, generator=generator, dtype=torch.float64)
    probs = torch.rand(groups.size, 3, generator=generator, dtype=torch.float64).requires_grad_()
    told = groups.spread(Categorical(probs))
    potential = CategoricalPotential(log_weights, missing=missing)
    bound = (potential.expectation(told) * ~missing).sum()
    if bound.requires_grad:
        [derivative] = torch.autograd.grad(bound, probs)
        torch.testing.assert_close(groups.pooled(potential).log_weights, derivative, rtol=1e-12, atol=1e-12)
    assert torch.equal(told.probs, probs[groups.ids])


def test_an_impossible_class_stays_impossible():
    groups = Groups(torch.tensor([0, 0, 1]), 2)
    log_weights = torch.tensor([[0.0, -torch.inf], [1.0, 2.0], [3.0, 4.0]])
    pooled = groups.pooled(CategoricalPotential(log_weights))
    assert pooled.log_weights.tolist() == [[1.0, -torch.inf], [3.0, 4.0]]


def test_bytes_of_a_large_plate_are_summed_without_overflow():
    groups = Groups(torch.zeros(70_000, dtype=torch.long), 1)
    pooled = groups.pooled(Point(torch.full((70_000, 1), 255, dtype=torch.uint8)))
    assert pooled.value.tolist() == [[255.0 * 70_000]]


def log_joint(below, values, ids, missing=None, size=SIZE):
    """Sum over the members of log p(x_n | c), (G, K), by a loop."""
    total = torch.zeros(size, below.classes, dtype=torch.float64)
    for row in range(len(values)):
        if missing is None or not missing[row]:
            total[ids[row]] += below.log_table[:, int(values[row, 0])]
    return total


def test_beliefs_and_evidence_are_those_of_enumeration():
    graph = shared(learning=False)
    result = fit(graph, rounds=3)
    below, parent = graph.modules.values()
    joint = log_joint(below, symbols(), IDS) + parent.weights.log()
    posterior = joint.softmax(1)
    torch.testing.assert_close(result.beliefs["below.c"].probs, posterior[IDS], rtol=1e-10, atol=1e-10)
    filled = sorted(set(IDS.tolist()))
    # Exactly the log evidence at these parameters: images without patches say nothing, and cost nothing.
    assert result.history["F"][-1] == pytest.approx(float(joint[filled].logsumexp(1).sum()), abs=1e-8)


class Trial:
    """A random small graph over groups, one of three wirings, learnt by a random schedule."""

    def __init__(self, number):
        self.dice = random.Random(number)
        generator = torch.Generator().manual_seed(number)
        self.size, n = self.dice.randint(2, 4), self.dice.randint(2, 7)
        self.ids = torch.randint(self.size, (n,), generator=generator)
        self.size = int(self.ids.max()) + 1
        self.values, self.missing = symbols(n, number), torch.rand(n, generator=generator) < 0.25
        self.missing[0] = False
        self.kind = ["weights", "link", "hmm"][number % 3]
        seen = members(self.values, self.ids, missing=self.missing)
        parent = {"weights": Weights, "link": lambda: Link(2), "hmm": lambda: HMM(3, starts=1)}[self.kind]()
        self.graph = shared(seen, parent, learning=self.dice.random() < 0.7)
        if self.kind == "link":
            self.graph.add("top", top := Weights())
            self.graph.connect(parent.b, top.c)

    def schedule(self, view, round):
        yield from [(name,) for name in (self.dice.choices(view.modules, k=2) if round else view.bottom_up)]

    def learn(self):
        """How far F came above the evidence at the present point estimates, after each stage."""
        evidences = []
        watch = lambda event: evidences.append(self.evidence()) if isinstance(event, ModuleUpdated) else None  # noqa: E731
        result = fit(self.graph, rounds=50, schedule=self.schedule, callbacks=[watch], strict=True)
        bounds = [entry.F for entry in result.trace]
        return [bound - known for bound, known in zip(bounds, evidences, strict=True) if bound is not None]

    def evidence(self):
        below, parent = self.graph.modules["below"], self.graph.modules["parent"]
        if not all(hasattr(module, "context") and module.context.updates for module in self.graph.modules.values()):
            return None
        likely = log_joint(below, self.values, self.ids, self.missing, self.size)
        if self.kind == "hmm":
            paths = all_paths(3, self.size)
            total = log_probability(paths, [self.size], parent.prior)
            return float((total + likely[torch.arange(self.size), paths].sum(1)).logsumexp(0))
        if self.kind == "weights":
            return float((likely + parent.weights.log()).logsumexp(1).sum())
        top = self.graph.modules["top"].weights
        total = 0.0
        for group in set(self.ids[~self.missing].tolist()):
            terms = [
                math.log(top[b]) + float(parent.log_table[b, c] + likely[group, c])
                for b, c in itertools.product(range(2), range(3))
            ]
            total += float(torch.tensor(terms, dtype=torch.float64).logsumexp(0))
        return total


@pytest.mark.parametrize("kind", range(3), ids=["weights", "link", "hmm"])
def test_f_never_falls_and_stays_below_the_evidence(kind):
    excesses = [excess for number in range(kind, 12, 3) for excess in Trial(number).learn()]
    assert len(excesses) > 250
    assert max(excesses) <= 1e-8
    assert max(excesses) > -3.0, "a bound, and not a hollow one"


def test_permuting_members_permutes_what_they_are_told_and_nothing_else():
    order = torch.randperm(N, generator=torch.Generator().manual_seed(1))
    plain, mixed = shared(), shared(members(symbols()[order], IDS[order]))
    expected, result = fit(plain, rounds=5), fit(mixed, rounds=5)
    assert result.history["F"] == pytest.approx(expected.history["F"], rel=1e-12)
    torch.testing.assert_close(result.beliefs["below.c"].probs, expected.beliefs["below.c"].probs[order])


def test_groups_of_one_are_as_if_there_were_none():
    points = torch.randn(40, 2, generator=torch.Generator().manual_seed(0)).cumsum(0)
    found = []
    for pool in (None, "frames"):
        seen = Observation(points, groups={"frames": torch.arange(40)} if pool else None)
        graph = ModelGraph(seen=seen, gmm=(gmm := GMM(3, starts=1)), hmm=(hmm := HMM(3)))
        graph.connect(seen.value, gmm.x)
        graph.connect(gmm.c, hmm.c, pool=pool)
        found.append(fit(graph, rounds=3, strict=True))
    one, other = found
    assert one.history["F"] == other.history["F"]
    assert torch.equal(one.beliefs["hmm.s"].probs, other.beliefs["hmm.s"].probs)
    assert torch.equal(one.beliefs["gmm.c"].probs, other.beliefs["gmm.c"].probs)


def test_missing_members_are_left_out_and_told_what_the_others_say():
    missing = torch.tensor([False, True, False, True, False, False, True, True])  # none is left of group 4
    values = symbols().double()
    values[missing] = torch.nan
    result = fit(holed := shared(members(values, missing=missing)), rounds=4)
    expected = fit(shared(members(symbols()[~missing], IDS[~missing])), rounds=4)
    assert result.history["F"] == pytest.approx(expected.history["F"], rel=1e-12)
    found, others = result.beliefs["below.c"], expected.beliefs["below.c"]
    torch.testing.assert_close(found.probs[~missing], others.probs)
    assert torch.equal(found.probs[1], found.probs[2])  # row 1 belongs to the same group as row 2
    assert found.missing.tolist() == [int(group) == 4 for group in IDS]
    assert torch.equal(infer(holed, draws=0)["below.c"].probs, found.probs)


def test_without_a_message_back_members_learn_by_themselves():
    tables = []
    for pool in ("images", None):
        graph = ModelGraph(seen=members(), below=(below := Symbols(3, 4)), parent=(parent := Weights()))
        graph.connect(graph["seen"].value, below.x)
        graph.connect(below.c, parent.c, pool=pool, backward=False)
        fit(graph, rounds=3)
        tables.append(below.log_table)
    assert torch.equal(*tables)
