"""The E step comes to the one maximum of the bound, also where topics are so alike that iterations hardly move."""

import pytest
import torch

from pgmgraph import CategoricalPotential, Point
from pgmgraph_modules.lda.documents import Documents
from pgmgraph_modules.lda.shares import Likelihoods, divergence, expected_log, explained, settled

torch.set_num_threads(1)


def problem(sharpness, length, k=5, n=6, seed=0):
    """Long documents, a class each, and topics that differ the more the sharper they are."""
    generator = torch.Generator().manual_seed(seed)
    words = torch.log_softmax(sharpness * torch.randn(k, 8, generator=generator, dtype=torch.float64), 1)
    classes = torch.log_softmax(torch.randn(k, 3, generator=generator, dtype=torch.float64), 1)
    mail = {
        "words": Point(torch.poisson(torch.full((n, 8), length / 8, dtype=torch.float64), generator=generator)),
        "class": CategoricalPotential(torch.randn(n, 3, generator=generator, dtype=torch.float64)),
    }
    documents = Documents.of(mail, {"words": slice(0, 8), "class": slice(8, 11)}, {})
    above = torch.softmax(torch.randn(n, k, generator=generator, dtype=torch.float64), 1)
    return documents, Likelihoods(torch.cat([words, classes], 1)), above


def bound(documents, likelihoods, concentration, prior, above):
    found = explained(documents, likelihoods, concentration, above)
    return documents.evidence(found.log_shares) - divergence(concentration, prior, above)


@pytest.mark.parametrize("sharpness", [1e-3, 0.1, 3.0])
@pytest.mark.parametrize("wired", [False, True])
def test_no_other_shares_have_a_higher_bound(sharpness, wired):
    documents, likelihoods, given = problem(sharpness, length=400)
    above = given if wired else None
    best = settled(documents, likelihoods, 0.5, above)
    highest = bound(documents, likelihoods, best, 0.5, above)
    for seed in range(10):
        torch.manual_seed(seed)
        shares = torch.distributions.Dirichlet(torch.full((5,), 0.3).double()).sample((len(documents),))
        anywhere = 0.5 + documents.tokens[:, None] * shares
        for share in (1e-3, 0.1, 1.0):
            other = (1 - share) * best + share * anywhere
            assert (bound(documents, likelihoods, other, 0.5, above) <= highest + 1e-9).all()
    torch.testing.assert_close(best.sum(1), 2.5 + documents.tokens)


def test_the_bound_is_concave_from_a_concentration_of_one_half_on():
    counts = torch.logspace(-8, 6, 2_000, dtype=torch.float64)
    assert (counts * torch.polygamma(1, 0.5 + counts) < 1).all()
    assert (counts * torch.polygamma(1, 0.45 + counts) > 1).any()


def test_expected_logs_and_divergence_are_those_of_a_mixture_of_dirichlets():
    torch.manual_seed(0)
    a, prior = 0.5 + 3 * torch.rand(4, 3, dtype=torch.float64), 0.5
    above = torch.softmax(torch.randn(4, 3, dtype=torch.float64), 1)
    logs, divergences = torch.zeros_like(a), torch.zeros(4, dtype=torch.float64)
    for z in range(3):
        one = torch.nn.functional.one_hot(torch.tensor(z), 3).double()
        posterior = torch.distributions.Dirichlet(a + one)
        given = torch.distributions.Dirichlet((prior + one).expand(4, -1))
        expected = torch.digamma(a + one) - torch.digamma((a + one).sum(1, keepdim=True))
        logs += above[:, z, None] * expected
        divergences += above[:, z] * torch.distributions.kl_divergence(posterior, given)
    torch.testing.assert_close(expected_log(a, above), logs)
    torch.testing.assert_close(divergence(a, prior, above), divergences)
