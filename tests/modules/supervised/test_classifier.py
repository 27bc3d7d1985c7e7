"""The classifier's bound against quadrature, its labels, its answers."""

import math

import numpy as np
import pytest
import torch

from pgmgraph import Categorical, Gaussian, ModelGraph, Observation, Point, fit, infer
from pgmgraph.errors import DataError, ShapeError
from pgmgraph_modules.supervised import Classifier
from tests.refusals import refused

torch.set_num_threads(1)


def clusters(n=90, seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 3
    centres = torch.tensor([[0.0, 2.0], [2.0, -1.0], [-2.0, -1.0]], dtype=torch.float64)
    return centres[labels] + torch.randn(n, 2, generator=generator, dtype=torch.float64), labels


def over(z, y, missing=None, **options):
    data, known, classifier = Observation(z), Observation(y, missing=missing), Classifier(3, **options)
    graph = ModelGraph(data=data, known=known, classifier=classifier)
    graph.connect(data.value, classifier.z)
    graph.connect(known.value, classifier.y)
    return graph, classifier


def learnt(**options):
    graph, classifier = over(*clusters(), **options)
    fit(graph, rounds=5)
    return graph, classifier


def test_its_term_is_below_the_expected_log_likelihood_by_quadrature():
    _, classifier = learnt()
    generator = torch.Generator().manual_seed(1)
    n = 40
    mean = 2 * torch.randn(n, 2, generator=generator, dtype=torch.float64)
    variance = 2 * torch.rand(n, 2, generator=generator, dtype=torch.float64)
    y = Point(torch.randint(3, (n,), generator=generator).double())
    nodes, weights = (torch.from_numpy(one) for one in np.polynomial.hermite_e.hermegauss(25))
    pairs = torch.cartesian_prod(nodes, nodes)
    points = mean[:, None] + variance.sqrt()[:, None] * pairs
    masses = torch.cartesian_prod(weights, weights).prod(1) / (2 * math.pi)
    log_likelihood = torch.log_softmax(classifier.network(points), 2).detach()
    expected = (masses * log_likelihood[torch.arange(n), :, y.value.long()]).sum(1)
    bound = classifier.elbo(Gaussian(mean, variance), y, None)["log p(y|z)"]
    assert (bound < expected).all()
    narrow = classifier.elbo(Gaussian(mean, 1e-8 * variance), y, None)["log p(y|z)"]
    at_mean = classifier.log_likelihood(classifier.network(mean), y.value).detach()
    torch.testing.assert_close(narrow, at_mean, rtol=0, atol=1e-6)


def test_its_message_is_below_the_log_likelihood_everywhere_and_touches_it_at_the_mean():
    _, classifier = learnt()
    z, labels = clusters(60, seed=3)
    y = Point(labels.double())
    sent = classifier.send(Gaussian(z, torch.zeros_like(z)), y, None).messages["z"]
    elsewhere = 5 * torch.randn(500, 60, 2, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    log_likelihood = torch.log_softmax(classifier.network(elsewhere), 2).detach()
    there = log_likelihood.gather(2, labels.expand(500, -1).unsqueeze(2)).squeeze(2)
    assert (sent.value(elsewhere) <= there + 1e-10).all()
    torch.testing.assert_close(sent.value(z), classifier.log_likelihood(classifier.network(z), y.value).detach())


def test_it_learns_and_tells_how_sure_it_is():
    graph, _ = learnt()
    z, labels = clusters(300, seed=8)
    belief = infer(graph, {"data": z})["classifier.predicted"]
    assert isinstance(belief, Categorical)
    assert float((belief.most_probable() == labels).double().mean()) > 0.9
    torch.testing.assert_close(belief.probs.sum(1), torch.ones(300, dtype=torch.float64))
    torch.testing.assert_close(belief.probs.mean(0), torch.full((3,), 1 / 3, dtype=torch.float64), rtol=0, atol=0.05)


def test_what_is_not_sure_of_z_is_less_sure_of_the_label():
    _, classifier = learnt()
    z, _ = clusters()
    sure, unsure = (
        classifier.send(Gaussian(z, torch.full_like(z, variance)), None, None).messages["predicted"]
        for variance in (0.0, 4.0)
    )
    torch.testing.assert_close(sure.probs, torch.softmax(classifier.network(z), 1).detach())
    assert (unsure.entropy() > sure.entropy()).all()


def test_a_known_label_is_certain():
    z, labels = clusters()
    missing = torch.arange(len(z)) % 3 == 1
    graph, _ = over(z, labels, missing)
    belief = fit(graph, rounds=1).beliefs["classifier.predicted"]
    assert torch.equal(belief.probs[~missing].argmax(1), labels[~missing])
    assert (belief.probs[~missing].amax(1) == 1).all()
    assert (belief.probs[missing].amax(1) < 1).all()


@pytest.mark.parametrize(
    ("wrong", "parts"),
    [
        (torch.full((90,), 3), ("[0, 2]", "classifier.y")),
        (torch.full((90,), 0.5), ("whole numbers from 0 to 2", "classifier.y", "0.5")),
    ],
)
def test_labels_that_are_none_are_refused(wrong, parts):
    graph, _ = over(clusters()[0], wrong)
    with refused(DataError, *parts):
        fit(graph)


def test_labels_in_columns_are_refused():
    graph, _ = over(clusters()[0], torch.zeros(90, 1))
    with refused(ShapeError, "Expected events of shape () at classifier.y", "(1,)"):
        graph.check()


def test_one_class_is_refused():
    with refused(ValueError, "at least 2 classes; got 1"):
        Classifier(1)
