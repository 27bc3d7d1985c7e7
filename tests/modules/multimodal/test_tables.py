"""Tables of words and of classes: their shares in the bound, against enumeration and automatic differentiation."""

import pytest
import torch

from pgmgraph import CategoricalPotential, Point
from pgmgraph_modules.multimodal.tables import Classes, Words

torch.manual_seed(0)
N, C, K = 4, 3, 5
MISSING = torch.tensor([False, True, False, False])
CLASSES = Classes(0.5 + torch.rand(C, K, dtype=torch.float64) * 9, 0.7)
LAMBDA = torch.randn(N, K, dtype=torch.float64)
PROBS = torch.softmax(torch.randn(N, C, dtype=torch.float64), 1)


def test_classes_are_summed_out_exactly():
    logs = torch.digamma(CLASSES.concentration) - torch.digamma(CLASSES.concentration.sum(1, keepdim=True))
    found = CLASSES.log_likelihoods(CategoricalPotential(LAMBDA))
    for n in range(N):
        for c in range(C):
            expected = torch.log(sum(torch.exp(logs[c, k] + LAMBDA[n, k]) for k in range(K)))
            assert float(found[n, c]) == pytest.approx(float(expected), abs=1e-12)


def test_the_belief_sent_is_the_derivative_of_the_log_evidence():
    log_lambda = LAMBDA.clone().requires_grad_()
    evidence = (PROBS.log() + CLASSES.log_likelihoods(CategoricalPotential(log_lambda))).logsumexp(1).sum()
    [slope] = torch.autograd.grad(evidence, log_lambda)
    posterior = torch.softmax(PROBS.log() + CLASSES.log_likelihoods(CategoricalPotential(LAMBDA)), 1)
    torch.testing.assert_close(CLASSES.belief(CategoricalPotential(LAMBDA), posterior).probs, slope, rtol=0, atol=1e-12)


def test_sums_of_pairs_are_the_derivative_of_the_bound_by_the_table():
    message = CategoricalPotential(LAMBDA, missing=MISSING)
    logs = CLASSES.expected_log().requires_grad_()
    evidence = torch.logsumexp(logs + LAMBDA[:, None, :], 2)
    [slope] = torch.autograd.grad((PROBS * evidence)[~MISSING].sum(), logs)
    torch.testing.assert_close(CLASSES.sums(message, PROBS), slope, rtol=0, atol=1e-12)


def test_the_terms_in_the_belief_are_the_expected_log_table_and_the_conditional_entropy():
    belief = CLASSES.belief(CategoricalPotential(LAMBDA), PROBS)
    conditional = torch.softmax(CLASSES.expected_log() + LAMBDA[:, None, :], 2)
    inner = conditional * (CLASSES.expected_log() - conditional.log())
    expected = (PROBS[:, :, None] * inner).sum((1, 2))
    torch.testing.assert_close((PROBS * belief.evidence).sum(1) - belief.counted, expected, rtol=0, atol=1e-12)


def test_a_missing_class_is_predicted_and_says_nothing():
    message = CategoricalPotential(LAMBDA, missing=MISSING)
    belief = CLASSES.belief(message, PROBS)
    assert not CLASSES.log_likelihoods(message)[1].any()
    assert not belief.evidence[1].any()
    assert belief.counted[1] == 0
    torch.testing.assert_close(belief.probs[1], PROBS[1] @ CLASSES.mean())
    assert belief.missing is MISSING


def test_impossible_classes_stay_impossible():
    certain = torch.nn.functional.one_hot(torch.tensor([2, 0, 4, 1]), K).double().log()
    belief = CLASSES.belief(CategoricalPotential(certain), PROBS)
    assert torch.equal(belief.probs, certain.exp())
    assert torch.isfinite(belief.evidence).all()
    assert not belief.counted.any()


def test_words_count_once_each_and_missing_rows_not_at_all():
    words = Words(1 + torch.rand(C, K, dtype=torch.float64), 1.0, 3.0)
    counts = torch.randint(4, (N, K)).double()
    message = Point(counts, missing=MISSING)
    found = words.log_likelihoods(message)
    for n in (0, 2, 3):
        expected = sum(counts[n, v] * words.expected_log()[:, v] for v in range(K))
        torch.testing.assert_close(found[n], expected)
    assert not found[1].any()
    torch.testing.assert_close(words.sums(message, PROBS), PROBS[~MISSING].T @ counts[~MISSING])


def test_a_table_follows_its_sums_and_comes_back_from_its_state():
    sums = torch.rand(C, K, dtype=torch.float64)
    updated = CLASSES.updated(sums)
    torch.testing.assert_close(updated.concentration, 0.7 + sums)
    torch.testing.assert_close(updated.mean().sum(1), torch.ones(C, dtype=torch.float64))
    again = Classes.of_state(updated.state())
    assert again.prior == 0.7
    assert torch.equal(again.concentration, updated.concentration)


def test_its_divergence_is_that_of_torch():
    dirichlet = torch.distributions.Dirichlet
    prior = dirichlet(torch.full((C, K), 0.7, dtype=torch.float64))
    expected = torch.distributions.kl_divergence(dirichlet(CLASSES.concentration), prior).sum()
    torch.testing.assert_close(CLASSES.divergence(), expected)
