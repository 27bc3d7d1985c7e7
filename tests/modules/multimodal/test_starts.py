"""Starts of a multimodal mixture: what annealing finds, and what it cannot."""

import torch

from pgmgraph import CategoricalPotential, Gaussian, Point
from pgmgraph_modules.conjugate.emissions import Emissions
from pgmgraph_modules.conjugate.prior import prior_from
from pgmgraph_modules.multimodal.parameters import Parameters
from pgmgraph_modules.multimodal.starts import best_start
from pgmgraph_modules.multimodal.tables import Classes, Words
from tests.toys import blobs

CLASSES = 4


def spoken(n=120):
    """Words of four classes, (n, 40), each with ten of its own beside noise, and the classes."""
    torch.manual_seed(3)
    labels = torch.arange(n) % CLASSES
    probs = torch.full((CLASSES, 40), 0.4 / 40)
    for label in range(CLASSES):
        probs[label, 10 * label : 10 * label + 10] += 0.06
    words = torch.multinomial(probs[labels], 30, replacement=True)
    return torch.zeros(n, 40).scatter_add_(1, words, torch.ones(n, 30)).double(), labels


def words_at_prior():
    ones = torch.ones(CLASSES, 40, dtype=torch.float64)
    return Parameters(torch.ones(CLASSES, dtype=torch.float64), 1.0, {"w.sound": Words(ones, 1.0, 30.0)})


def same_partition(one, other):
    return torch.equal(one[:, None] == one, other[:, None] == other)


def test_a_single_annealed_start_finds_classes_of_words():
    counts, labels = spoken()
    mail = {"w.sound": Point(counts)}
    for seed in range(5):
        torch.manual_seed(seed)
        found, _ = best_start(mail, words_at_prior(), starts=1, cooling=40)
        assert same_partition(found.log_joint(mail).argmax(1), labels)


def test_the_bound_is_that_of_the_parameters_and_more_starts_never_have_a_lower_one():
    counts, _ = spoken(40)
    mail = {"w.sound": Point(counts)}
    bounds = []
    for starts in (1, 2, 5):
        torch.manual_seed(0)
        found, bound = best_start(mail, words_at_prior(), starts, cooling=3)
        divergence = found.divergence_of_weights() + sum(found.divergences().values())
        assert abs(bound - float(found.log_joint(mail).logsumexp(1).sum() - divergence)) < 1e-9 * abs(bound)
        bounds.append(bound)
    assert bounds == sorted(bounds)


def test_vectors_that_annealing_leaves_alike_are_told_apart_by_the_fourth_start():
    vectors, labels = blobs(60, 3)
    vectors = vectors.double()
    belief = Gaussian(vectors, torch.zeros_like(vectors))
    layout, normals = prior_from(belief, 3, full=True)
    prior = Parameters(torch.ones(3, dtype=torch.float64), 1.0, {"v.image": Emissions(layout, normals, normals)})
    torch.manual_seed(0)
    found, _ = best_start({"v.image": belief}, prior, starts=8, cooling=10)
    assert same_partition(found.log_joint({"v.image": belief}).argmax(1), labels)


def test_permuting_the_items_permutes_the_start():
    counts, _ = spoken(60)
    order = torch.randperm(60)
    results = []
    for rows in (slice(None), order):
        torch.manual_seed(0)
        mail = {"w.sound": Point(counts[rows])}
        found, _ = best_start(mail, words_at_prior(), starts=2, cooling=5)
        results.append(found.log_joint(mail))
    torch.testing.assert_close(results[1], results[0][order])


def test_items_that_are_all_alike_and_modalities_without_a_row_are_no_obstacle():
    constant = Point(torch.ones(5, 40, dtype=torch.float64))
    absent = CategoricalPotential(torch.zeros(5, 2).double(), missing=torch.ones(5, dtype=torch.bool))
    found, bound = best_start({"w.sound": constant}, words_at_prior(), starts=4, cooling=3)
    assert torch.isfinite(found.log_joint({"w.sound": constant})).all()
    assert bound < 0
    tables = {**words_at_prior().modalities, "x.label": Classes(torch.ones(CLASSES, 2).double(), 1.0)}
    prior = Parameters(torch.ones(CLASSES).double(), 1.0, tables)
    _, with_absent = best_start({"w.sound": constant, "x.label": absent}, prior, starts=1, cooling=3)
    assert abs(with_absent - best_start({"w.sound": constant}, words_at_prior(), 1, 3)[1]) < 1e-6
