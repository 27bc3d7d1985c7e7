"""Data that break mixtures: too few, constant, doubled, collinear, far off, badly scaled, with outliers, with NaN."""

import itertools
import math
import random
import warnings

import pytest
import torch

from pgmgraph import (
    Gaussian,
    GaussianPotential,
    In,
    MixturePotential,
    ModelGraph,
    Module,
    Observation,
    Out,
    Outbox,
    Point,
    fit,
    infer,
)
from pgmgraph.errors import DataError, DivergedError
from pgmgraph_modules.gmm import GMM
from tests.refusals import refused
from tests.toys import blobs

torch.set_num_threads(1)
# scikit-learn's, where an outlier leaves nothing of the distances between all the others: see the test that is to fail.
pytestmark = pytest.mark.filterwarnings("ignore:Number of distinct clusters")

COVARIANCES, MESSAGES = ["full", "diagonal"], ["expected", "mixture"]


def normal(n, d, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def with_value(values, row, column, value):
    values = values.clone()
    values[row, column] = value
    return values


class Believed(Module):
    """Holds vectors that are its observation, with the covariances it is given, and learns nothing."""

    x = In(Point)
    z = Out(Gaussian, back=(GaussianPotential, MixturePotential))
    dtype = torch.float64

    def __init__(self, covariances):
        self.covariances = covariances

    def event_shapes(self, x):
        return {"z": x}

    def send(self, x, z):
        return Outbox(z=Gaussian(x.value, self.covariances))

    def elbo(self, x, z):
        return {}


def mixture_of(values, covariances=None, k=4, starts=2, **options):
    data, gmm = Observation(values), GMM(k, starts=starts, **options)
    graph = ModelGraph(data=data, gmm=gmm)
    if covariances is None:
        graph.connect(data.value, gmm.x)
        return graph, gmm
    graph.add("below", below := Believed(covariances))
    graph.connect(data.value, below.x)
    graph.connect(below.z, gmm.x)
    return graph, gmm


def assert_sound(result, gmm):
    """F is finite and, where that is promised, never fell; parameters are proper, beliefs are distributions."""
    bounds = [entry.F for entry in result.trace if entry.F is not None]
    assert all(math.isfinite(bound) for bound in bounds)
    if gmm.guarantee == "exact":
        assert all(later >= earlier - 1e-9 * abs(earlier) for earlier, later in itertools.pairwise(bounds))
    covariances = gmm.covariances if gmm.covariance == "full" else gmm.covariances.diag_embed()
    assert (torch.linalg.eigvalsh(covariances) > 0).all()
    assert gmm.means.isfinite().all()
    torch.testing.assert_close(gmm.weights.sum(), torch.ones((), dtype=torch.float64))
    probs = result.beliefs["gmm.c"].probs
    torch.testing.assert_close(probs.sum(1), torch.ones(len(probs), dtype=torch.float64))


LINE = normal(60, 1)
DATA = {
    "one item": normal(1, 3),
    "one number": normal(1, 1),
    "fewer items than components": normal(2, 3),
    "fewer items than dimensions": normal(5, 20),
    "all zero": torch.zeros(30, 2),
    "all the same, far off": torch.full((30, 2), 1e6 + 0.1, dtype=torch.float64),
    "a constant column": torch.cat([normal(40, 2), torch.full((40, 1), 1e6, dtype=torch.float64)], 1),
    "three rows, often": normal(3, 2).repeat(20, 1),
    "on a line": torch.cat([LINE, 2 * LINE, -LINE], 1),
    "on a plane, far off": torch.cat([normal(60, 2), normal(60, 2).sum(1, keepdim=True)], 1) + 1e6,
    "far off, narrow": 1e-6 * normal(60, 2) + 1e6,
    "tiny": 1e-100 * normal(60, 2),
    "huge": 1e100 * normal(60, 2),
    "one column wide, one narrow": normal(60, 2) * torch.tensor([1e12, 1e-12], dtype=torch.float64),
    "an outlier": with_value(normal(60, 2), 7, 0, 1e12),
    "two outliers": with_value(with_value(normal(60, 2), 7, 0, 1e12), 8, 1, -1e12),
    "two points": (torch.arange(60) % 2)[:, None].double().expand(60, 2).contiguous(),
    "narrow clusters, far apart": 1e-3 * normal(60, 2) + 1e8 * (torch.arange(60) % 3)[:, None],
    "heavy tails": normal(100, 2) ** 9,
    "booleans": normal(40, 3) > 0,
}


@pytest.mark.parametrize("covariance", COVARIANCES)
@pytest.mark.parametrize("name", DATA)
def test_f_is_finite_and_never_falls(name, covariance):
    graph, gmm = mixture_of(DATA[name], covariance=covariance)
    assert_sound(fit(graph, rounds=6, strict=True), gmm)


INFERENCE = {
    "fitted prior": {"prior": "fitted"},
    "moves": {"moves": 2},
    "gibbs": {"inference": "gibbs", "sweeps": 4},
    "svi": {"inference": "svi", "batch_size": 7},
}


@pytest.mark.parametrize("name", ["one item", "three rows, often", "an outlier", "narrow clusters, far apart"])
@pytest.mark.parametrize("inference", INFERENCE)
def test_other_ways_to_learn_are_as_sound(inference, name):
    graph, gmm = mixture_of(DATA[name], **INFERENCE[inference])
    assert_sound(fit(graph, rounds=4, strict=True), gmm)


@pytest.mark.parametrize("inference", INFERENCE)
def test_other_ways_to_learn_are_as_sound_without_any_spread(inference):
    graph, gmm = mixture_of(DATA["all zero"], **INFERENCE[inference])
    assert_sound(fit(graph, rounds=4, strict=True), gmm)


def broken_somehow(dice):
    """Normal data, and up to three things that go wrong with them, (N, D)."""
    n, d = dice.choice([1, 2, 3, 5, 12, 40]), dice.choice([1, 2, 3, 6])
    x = normal(n, d, seed=dice.randrange(10**6))
    accidents = {
        "far off": lambda: x + dice.choice([1e3, 1e6, -1e9]),
        "wide": lambda: x * dice.choice([1e3, 1e6]),
        "narrow": lambda: x * dice.choice([1e-3, 1e-6, 1e-9]),
        "columns of their own scales": lambda: x * 10 ** (3 * normal(1, d, seed=dice.randrange(10**6))),
        "a constant column": lambda: x.index_fill(1, torch.tensor([dice.randrange(d)]), dice.choice([0.0, 1e6 + 0.3])),
        "doubled": lambda: x[torch.arange(n) % max(1, n // 3)],
        "on a line": lambda: x[:, :1] * normal(1, d, seed=dice.randrange(10**6)),
        "an outlier": lambda: with_value(x, dice.randrange(n), dice.randrange(d), dice.choice([1e6, -1e12])),
        "clusters": lambda: x + dice.choice([10, 1e4, 1e8]) * (torch.arange(n) % 3)[:, None],
        "rounded": lambda: x.round(),
    }
    for accident in dice.choices(list(accidents), k=dice.randint(0, 3)):
        x = accidents[accident]()
    return x


def singular_somehow(n, d, dice):
    """Covariances of any rank and scale; about half of them zero."""
    root = dice.choice([0.0, 1e-6, 1.0, 1e3, 1e6]) * normal(n * d, dice.choice([1, d]), dice.randrange(10**6))
    root = root.reshape(n, d, -1) * (normal(n, 1, dice.randrange(10**6)) > 0)[:, :, None]
    return root @ root.mT


@pytest.mark.parametrize("number", range(25))
def test_accidents_that_come_together_change_nothing_about_that(number):
    dice = random.Random(number)
    values = broken_somehow(dice)
    covariances = singular_somehow(*values.shape, dice)
    graph, gmm = mixture_of(
        values,
        dice.choice([None, covariances, covariances.diagonal(dim1=1, dim2=2)]),
        k=dice.choice([1, 2, 5]),
        starts=dice.choice([1, 2]),
        covariance=dice.choice(COVARIANCES),
        message=dice.choice(MESSAGES),
        concentration=dice.choice([1e-3, 1.0, 100.0]),
        passes=dice.choice([1, 3]),
        prior=dice.choice(["given", "fitted"]),
    )
    assert_sound(fit(graph, rounds=5, strict=True), gmm)


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_units_change_the_description_and_not_what_is_described(covariance):
    x, _ = blobs(60, 3, 2, seed=1)
    graph, gmm = mixture_of(x, covariance=covariance)
    result = fit(graph, rounds=50)
    for scale, offset in [(1.0, 1e6), (1e-6, 0.0), (1e-6, 1.0), (1e6, -1e9), (1e-100, 0.0)]:
        moved_graph, moved = mixture_of(scale * x + offset, covariance=covariance)
        moved_result = fit(moved_graph, rounds=50)
        # An offset pushes digits out of numbers that have 16 of them.
        near = {"rtol": 0.0, "atol": 1e-13 * (1 + abs(offset) / scale)}
        torch.testing.assert_close(moved_result.beliefs["gmm.c"].probs, result.beliefs["gmm.c"].probs, **near)
        torch.testing.assert_close((moved.means - offset) / scale, gmm.means, **near)
        torch.testing.assert_close(moved.covariances / scale**2, gmm.covariances, **near)
        bound = moved_result.history["F"][-1] + x.numel() * math.log(scale)
        assert bound == pytest.approx(result.history["F"][-1], rel=near["atol"])


@pytest.mark.parametrize("covariance", COVARIANCES)
@pytest.mark.parametrize("value", [1e12, -1e100])
def test_an_outlier_gets_a_component_of_its_own(covariance, value):
    x, _ = blobs(60, 3, 2)
    graph, _ = mixture_of(with_value(x, 7, 0, value), covariance=covariance)
    probs = fit(graph, rounds=3, strict=True).beliefs["gmm.c"].probs
    its_own = probs[7].argmax()
    assert float(probs[7, its_own]) > 1 - 1e-9
    assert float(probs[torch.arange(60) != 7, its_own].max()) < 1e-3


def test_an_outlier_is_no_matter_for_warnings():
    graph, _ = mixture_of(DATA["an outlier"], starts=10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(graph)


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_rows_that_are_the_same_are_believed_the_same(covariance):
    x = normal(5, 2).repeat(20, 1)
    graph, _ = mixture_of(x, covariance=covariance)
    probs = fit(graph, rounds=5, strict=True).beliefs["gmm.c"].probs.reshape(20, 5, 4)
    torch.testing.assert_close(probs, probs[:1].expand_as(probs), rtol=0, atol=1e-12)


@pytest.mark.parametrize("first", ["one item", "all zero", "tiny", "an outlier"])
def test_other_data_may_follow_a_bad_beginning(first):
    beginning = DATA[first][:, :2]
    graph, gmm = mixture_of(beginning)
    fit(graph, rounds=2, strict=True)
    x, _ = blobs(50, 3, 2)
    assert_sound(fit(graph, {"data": x}, rounds=10, strict=True), gmm)
    assert infer(graph, {"data": 1e9 * x})["gmm.c"].probs.isfinite().all()


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_one_value_that_is_no_number_is_refused_by_its_row(value):
    broken = with_value(normal(60, 2), 7, 1, value)
    with refused(DataError, "NaN or infinity in 1 of 60 rows: 7", "missing=") as caught:
        Observation(broken)
    assert caught.value.rows == (7,)
    graph, _ = mixture_of(normal(60, 2))
    for call in (fit, infer):
        if call is infer:
            fit(graph)
        with refused(DataError, "observation 'data'", "1 of 60 rows: 7") as caught:
            call(graph, {"data": broken})
        assert caught.value.observation == "data"


def test_a_belief_that_is_no_number_is_refused_by_its_sender():
    covariances = torch.ones(60, 2, dtype=torch.float64)
    covariances[9, 1] = math.nan
    graph, gmm = mixture_of(normal(60, 2), covariances)
    with refused(DivergedError, "Gaussian.variance from below.z", "1 of 60 rows", "9") as caught:
        fit(graph)
    assert caught.value.module == "below"
    assert gmm.state_dict() == {}, "the mixture has not heard of it"
