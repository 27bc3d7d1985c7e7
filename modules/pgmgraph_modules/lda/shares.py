"""The topics' shares in each document: the E step, and its part of the bound.

For a document with tokens of words v, each with a topic t, and its own topic z (see `LDA`), the belief is
q(z) q(theta | z) prod q(t | v), where q(theta | z) = Dirichlet(a + e_z). With p = q(z),

    E[log theta_k]  = digamma(a_k) + p_k / a_k - digamma(a_0) - 1 / a_0,    a_0 = sum_k a_k
    q(t = k | v)   ~= exp(E[log theta_k] + E[log phi_kv])
    a_k             = alpha + sum over tokens of q(t = k)

in turn. The sum of lgamma(a_k) + p_k log a_k is convex in the expected counts, and the step above maximises its
tangent plus the rest, so no step lowers the bound. The bound is concave in q(t) where n trigamma(alpha + n) <= 1
for every n > 0, which is so from alpha = 1/2 on: then it has one maximum, wherever one starts.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pgmgraph_modules.lda.documents import Documents
from pgmgraph_modules.lda.topics import dirichlet_divergence

_CYCLES = 500
_FARTHEST = 2.0
_STANDSTILL = 1e-11
_ROUNDING = 1e-13
_LARGEST = 1 - 1e-9
_TINY = 1e-300
_ELEMENTS = 2**22


class Likelihoods:
    """exp(E[log phi_kv]), each word's scaled so that its likeliest topic has 1: rare words do not underflow.

    Args:
        expected_log: E[log phi], (K, V).

    Attributes:
        scaled: (V, K).
        log_scale: (V,).
    """

    def __init__(self, expected_log: Tensor) -> None:
        self.log_scale = expected_log.amax(0)
        self.scaled = (expected_log - self.log_scale).exp().T.contiguous()


@dataclass(frozen=True)
class Explained:
    """Documents as the topics explain them.

    Attributes:
        counts: (n, L), how often each word occurs, classes as expected.
        log_shares: (n, L), log sum_k exp(E[log theta_k] + E[log phi_kv]), the bound that one token adds.
        shares: (n, L), their exponentials, up to a factor for each document and for each word.
        topics: (n, K), exp(E[log theta]), up to a factor for each document.
    """

    counts: Tensor
    log_shares: Tensor
    shares: Tensor
    topics: Tensor

    def topic_counts(self, gathered: Tensor) -> Tensor:
        """The expected number of each topic's tokens, (n, K), with the scaled likelihoods of the words, (n, L, K)."""
        return self.topics * torch.bmm((self.counts / self.shares)[:, None], gathered)[:, 0]

    def topic_covariance(self, documents: Documents, gathered: Tensor) -> Tensor:
        """The covariance of a token's topic, one of K, summed over the tokens of a document, (n, K, K)."""
        given_word = gathered * self.topics[:, None] / self.shares[:, :, None]
        known, covariance = self.counts.clone(), self.topic_counts(gathered).diag_embed()
        for one in documents.classes.values():
            known[:, one.places] = 0.0
            mean = torch.bmm(self.counts[:, None, one.places], given_word[:, one.places])
            covariance -= mean.mT * mean / one.tokens.clamp_min(_TINY)[:, None, None]
        return covariance - given_word.mT @ (known[:, :, None] * given_word)

    def sums(self, documents: Documents, likelihoods: Likelihoods) -> Tensor:
        """The expected number of each topic's words, (K, V)."""
        spread = self.shares.new_zeros(len(documents), len(likelihoods.scaled))
        spread.scatter_add_(1, documents.words, self.counts / self.shares)
        return (self.topics.T @ spread) * likelihoods.scaled.T


def settled(documents: Documents, likelihoods: Likelihoods, prior: float, above: Tensor | None) -> Tensor:
    """a, (n, K), where the E step stands still, always from the same start.

    Args:
        documents: n documents.
        likelihoods: of K topics.
        prior: alpha.
        above: q(z), (n, K); None where z is summed out.
    """
    k = likelihoods.scaled.shape[1]
    result = prior + documents.tokens[:, None].expand(-1, k) / k
    for rows in documents.split(_ELEMENTS // k):
        result[rows] = _settled(
            documents[rows], likelihoods, prior, result[rows], None if above is None else above[rows]
        )
    return result


def explained(documents: Documents, likelihoods: Likelihoods, concentration: Tensor, above: Tensor | None) -> Explained:
    """The documents given a, (n, K); see `settled`."""
    parts = []
    for rows in documents.split(_ELEMENTS // concentration.shape[1]):
        part = documents[rows]
        expected = expected_log(concentration[rows], None if above is None else above[rows])
        parts.append(_explained(part, likelihoods, likelihoods.scaled[part.words], expected))
    return Explained(*(torch.cat([getattr(one, name) for one in parts]) for name in Explained.__annotations__))


def expected_log(concentration: Tensor, above: Tensor | None) -> Tensor:
    """E[log theta], (n, K)."""
    total = concentration.sum(1, keepdim=True)
    logs = torch.digamma(concentration) - torch.digamma(total)
    return logs if above is None else logs + above / concentration - 1 / total


def divergence(concentration: Tensor, prior: float, above: Tensor | None) -> Tensor:
    """E_q(z) KL(q(theta | z) || p(theta | z)), (n,); of q(theta) where z is summed out."""
    plain = dirichlet_divergence(concentration, prior)
    if above is None:
        return plain
    k = concentration.shape[1]
    total = concentration.sum(1, keepdim=True)
    # What a token of topic z adds to both sides' concentrations.
    log_means = (above * (concentration.log() - total.log())).sum(1)
    shifted = ((concentration - prior) * (above / concentration - 1 / total)).sum(1)
    return plain - log_means - torch.log(total.new_tensor(k)) + shifted


def _settled(
    documents: Documents, likelihoods: Likelihoods, prior: float, start: Tensor, above: Tensor | None
) -> Tensor:
    """An iteration, Newton's step from it if that does not lower the bound, and another iteration, again and again.

    It ends where the gain that Newton's step promises is lost in rounding: where topics are alike, iterations move so
    little, far from the maximum, that their size tells nothing.
    """
    result, now, gathered = start.clone(), start, likelihoods.scaled[documents.words]
    moving = torch.arange(len(start), device=start.device)
    farthest = start.new_full((len(start), 1), _FARTHEST)
    for _ in range(_CYCLES):
        found = _explained(documents, likelihoods, gathered, expected_log(now, above))
        bound = documents.evidence(found.log_shares) - divergence(now, prior, above)
        plain = found.topic_counts(gathered)
        slope = torch.polygamma(1, now) - (0.0 if above is None else above / now.square())
        ratios, gain = _newton(found.topic_covariance(documents, gathered), now - prior, plain, slope)
        shorter = (farthest / ratios.abs().amax(1, keepdim=True).clamp_min(_TINY)).clamp_max(1.0)
        bold = plain * (shorter * ratios).exp()
        bold = prior + bold * (documents.tokens / bold.sum(1).clamp_min(_TINY))[:, None]
        found = _explained(documents, likelihoods, gathered, expected_log(bold, above))
        bold_bound = documents.evidence(found.log_shares) - divergence(bold, prior, above)
        better = (bold_bound >= bound - _ROUNDING * bound.abs())[:, None]
        now = prior + torch.where(better, found.topic_counts(gathered), plain)
        farthest = torch.where(better, 2.0 * farthest, 0.25 * farthest).clamp_max(_FARTHEST)
        result[moving] = now
        left = (gain > _STANDSTILL * (1 + bound.abs())).nonzero().flatten()
        if not len(left):
            break
        if len(left) < len(moving):
            moving, now, gathered, documents = moving[left], now[left], gathered[left], documents[left]
            farthest, above = farthest[left], None if above is None else above[left]
    return result


def _newton(covariance: Tensor, counts: Tensor, plain: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
    """Newton's step for counts = plain(counts), in logarithms, where counts stay positive.

    With C the topics' covariance and s the derivative of E[log theta] by the counts, C diag(s) is the Jacobian, and
    1 - s^(1/2) C s^(1/2) is positive definite where the bound is concave.

    Args:
        covariance: C, (n, K, K).
        counts: (n, K).
        plain: (n, K), what an iteration makes of them.
        slope: s, (n, K).

    Returns:
        Where it leads to, as logarithms of ratios to `plain`, (n, K), and the gain in the bound that it promises, (n,).
        Where the bound is not concave: `plain` itself, and the size of the iteration's step.
    """
    before, after = counts.clamp_min(_TINY), plain.clamp_min(_TINY)
    # s n < 1 where the bound is concave. Elsewhere the step is no longer Newton's, and still leads upwards.
    slope = torch.minimum(slope, _LARGEST / before)
    # Of the old counts' size, away from the maximum too: s times the new ones may exceed 1.
    root = (slope * before / after).sqrt()
    identity = torch.eye(counts.shape[1], dtype=counts.dtype, device=counts.device)
    factor, failed = torch.linalg.cholesky_ex(identity - root[:, :, None] * covariance * root[:, None, :])
    log_ratio = (after / before).log()
    unit = slope.sqrt() * before
    solved = torch.cholesky_solve((unit * log_ratio)[:, :, None], factor)[:, :, 0]
    ratios, gain = solved / unit - log_ratio, (unit * log_ratio * solved).sum(1)
    usable = (failed == 0) & torch.isfinite(ratios).all(1) & torch.isfinite(gain)
    return torch.where(usable[:, None], ratios, 0.0), torch.where(usable, gain, (plain - counts).abs().amax(1))


def _explained(documents: Documents, likelihoods: Likelihoods, gathered: Tensor, expected: Tensor) -> Explained:
    most = expected.amax(1, keepdim=True)
    topics = (expected - most).exp()
    shares = torch.bmm(gathered, topics[:, :, None])[:, :, 0]
    log_shares = shares.log() + likelihoods.log_scale[documents.words] + most
    return Explained(documents.filled(log_shares), log_shares, shares, topics)
