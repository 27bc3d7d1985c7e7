"""Forward-backward against the sum over all paths."""

import pytest
import torch

from pgmgraph_modules.hmm.smoothing import smooth
from tests.modules.hmm.paths import all_paths, log_joint


def drawn(states, lengths, seed=0, scale=3.0):
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    # Log-parameters that are no logarithms of distributions: variational Bayes has none either.
    return scale * draw(sum(lengths), states), torch.tensor(lengths), draw(states) - 1, draw(states, states) - 1


def summed(evidence, lengths, log_start, log_transition):
    """Log Z and the summed pairs and starts, by enumeration, differentiable in everything."""
    parts = evidence.split(lengths.tolist())
    return sum(
        log_joint(all_paths(len(log_start), len(part)), part, log_start, log_transition).logsumexp(0) for part in parts
    )


@pytest.mark.parametrize("states", [1, 2, 4])
@pytest.mark.parametrize("lengths", [[1], [5], [1, 4, 2, 4, 3]])
def test_it_is_the_sum_over_all_paths(states, lengths):
    evidence, lengths, log_start, log_transition = drawn(states, lengths, seed=states)
    found = smooth(evidence, lengths, log_start, log_transition)
    parameters = [one.clone().requires_grad_() for one in (evidence, log_start, log_transition)]
    log_z = summed(parameters[0], lengths, *parameters[1:])
    # The derivatives of log Z are the marginals of the states, and the expected counts.
    log_z.backward()
    for value, parameter in zip((found.probs, found.starts, found.transitions), parameters, strict=True):
        torch.testing.assert_close(value, parameter.grad, rtol=0, atol=1e-10)
    bound = found.coupling.sum() + (found.probs * evidence).sum()
    assert float(bound) == pytest.approx(float(log_z.detach()), abs=1e-8)


def test_states_may_be_impossible_and_rows_far_from_all_states():
    evidence, lengths, log_start, log_transition = drawn(3, [4, 2])
    evidence[1, 0] = evidence[5, 2] = -torch.inf
    evidence[2] -= 1e9
    found = smooth(evidence, lengths, log_start, log_transition)
    near = evidence.clone()
    near[2] += 1e9
    expected = smooth(near, lengths, log_start, log_transition)
    assert found.probs[1, 0] == found.probs[5, 2] == 0
    torch.testing.assert_close(found.probs, expected.probs, rtol=0, atol=1e-6)
    assert torch.isfinite(found.coupling).all()


def test_long_sequences_keep_their_norm_and_their_digits():
    length = 3_000
    evidence, lengths, log_start, log_transition = drawn(4, [length], scale=20.0)
    found = smooth(evidence, lengths, log_start, log_transition)
    torch.testing.assert_close(found.probs.sum(1), torch.ones(length, dtype=torch.float64), rtol=0, atol=1e-10)
    # The other way round, it is the same chain with its transitions turned.
    turned = smooth(evidence.flip(0), lengths, torch.zeros_like(log_start), log_transition.T)
    still = smooth(evidence, lengths, torch.zeros_like(log_start), log_transition)
    torch.testing.assert_close(turned.probs.flip(0), still.probs, rtol=0, atol=1e-10)
    torch.testing.assert_close(turned.transitions.T, still.transitions, rtol=0, atol=1e-9)
    assert float(turned.coupling.sum()) == pytest.approx(float(still.coupling.sum()), rel=1e-12)


def test_sequences_are_smoothed_each_by_itself():
    evidence, lengths, *parameters = drawn(3, [3, 1, 7, 2])
    whole = smooth(evidence, lengths, *parameters)
    alone = [smooth(part, torch.tensor([len(part)]), *parameters) for part in evidence.split(lengths.tolist())]
    torch.testing.assert_close(whole.probs, torch.cat([one.probs for one in alone]), rtol=0, atol=1e-14)
    torch.testing.assert_close(whole.coupling, torch.cat([one.coupling for one in alone]), rtol=0, atol=1e-12)
    torch.testing.assert_close(whole.transitions, sum(one.transitions for one in alone), rtol=0, atol=1e-13)
