"""Births, splits and merges: what a proposal is, when it is kept, and what becomes of poor starts with them."""

import copy
import itertools

import pytest
import torch

from examples.custom_module import PPCA
from pgmgraph import Context, Gaussian, ModelGraph, Observation, fit
from pgmgraph.executors import Call, worker
from pgmgraph.plates import Parcel
from pgmgraph_modules.conjugate.moments import Layout
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.gmm.moves import PASSES, Trial, proposal
from pgmgraph_modules.gmm.sums import Sums
from tests.modules.gmm.test_collapsed import Blurred, rises
from tests.modules.gmm.test_gmm import under_a_parent
from tests.modules.gmm.test_starts import prior
from tests.modules.gmm.test_sums import totals
from tests.toys import blobs

torch.set_num_threads(1)


def corners(n=200, d=2, seed=0):
    """Four clusters at the corners of a square of ten standard deviations, and who is in which."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 4
    centres = torch.zeros(4, d, dtype=torch.float64)
    centres[:, :2] = 10 * torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    return centres[labels] + torch.randn(n, d, generator=generator, dtype=torch.float64), labels


def partition(*sizes, apart=30.0):
    """Sums of components with so many items, and a prior of the data's size; with apart=0 they are of one cluster."""
    torch.manual_seed(1)
    labels = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    x = torch.randn(len(labels), 2, dtype=torch.float64)
    x[:, 0] += apart * labels
    layout = Layout(2, True, x.mean(0))
    r = torch.nn.functional.one_hot(labels, len(sizes)).double()
    before = prior(len(sizes), 2)
    spread = (x.var(0, correction=0) + 1e-3).diag().expand(len(sizes), 1, 2, 2)
    components = type(before.components)(**{**vars(before.components), "inverse_scale": spread})
    moments = layout.moments(Gaussian(x, torch.zeros_like(x)))
    return Sums(*layout.sums(r.T @ moments.T)), type(before)(before.concentration, components)


def kinds(sums, before, n=60):
    """How many components more or fewer each of n proposals fills; None for no proposal."""
    found = []
    for seed in range(n):
        torch.manual_seed(seed)
        proposed = proposal(sums, before)
        if proposed is None:
            found.append(None)
            continue
        for whole, after in zip(totals(sums), totals(proposed), strict=True):
            torch.testing.assert_close(after, whole)
        assert not torch.equal(proposed.counts, sums.counts)
        found.append(int((proposed.counts > 0).sum() - (sums.counts > 0).sum()))
    return {kind: found.count(kind) for kind in set(found)}


def test_clusters_apart_are_split_into_an_empty_component_or_else_two_are_swapped_for_the_halves_of_a_third():
    assert kinds(*partition(30, 30, 30, 0)) == {1: 60}
    assert kinds(*partition(30, 30, 30)) == {0: 60}


def test_what_would_gain_by_it_is_merged_half_the_time():
    with_an_empty_one = kinds(*partition(30, 30, 30, 0, apart=0.0))
    assert with_an_empty_one.keys() == {-1, 1}
    assert 15 <= with_an_empty_one[-1] <= 45
    without = kinds(*partition(30, 30, 30, apart=0.0))
    assert without.keys() == {-1, 0}
    assert 15 <= without[-1] <= 45


def test_where_nothing_can_change_nothing_is_proposed():
    assert kinds(*partition(30)) == {None: 60}
    assert kinds(*partition(30, 30)) == {None: 60}
    assert kinds(*partition(1, 0)) == {None: 60}


def test_components_are_split_by_their_size_and_never_a_single_item():
    sums, before = partition(60, 30, 1, 0)
    times = [0, 0, 0]
    for seed in range(400):
        torch.manual_seed(seed)
        proposed = proposal(sums, before)
        [halved] = [k for k in range(3) if proposed.counts[k] < sums.counts[k]]
        times[halved] += 1
    assert times[2] == 0
    assert abs(times[0] / 400 - 2 / 3) < 4.5 * (2 / 9 / 400) ** 0.5


def test_a_trial_is_hopeless_when_its_pace_does_not_bring_it_ahead_in_time():
    posterior = prior(2, 2)
    fresh = Trial(posterior, left=15)
    assert not fresh.hopeless(-1e9), "the first passes say nothing yet"
    running = Trial(posterior, left=11, seen=4, lead=-100.0)
    assert not running.hopeless(-90.0), "ten more passes of this pace end level"
    assert running.hopeless(-91.0)
    assert running.hopeless(-100.0)
    assert Trial(posterior, left=1, seen=14, lead=-1.0).hopeless(-0.5), "the last pass is over"


def mixture(x, k, **options):
    data, gmm = Observation(x), GMM(k, **options)
    graph = ModelGraph(data=data, gmm=gmm)
    graph.connect(data.value, gmm.x)
    return graph, gmm


def agreement(c, labels):
    """Whether clusters and labels are the same partition."""
    clusters, labels = c.most_probable().tolist(), labels.tolist()
    return len(set(clusters)) == len(set(labels)) == len(set(zip(clusters, labels, strict=True)))


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
def test_a_start_that_merges_two_clusters_and_splits_a_third_is_mended(covariance):
    x, labels = corners()
    merging_and_splitting = torch.tensor([0, 0, 1, 2])[labels]
    merging_and_splitting[(labels == 3) & (x[:, 0] > 10)] = 3
    mended = {}
    for moves in (0, 2):
        graph, gmm = mixture(x, 4, covariance=covariance, moves=moves, starts=1)
        fit(graph, rounds=1)
        moments = gmm.layout.moments(Gaussian(x, torch.zeros_like(x)))
        poor = torch.nn.functional.one_hot(merging_and_splitting, 4).double()
        gmm.posterior = gmm.prior.updated(poor.T @ moments.T, gmm.layout)
        result = fit(graph, rounds=6 if moves else 60, strict=True)
        mended[moves] = agreement(result.beliefs["gmm.c"], labels)
        assert rises(result)
    assert mended == {0: False, 2: True}


@pytest.mark.parametrize("seed", [0, 3, 4])
def test_surplus_components_empty_out(seed):
    x, labels = corners(d=5, seed=seed)
    graph, gmm = mixture(x, 20, moves=3, starts=1)
    result = fit(graph, rounds=8, seed=seed, strict=True)
    assert gmm.active == 4
    assert agreement(result.beliefs["gmm.c"], labels)
    assert rises(result)


def test_without_moves_surplus_components_stay():
    active = []
    for seed in (0, 3, 4):
        x, _ = corners(d=5, seed=seed)
        graph, gmm = mixture(x, 20, starts=1)
        fit(graph, rounds=60, seed=seed, objective=False)
        active.append(gmm.active)
    assert max(active) > 4


def test_empty_components_come_back_under_a_sparse_prior():
    x, labels = corners()
    active = {}
    for moves in (0, 3):
        graph, gmm = mixture(x[labels < 2], 4, moves=moves, concentration=0.01)
        fit(graph, rounds=3)
        assert gmm.active == 2
        result = fit(graph, {"data": x}, rounds=6)
        active[moves] = gmm.active
    assert active == {0: 2, 3: 4}
    assert agreement(result.beliefs["gmm.c"], labels)


def test_active_components_expect_an_item_or_more():
    x, _ = corners()
    graph, gmm = mixture(x, 4, starts=1)
    fit(graph, rounds=1)
    assert gmm.active == 4
    counts = torch.tensor([198.6, 0.4, 1.0, 0.0], dtype=torch.float64)
    gmm.posterior = type(gmm.posterior)(gmm.prior.concentration + counts, gmm.posterior.components)
    assert gmm.active == 2


@pytest.mark.parametrize("message", ["expected", "mixture"])
@pytest.mark.parametrize("covariance", ["full", "diagonal"])
def test_f_never_falls_where_beliefs_have_variance(message, covariance):
    x, _ = blobs(120, 4, 2, seed=3)
    data, below = Observation(0.5 * x), Blurred(0.5)
    gmm = GMM(7, message=message, covariance=covariance, moves=2, starts=1)
    graph = ModelGraph(data=data, below=below, gmm=gmm)
    graph.connect(data.value, below.x)
    graph.connect(below.z, gmm.x)
    result = fit(graph, rounds=8, strict=True)
    assert rises(result)
    assert gmm.guarantee == "exact"


def test_f_never_falls_where_the_vectors_learn_too():
    generator = torch.Generator().manual_seed(0)
    x, labels = corners(120, d=3)
    data = Observation(x @ torch.randn(3, 6, generator=generator, dtype=torch.float64))
    ppca, gmm = PPCA(3), GMM(8, moves=2, starts=1)
    graph = ModelGraph(data=data, ppca=ppca, gmm=gmm)
    graph.connect(data.value, ppca.x)
    graph.connect(ppca.z, gmm.x)
    result = fit(graph, rounds=15, strict=True)
    assert rises(result)
    assert agreement(result.beliefs["gmm.c"], labels)


def test_minibatches_and_the_order_of_the_plate_change_nothing():
    x, _ = corners()
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(3))
    results = {}
    for name, values, at_once in (("whole", x, None), ("pieces", x, 33), ("permuted", x[order], None)):
        graph, gmm = mixture(values, 9, moves=2, starts=1)
        fit(graph, rounds=1)
        gmm.at_once = at_once or gmm.at_once
        results[name] = gmm, fit(graph, rounds=3).beliefs["gmm.c"].probs
    gmm, probs = results["whole"]
    torch.testing.assert_close(results["pieces"][0].means, gmm.means, rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(results["permuted"][0].means, gmm.means, rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(results["permuted"][1], probs[order], rtol=1e-7, atol=1e-7)


def set_up():
    gmm = GMM(9, moves=1, starts=1)
    shapes = {"x": (2,), "c": (9,)}
    gmm.setup(Context("gmm", shapes, frozenset({"x"}), frozenset({"c"}), torch.device("cpu"), gmm.dtype, 0))
    return gmm


def test_an_update_that_breaks_off_in_a_trial_leaves_no_trace(monkeypatch):
    x, _ = corners()
    mail = {"x": Parcel(Gaussian(x, torch.zeros_like(x)), Gaussian), "c": None}
    gmm, other = set_up(), set_up()
    worker.update(gmm, Call("gmm", mail, seed=0))
    other_state = copy.deepcopy(gmm.state_dict())
    learn, passes = gmm.learn, itertools.count()

    def breaking(total):
        if next(passes) == 2 + PASSES // 2:
            assert total["sums"].ndim == 3, "in a trial"
            raise KeyboardInterrupt
        learn(total)

    with monkeypatch.context() as patch:
        patch.setattr(gmm, "learn", breaking)
        with pytest.raises(KeyboardInterrupt):
            worker.update(gmm, Call("gmm", mail, seed=1))
    worker.update(other, Call("gmm", mail, seed=9))
    other.load_state_dict(other_state)
    for one in (gmm, other):
        worker.update(one, Call("gmm", mail, seed=2))
    for name, tensor in gmm.posterior.state().items():
        assert torch.equal(other.posterior.state()[name], tensor)


def test_an_update_has_passes_for_its_trials_and_ends_none_half_way():
    x, _ = corners()
    gmm = set_up()
    assert gmm.passes == 2 + PASSES
    mail = {"x": Parcel(Gaussian(x, torch.zeros_like(x)), Gaussian), "c": None}
    for number in range(4):
        worker.update(gmm, Call("gmm", mail, seed=number))
        assert gmm.statistics(Gaussian(x, torch.zeros_like(x)), None)["sums"].ndim == 2, "no trial is left over"


def test_under_a_parent_no_moves_happen():
    x, _ = blobs(60, 3, 2)
    _, with_moves, _ = under_a_parent(x, [0.2, 0.3, 0.5], rounds=4, moves=3)
    _, without, _ = under_a_parent(x, [0.2, 0.3, 0.5], rounds=4)
    assert with_moves.passes == 2
    assert torch.equal(with_moves.means, without.means)
