"""The multimodal mixture in graphs: exact given its parameters, a bound otherwise; one modality tells the others."""

import itertools

import pytest
import torch

from pgmgraph import (
    Categorical,
    CategoricalPotential,
    Gaussian,
    ModelGraph,
    Observation,
    Point,
    accuracy,
    fit,
    generate,
    infer,
)
from pgmgraph.errors import ScheduleError, ShapeError, UnknownNameError, WiringError
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.hmm import HMM
from pgmgraph_modules.multimodal import JointBelief, MultimodalMixture
from tests.refusals import refused
from tests.toys import Symbols, blobs

torch.set_num_threads(1)


class Drawn(Symbols):
    """Symbols that can be drawn, each class its own."""

    def sample(self, n, c):
        return {"c": c, "x": c[:, None]}


def toy(n=60, classes=3, **arguments):
    """Items with a symbol, a vector and words, which all say what class an item is of; and the classes."""
    torch.manual_seed(2)
    vectors, labels = blobs(n, classes)
    symbols = (labels + 1 + (torch.rand(n) < 0.1)) % classes
    rates = torch.full((n, 4 * classes), 0.2).scatter_(1, 4 * labels[:, None] + torch.arange(4), 4.0)
    words = torch.poisson(rates)
    mixture = MultimodalMixture(classes, **{"starts": 4, "cooling": 20, **arguments})
    graph = ModelGraph(mixture=mixture, below=Drawn(classes, classes))
    graph.add("symbols", Observation(symbols[:, None]))
    graph.add("vectors", Observation(vectors))
    graph.add("words", Observation(words))
    graph.connect(graph.observations["symbols"].value, graph.modules["below"].x)
    graph.connect(graph.modules["below"].c, mixture.x["symbol"])
    graph.connect(graph.observations["vectors"].value, mixture.v["image"])
    graph.connect(graph.observations["words"].value, mixture.w["sound"])
    return graph, mixture, labels


def same_partition(one, other):
    return torch.equal(one[:, None] == one, other[:, None] == other)


def test_given_the_parameters_beliefs_and_evidence_are_those_of_all_combinations():
    n, sizes = 3, (2, 3, 2)
    torch.manual_seed(0)
    mixture = MultimodalMixture(sizes[0], starts=1, cooling=3)
    graph = ModelGraph(mixture=mixture)
    for key, size in (("one", sizes[1]), ("two", sizes[2])):
        graph.add(key, Symbols(size, 4))
        graph.add(f"{key}_seen", Observation(torch.randint(4, (n, 1))))
        graph.connect(graph.observations[f"{key}_seen"].value, graph.modules[key].x)
        graph.connect(graph.modules[key].c, mixture.x[key])
    fit(graph, rounds=2)
    x = {
        key: CategoricalPotential(torch.randn(n, size).double())
        for key, size in zip(("one", "two"), sizes[1:], strict=True)
    }
    outbox = mixture.send(x, {}, {}, None)
    parameters = mixture._parameters
    logs = [parameters.modalities[f"x.{key}"].expected_log() for key in x]
    lambdas = [message.log_weights for message in x.values()]
    joint = torch.zeros(n, *sizes).double()
    for c, one, two in itertools.product(*map(range, sizes)):
        tables = parameters.expected_log_weights()[c] + logs[0][c, one] + logs[1][c, two]
        joint[:, c, one, two] = tables + lambdas[0][:, one] + lambdas[1][:, two]
    posterior = torch.softmax(joint.flatten(1), 1).reshape(joint.shape)
    for belief, axes in zip(
        (outbox.messages["c"], *outbox.messages["x"].values()), ((2, 3), (1, 3), (1, 2)), strict=True
    ):
        torch.testing.assert_close(belief.probs, posterior.sum(axes), rtol=0, atol=1e-10)
    terms = mixture.elbo({key: outbox.beliefs[f"x.{key}"] for key in x}, {}, {}, outbox.messages["c"])
    of_items = sum(term for term in terms.values() if term.ndim)
    of_children = sum((x[key].expectation(outbox.messages["x"][key])) for key in x)
    expected = joint.flatten(1).logsumexp(1)
    torch.testing.assert_close(of_items + of_children, expected, rtol=0, atol=1e-8)


def test_what_goes_up_is_the_derivative_of_the_bound_and_what_goes_to_vectors_too():
    graph, mixture, _ = toy(12)
    result = fit(graph, rounds=2)
    torch.manual_seed(1)
    x = {"symbol": CategoricalPotential(torch.randn(12, 3).double())}
    v = {"image": Gaussian(torch.randn(12, 2).double(), torch.rand(12, 2).double())}
    w = {"sound": Point(torch.rand(12, 12).double())}
    above = Categorical(result.beliefs["mixture.c"].probs.clone().requires_grad_())
    joint = mixture._classes("symbol").belief(x["symbol"], above.probs)
    lambdas = x["symbol"].expectation(Categorical(joint.probs)).sum()
    mixture.context.owned = frozenset()
    terms = mixture.elbo({"symbol": joint}, v, w, above)
    [slope] = torch.autograd.grad(sum(term.sum() for term in terms.values()) + lambdas, above.probs)
    outbox = mixture.send(x, v, w, Categorical(above.probs.detach()))
    # The scalar is free: q(c) sums to one.
    torch.testing.assert_close(outbox.messages["c"].log_weights, slope, rtol=1e-9, atol=1e-9)
    # Both are linear in the moments of x, so their differences tell the derivative.
    others = [Gaussian(torch.randn(12, 2).double(), torch.rand(12, 2).double()) for _ in range(6)]
    terms = [mixture.elbo({}, {"image": one}, {}, above)["log p(v.image|c)"] for one in others]
    back = [outbox.messages["v"]["image"].expectation(one) for one in others]
    torch.testing.assert_close(torch.stack(back), torch.stack(terms))


def dirichlet_multinomial(counts, prior):
    total = torch.full_like(counts, prior).sum(-1)
    inner = torch.lgamma(counts + prior) - torch.lgamma(torch.tensor(prior).double())
    return torch.lgamma(total) - torch.lgamma(total + counts.sum(-1)) + inner.sum(-1)


@pytest.mark.parametrize("number", range(12))
def test_f_is_below_the_evidence_of_all_assignments_and_never_falls(number):
    """All parameters of the mixture are integrated out; the symbols' table is taken as it is at each stage."""
    generator = torch.Generator().manual_seed(number)
    n, classes, kinds = 4, 2, 2
    symbols = torch.randint(3, (n, 1), generator=generator)
    words = torch.randint(3, (n, 3), generator=generator).double()
    lost = torch.rand(n, generator=generator) < 0.3
    mixture = MultimodalMixture(classes, starts=1, cooling=2, passes=1, word_concentration=0.5)
    below = Symbols(kinds, 3, learning=number % 2 == 0)
    graph = ModelGraph(below=below, mixture=mixture)
    graph.add("seen", Observation(symbols, missing=None if lost.all() else lost))
    graph.add("heard", Observation(words))
    graph.connect(graph.observations["seen"].value, below.x)
    graph.connect(below.c, mixture.x["symbol"])
    graph.connect(graph.observations["heard"].value, mixture.w["sound"])
    seen = torch.ones(n, dtype=torch.bool) if lost.all() else ~lost
    excesses = []

    def evidence():
        c = torch.tensor(list(itertools.product(range(classes), repeat=n)))
        one_hot = torch.nn.functional.one_hot(c, classes).double()
        of_c = dirichlet_multinomial(one_hot.sum(1), 1.0)
        of_words = dirichlet_multinomial(one_hot.mT @ words, 0.5).sum(1)
        totals = []
        for kind in itertools.product(range(kinds), repeat=int(seen.sum())):
            k = torch.nn.functional.one_hot(torch.tensor(kind), kinds).double()
            pairs = one_hot[:, seen].mT @ k
            of_symbols = below.log_table[list(kind), symbols[seen, 0]].sum()
            totals.append(of_c + of_words + dirichlet_multinomial(pairs, 1.0).sum(1) + of_symbols)
        return float(torch.stack(totals).flatten().logsumexp(0))

    def schedule(view, round):
        order = torch.randint(2, (4,), generator=generator).tolist()
        yield from [("below",), ("mixture",)] if not round else [(("below", "mixture")[one],) for one in order]

    def watch(event):
        if type(event).__name__ == "ModuleUpdated" and mixture.context.updates:
            excesses.append(evidence())

    result = fit(graph, rounds=5, schedule=schedule, callbacks=[watch], strict=True)
    bounds = [entry.F for entry in result.trace if entry.F is not None]
    gaps = [bound - known for bound, known in zip(bounds, excesses, strict=True)]
    assert max(gaps) <= 1e-9
    assert max(gaps) > -5.0, "a bound, and not a hollow one"


def test_f_never_falls_over_fifty_rounds_with_children_that_learn():
    graph, _, labels = toy()
    graph.add("gmm", GMM(3, starts=2))
    graph.connect(graph.observations["vectors"].value, graph.modules["gmm"].x)
    graph.connect(graph.modules["gmm"].c, graph.modules["mixture"].x["shape"])
    result = fit(graph, rounds=50, strict=True)
    assert same_partition(result.beliefs["mixture.c"].most_probable(), labels)


def test_tables_align_the_labels_of_children():
    graph, mixture, labels = toy()
    result = fit(graph, rounds=10)
    found = result.beliefs["mixture.c"].most_probable()
    assert same_partition(found, labels)
    kinds = result.beliefs["below.c"].most_probable()
    expected = mixture.table("symbol").argmax(1)
    assert sorted(expected.tolist()) == [0, 1, 2]
    assert (expected[found] == kinds).float().mean() > 0.85
    assert isinstance(result.beliefs["below.c"], JointBelief)


def test_one_modality_tells_the_others():
    graph, mixture, labels = toy()
    fit(graph, rounds=10)
    values = {name: node.point.value for name, node in graph.observations.items()}
    centres = torch.stack([values["vectors"][labels == one].mean(0) for one in range(3)])
    for name, least in {"symbols": 0.85, "vectors": 1.0, "words": 1.0}.items():
        beliefs = infer(graph, {name: values[name]}, predict=["words", "vectors"])
        heard = beliefs["words"].value.reshape(len(labels), 3, 4).sum(2).argmax(1)
        seen = torch.cdist(beliefs["vectors"].value, centres).argmin(1)
        for told in (heard, seen):
            assert (told == labels).float().mean() >= least
        assert accuracy(beliefs["mixture.c"].most_probable().numpy(), labels.numpy()) >= least
    unseen = infer(graph, {"words": values["words"]})["below.c"]
    assert unseen.missing.all()
    torch.testing.assert_close(
        unseen.probs, infer(graph, {"words": values["words"]})["mixture.c"].probs @ mixture.table("symbol")
    )
    drawn = generate(graph, {"words": values["words"]}, n=len(labels))
    assert (torch.cdist(drawn["vectors"], centres).argmin(1) == labels).float().mean() > 0.9


def test_what_a_missing_modality_would_say_changes_nothing():
    _, _, labels = toy()
    lost = torch.arange(len(labels)) % 3 == 0
    results = []
    for junk in (0.0, 50.0):
        holed, _, _ = toy()
        words = holed.observations["words"].point.value.clone()
        words[lost] = junk
        data = {"words": Observation(words, missing=lost)}
        result = fit(holed, data, rounds=5)
        results.append((result.history["F"], result.beliefs["mixture.c"].probs))
    assert results[0][0] == results[1][0]
    assert torch.equal(results[0][1], results[1][1])


def test_rows_missing_everywhere_equal_rows_left_out():
    graph, _, labels = toy()
    gone = torch.arange(len(labels)) % 4 == 1
    values = {name: node.point.value for name, node in graph.observations.items()}
    whole = fit(graph, {name: Observation(value, missing=gone) for name, value in values.items()}, rounds=5)
    short, _, _ = toy()
    few = fit(short, {name: value[~gone] for name, value in values.items()}, rounds=5)
    assert whole.history["F"] == pytest.approx(few.history["F"], rel=1e-9)
    for variable in ("mixture.c", "below.c"):
        assert torch.equal(whole.beliefs[variable].missing, gone)
        torch.testing.assert_close(whole.beliefs[variable].probs[~gone], few.beliefs[variable].probs)


def test_minibatches_learn_the_same():
    bounds = []
    for size in (100_000, 7):
        graph, mixture, _ = toy()
        fit(graph, rounds=1)
        mixture.at_once = size
        bounds.append(fit(graph, rounds=3).history["F"])
    assert bounds[0] == pytest.approx(bounds[1], rel=1e-12)


def test_weights_temper_and_say_so():
    graph, mixture, _ = toy(weights={"w.sound": 0.2})
    assert mixture.guarantee == "none"
    assert "w.sound 0.2 times" in " ".join(graph.check().remarks)
    plain, untempered, _ = toy(weights={"w.sound": 1.0})
    assert untempered.guarantee == "exact"
    assert plain.check().remarks == ()


def test_a_parent_may_hold_c_and_f_stays_known():
    graph, mixture, _ = toy()
    graph.add("hmm", HMM(3))
    graph.connect(mixture.c, graph.modules["hmm"].c)
    with pytest.warns(UserWarning, match="c has a parent and there are classes below"):
        result = fit(graph, rounds=10)
    assert mixture.guarantee == "none"
    assert all(bound is not None for bound in result.history["F"])
    assert result.history["F"][-1] > result.history["F"][0]
    assert "parent" in " ".join(graph.check().remarks)


def test_under_a_parent_without_classes_below_it_is_exact():
    vectors, _ = blobs(40, 3)
    mixture, hmm = MultimodalMixture(3, starts=4, cooling=5), HMM(3)
    graph = ModelGraph(mixture=mixture, hmm=hmm, seen=Observation(vectors), heard=Observation(vectors.abs().round()))
    graph.connect(graph.observations["seen"].value, mixture.v["image"])
    graph.connect(graph.observations["heard"].value, mixture.w["sound"])
    graph.connect(mixture.c, hmm.c)
    fit(graph, rounds=50, strict=True)
    assert mixture.guarantee == "exact"


@pytest.mark.parametrize("n", [1, 8], ids=["single item", "constant"])
def test_degenerate_data_give_finite_numbers(n):
    mixture = MultimodalMixture(3, starts=4, cooling=3)
    graph = ModelGraph(mixture=mixture, below=Symbols(2, 2), seen=Observation(torch.zeros(n, 1).long()))
    graph.add("vectors", Observation(torch.ones(n, 2)))
    graph.add("silence", Observation(torch.zeros(n, 5)))
    graph.connect(graph.observations["seen"].value, graph.modules["below"].x)
    graph.connect(graph.modules["below"].c, mixture.x["symbol"])
    graph.connect(graph.observations["vectors"].value, mixture.v["image"])
    graph.connect(graph.observations["silence"].value, mixture.w["sound"])
    result = fit(graph, rounds=4, strict=True)
    assert all(abs(bound) < 1e6 for bound in result.history["F"])
    assert torch.isfinite(result.beliefs["mixture.c"].probs).all()


def test_draws_follow_what_was_learnt():
    graph, mixture, _ = toy()
    fit(graph, rounds=10)
    drawn = generate(graph, n=3_000)
    shares = torch.bincount(drawn["mixture.c"], minlength=3) / 3_000
    torch.testing.assert_close(shares.double(), mixture.class_probs, rtol=0, atol=0.05)
    for c in range(3):
        of_c = drawn["mixture.c"] == c
        words = drawn["words"][of_c].mean(0)
        expected = drawn["words"].sum(1).mean() * mixture.words("sound")[c]
        torch.testing.assert_close(words.double(), expected.double(), rtol=0, atol=0.5)
        assert (drawn["below.c"][of_c] == mixture.table("symbol")[c].argmax()).float().mean() > 0.8


def test_what_cannot_be_is_refused():
    with refused(ValueError, "components", "at least 1", "0"):
        MultimodalMixture(0)
    with refused(ValueError, "positive weight of w.sound", "-1"):
        MultimodalMixture(2, weights={"w.sound": -1})
    with refused(ValueError, "full, diagonal"):
        MultimodalMixture(2, covariance="round")
    with refused(WiringError, "mixture", "modality"):
        ModelGraph(mixture=MultimodalMixture(2)).check()
    graph, _, _ = toy(weights={"w.sond": 0.2})
    with refused(UnknownNameError, "'w.sond'", "w.sound"):
        graph.check()
    mixture = MultimodalMixture(2)
    graph = ModelGraph(mixture=mixture, words=Observation(torch.ones(3, 2, 2)))
    graph.connect(graph.observations["words"].value, mixture.w["sound"])
    with refused(ShapeError, "w.sound", "(2, 2)", "Reshape"):
        graph.check()


def test_it_does_not_start_before_every_modality_is_there():
    graph, _, _ = toy()
    with refused(ScheduleError, "mixture.x.symbol", "below it before 'mixture'"):
        fit(graph, schedule=["mixture", "below"])
