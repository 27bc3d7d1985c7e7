"""The E step comes to the one maximum of the bound, also where topics are so alike that iterations hardly move."""

import pytest
import torch

from pgmgraph import CategoricalPotential, Point
from pgmgraph_modules.lda import shares
from pgmgraph_modules.lda.documents import Documents
from pgmgraph_modules.lda.pages import Likelihoods, Reading
from pgmgraph_modules.lda.shares import divergence, expected_log, explained

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
    found = explained(documents, likelihoods, prior, above, concentration)
    return found.evidence - divergence(concentration, prior, above)


@pytest.mark.parametrize("sharpness", [1e-3, 0.1, 3.0])
@pytest.mark.parametrize("wired", [False, True])
def test_no_other_shares_have_a_higher_bound(sharpness, wired):
    documents, likelihoods, given = problem(sharpness, length=400)
    above = given if wired else None
    best = explained(documents, likelihoods, 0.5, above).concentration
    highest = bound(documents, likelihoods, best, 0.5, above)
    for seed in range(10):
        torch.manual_seed(seed)
        shares = torch.distributions.Dirichlet(torch.full((5,), 0.3).double()).sample((len(documents),))
        anywhere = 0.5 + documents.tokens[:, None] * shares
        for share in (1e-3, 0.1, 1.0):
            other = (1 - share) * best + share * anywhere
            assert (bound(documents, likelihoods, other, 0.5, above) <= highest + 1e-9).all()
    torch.testing.assert_close(best.sum(1), 2.5 + documents.tokens)


@pytest.mark.parametrize("prior", [0.05, 0.5])
@pytest.mark.parametrize("wired", [False, True])
def test_a_documents_shares_do_not_depend_on_the_others(prior, wired, monkeypatch):
    documents, likelihoods, given = problem(2.0, length=60, n=12)
    above = given if wired else None
    together = explained(documents, likelihoods, prior, above, summed=True)
    monkeypatch.setattr(shares, "_ELEMENTS_IN_CACHE", 1)  # a document a page
    alone = explained(documents, likelihoods, prior, above, summed=True)
    torch.testing.assert_close(alone.concentration, together.concentration, rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(alone.sums, together.sums, rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(alone.sums.sum(), documents.tokens.sum())
    assert torch.equal(torch.cat([page.rows for page in documents.pages(40, 5)]).sort().values, torch.arange(12))


@pytest.mark.parametrize("wired", [False, True])
def test_with_a_small_concentration_it_ends_where_another_iteration_moves_little(wired):
    documents, likelihoods, given = problem(3.0, length=40, n=20)
    above = given if wired else None
    found = explained(documents, likelihoods, 0.1, above).concentration
    start = 0.1 + documents.tokens[:, None].expand(-1, 5) / 5
    assert (bound(documents, likelihoods, found, 0.1, above) > bound(documents, likelihoods, start, 0.1, above)).all()
    for page in documents.pages(10_000, 5):
        z = None if above is None else above[page.rows]
        again = 0.1 + Reading.of(page, likelihoods).explained(expected_log(found[page.rows], z)).counts
        assert ((again - found[page.rows]).abs().mean(1) < 1e-3).all()


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
