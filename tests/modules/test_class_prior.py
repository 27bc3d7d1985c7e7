"""A prior over classes: exact given its weights, a bound with them integrated out; and members that share a class."""

import itertools
import math

import pytest
import torch
from sklearn.cluster import KMeans

from pgmgraph import (
    Categorical,
    CategoricalPotential,
    ModelGraph,
    Observation,
    Point,
    Scores,
    accuracy,
    fit,
    generate,
    infer,
)
from pgmgraph.groups import Groups
from pgmgraph_modules.class_prior import ClassPrior
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.multimodal import MultimodalMixture
from tests.toys import Symbols

torch.set_num_threads(1)


def symbols(n=7, seed=0):
    return torch.randint(4, (n, 1), generator=torch.Generator().manual_seed(seed))


def graph_of(values, *, ids=None, missing=None, learning=False, concentration=1.0, classes=3):
    groups = None if ids is None else {"images": ids}
    seen = Observation(values, plate="patches", groups=groups, missing=missing)
    graph = ModelGraph(seen=seen, below=Symbols(classes, 4, learning), prior=ClassPrior(concentration))
    graph.connect(seen.value, graph["below"].x)
    graph.connect(graph["below"].c, graph["prior"].c, pool=None if ids is None else "images")
    return graph


def log_dirichlet_multinomial(counts, concentration):
    """log p(classes) with the weights integrated out, from how often each class occurs."""
    alpha, counts = torch.full((len(counts),), concentration).double(), torch.tensor(counts).double()
    gains = torch.lgamma(alpha + counts) - torch.lgamma(alpha)
    return float(gains.sum() + torch.lgamma(alpha.sum()) - torch.lgamma(alpha.sum() + counts.sum()))


def evidence(graph, values, ids, concentration, classes=3):
    """log p(values), summed over all classes of all groups."""
    table, groups = graph["below"].log_table, sorted(set(ids.tolist()))
    total = []
    for chosen in itertools.product(range(classes), repeat=len(groups)):
        of = dict(zip(groups, chosen, strict=True))
        likely = sum(float(table[of[int(group)], int(value)]) for group, value in zip(ids, values, strict=True))
        counts = [chosen.count(k) for k in range(classes)]
        total.append(likely + log_dirichlet_multinomial(counts, concentration))
    return float(torch.tensor(total, dtype=torch.float64).logsumexp(0))


@pytest.mark.parametrize("concentration", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("grouped", [False, True])
def test_f_never_falls_and_stays_below_the_evidence(concentration, grouped):
    for seed in range(2):
        values, generator = symbols(7, seed), torch.Generator().manual_seed(seed)
        ids = torch.randint(3, (7,), generator=generator) if grouped else None
        graph = graph_of(values, ids=ids, concentration=concentration)
        bounds = fit(graph, rounds=50, strict=True, seed=seed).history["F"]
        known = evidence(graph, values[:, 0], torch.arange(7) if ids is None else ids, concentration)
        assert all(after >= before - 1e-9 for before, after in itertools.pairwise(bounds))
        assert known - 2.5 < bounds[-1] <= known + 1e-9


def test_given_the_weights_the_belief_is_the_posterior():
    result = fit(graph := graph_of(symbols()), rounds=3)
    prior, table = graph["prior"], graph["below"].log_table
    counts = prior.state_dict()["posterior"]
    expected = torch.softmax(torch.digamma(counts) + table[:, symbols()[:, 0]].T, 1)
    torch.testing.assert_close(result.beliefs["prior.g"].probs, expected, rtol=1e-10, atol=1e-10)
    assert torch.equal(result.beliefs["prior.g"].probs, result.beliefs["below.c"].probs)
    torch.testing.assert_close(prior.weights.sum(), torch.ones((), dtype=torch.float64))


def test_the_belief_is_the_highest_point_of_the_bound():
    fit(graph := graph_of(symbols()), rounds=2)
    prior = graph["prior"]
    potential = CategoricalPotential(torch.randn(5, 3).double())
    logits = prior.send(potential, None).messages["g"].probs.log().requires_grad_()
    belief = Categorical(torch.softmax(logits, 1))
    terms = prior.elbo(belief, belief)
    bound = potential.expectation(belief).sum() + terms["log p(c)"].sum() + terms["H[c]"].sum()
    [slope] = torch.autograd.grad(bound, logits)
    assert slope.abs().max() < 1e-12


def test_weights_are_found_again():
    generator = torch.Generator().manual_seed(0)
    classes = torch.multinomial(torch.tensor([0.6, 0.3, 0.1]), 2_000, replacement=True, generator=generator)
    values = torch.nn.functional.one_hot(classes, 4).argmax(1, keepdim=True)
    graph = graph_of(values)
    fit(graph, rounds=1)
    graph["below"].log_table = torch.full((3, 4), 1e-3).double().fill_diagonal_(1.0).log()
    fit(graph, rounds=20)
    expected = torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64)
    torch.testing.assert_close(graph["prior"].weights, expected, rtol=0, atol=4 * math.sqrt(0.25 / 2_000))
    torch.manual_seed(0)
    drawn = torch.bincount(graph["prior"].sample(4_000, None)["c"], minlength=3).double() / 4_000
    torch.testing.assert_close(drawn, graph["prior"].weights, rtol=0, atol=4 * math.sqrt(0.25 / 4_000))


def test_one_item_and_one_class():
    for graph in (graph_of(symbols(1)), graph_of(symbols(4), classes=1), graph_of(symbols(1), ids=[3])):
        result = fit(graph, rounds=3, strict=True)
        assert math.isfinite(result.history["F"][-1])
        assert not result.beliefs["prior.g"].probs.isnan().any()


def test_groups_without_members_are_flagged_and_believed_as_the_prior_says():
    missing = torch.tensor([False, False, True, False, False, False, False])
    graph = graph_of(symbols(), ids=[0, 0, 2, 3, 3, 3, 0], missing=missing)
    expected = graph_of(symbols()[~missing], ids=[0, 0, 1, 1, 1, 0])
    result, other = fit(graph, rounds=5), fit(expected, rounds=5)
    assert result.beliefs["prior.g"].missing.tolist() == [False, True, True, False]
    assert result.history["F"] == pytest.approx(other.history["F"], rel=1e-12)
    torch.testing.assert_close(graph["prior"].weights, expected["prior"].weights)
    torch.testing.assert_close(result.beliefs["prior.g"].probs[[0, 3]], other.beliefs["prior.g"].probs)
    filled = infer(graph)["prior.g"]
    torch.testing.assert_close(filled.probs[1], graph["prior"].weights, rtol=0, atol=4 * math.sqrt(0.25 / 100))


@pytest.mark.parametrize("wrong", [0.0, -1.0, math.inf, math.nan])
def test_a_concentration_that_is_none_is_refused(wrong):
    with pytest.raises(ValueError, match="positive concentration"):
        ClassPrior(wrong)


def patches(seed, images=60, each=6, spread=1.5):
    """Patches of images of three kinds that one patch alone hardly tells, words of the images, and their kinds."""
    generator = torch.Generator().manual_seed(seed)
    kinds, ids = torch.arange(images) % 3, torch.arange(images).repeat_interleave(each)
    vectors = torch.randn(len(ids), 2, generator=generator) + spread * torch.eye(3)[kinds[ids], :2]
    words = torch.poisson(0.5 + 1.5 * torch.eye(3)[kinds], generator=generator)
    return vectors, ids, words, kinds


def of_averages(vectors, ids):
    """A partition of groups by the average of their members, for each member: where a mixture can start."""
    averages = Groups(ids, int(ids.max()) + 1).pooled(Point(vectors), average=True).value
    found = KMeans(3, n_init=5, random_state=0).fit_predict(averages.numpy())
    return torch.as_tensor(found).long()[ids]


def test_patches_tell_more_together_than_alone():
    """Means over three seeds, of images, from one start; alone, the patches of an image vote."""
    found = []
    for seed in range(3):
        vectors, ids, _, kinds = patches(seed)
        start = of_averages(vectors, ids)
        seen = Observation(vectors, plate="patches", groups={"images": ids})
        alone, gmm, prior = GMM(3, partition=start), GMM(3, partition=start), ClassPrior()
        graph = ModelGraph(seen=seen, alone=alone, gmm=gmm, prior=prior)
        graph.connect(seen.value, alone.x)
        graph.connect(seen.value, gmm.x)
        graph.connect(gmm.c, prior.c, pool="images")
        result = fit(graph, rounds=20, strict=True, callbacks=[Scores(prior.g, kinds)])
        votes = Groups(ids, len(kinds)).pooled(Point(result.beliefs["alone.c"].probs)).value.argmax(1)
        found.append([accuracy(votes, kinds), result.history["accuracy"][-1]])
    alone, together = torch.tensor(found).mean(0).tolist()
    print(alone, together)
    assert together > alone
    assert together > 0.9
    drawn = generate(graph, {"prior.g": 1}, n=5)
    assert (drawn["gmm.c"] == 1).all()


def test_patches_and_words_tell_more_than_either():
    """Means over three seeds: images by their patches, by their words, and by both."""
    found = []
    for seed in range(3):
        vectors, ids, words, kinds = patches(seed, spread=1.0)
        scores = {}
        for parts in (("patch",), ("word",), ("patch", "word")):
            top, gmm = MultimodalMixture(3, starts=2, cooling=10, concentration=20.0), GMM(3, starts=2)
            graph = ModelGraph(top=top)
            if "patch" in parts:
                graph.add("seen", Observation(vectors, plate="patches", groups={"images": ids}))
                graph.add("gmm", gmm)
                graph.connect(graph["seen"].value, gmm.x)
                graph.connect(gmm.c, top.x["patch"], pool="images")
            if "word" in parts:
                graph.add("words", Observation(words, plate="images"))
                graph.connect(graph["words"].value, top.w["word"])
            result = fit(graph, rounds=10, strict=True, seed=seed)
            bounds = result.history["F"]
            assert all(after >= before - 1e-9 * abs(before) for before, after in itertools.pairwise(bounds))
            scores[parts] = accuracy(result.beliefs["top.c"].most_probable(), kinds)
        found.append(list(scores.values()))
    by_patches, by_words, by_both = torch.tensor(found).mean(0).tolist()
    print(by_patches, by_words, by_both)
    assert by_both > max(by_patches, by_words)
