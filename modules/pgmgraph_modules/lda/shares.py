"""The topics' shares in each document: the E step, and its part of the bound.

For a document with tokens of words v, each with a topic t, and its own topic z (see `LDA`), the belief is
q(z) q(theta | z) prod q(t | v), where q(theta | z) = Dirichlet(a + e_z). With p = q(z),

    E[log theta_k]  = digamma(a_k) + p_k / a_k - digamma(a_0) - 1 / a_0,    a_0 = sum_k a_k
    q(t = k | v)   ~= exp(E[log theta_k] + E[log phi_kv])
    a_k             = alpha + sum over tokens of q(t = k)

in turn. The sum of lgamma(a_k) + p_k log a_k is convex in the expected counts, and the step above maximises its
tangent plus the rest, so no step lowers the bound. The bound is concave in q(t) where n trigamma(alpha + n) <= 1
for every n > 0, which is so from alpha = 1/2 on: then it has one maximum, wherever one starts, and the E step goes
there. With a smaller alpha there may be several, and it ends as soon as iterations move little.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from pgmgraph_modules.lda.documents import Documents
from pgmgraph_modules.lda.pages import TINY, Explained, Likelihoods, Reading

CONCAVE_FROM = 0.5
_CYCLES = 500
_CYCLES_BEFORE = 50
_MOVES_LITTLE = 1e-3
_NEAR = 1e-5
_LONGEST = 64.0
_FARTHEST = 2.0
_STANDSTILL = 1e-11
_ROUNDING = 1e-13
_LARGEST = 1 - 1e-9
_STILL_OPEN = 0.75
_ELEMENTS_IN_CACHE = 2**19
_ELEMENTS = 2**22


@dataclass(frozen=True)
class Shares:
    """Documents as the topics explain them.

    Attributes:
        concentration: a, (n, K).
        evidence: (n,), the bound that the tokens add.
        classes: by modality, q(c), (n, C).
        sums: (K, V), the expected number of each topic's words, where they were asked for.
    """

    concentration: Tensor
    evidence: Tensor
    classes: Mapping[str, Tensor]
    sums: Tensor | None


def explained(
    documents: Documents,
    likelihoods: Likelihoods,
    prior: float,
    above: Tensor | None,
    concentration: Tensor | None = None,
    summed: bool = False,
) -> Shares:
    """The E step.

    Args:
        documents: n documents.
        likelihoods: of K topics.
        prior: alpha.
        above: q(z), (n, K); None where z is summed out.
        concentration: a, (n, K), where it is known; otherwise where the E step ends, always from the same start.
        summed: whether the topics' words are wanted.
    """
    n, k = len(documents), likelihoods.scaled.shape[1]
    result = likelihoods.scaled.new_zeros(n, k) if concentration is None else concentration
    evidence = likelihoods.scaled.new_zeros(n)
    classes = {key: one.log_weights.clone() for key, one in documents.classes.items()}
    sums = torch.zeros_like(likelihoods.scaled) if summed else None
    elements = _ELEMENTS_IN_CACHE if result.device.type == "cpu" else _ELEMENTS
    for page in documents.pages(elements // k, k):
        reading, z = Reading.of(page, likelihoods), None if above is None else above[page.rows]
        if concentration is None:
            result[page.rows] = _settled(reading, prior, z)
        found = reading.explained(expected_log(result[page.rows], z))
        if sums is not None:
            reading.add_sums(sums, found)
        evidence[page.rows] = reading.evidence(found)
        for key, logits in found.logits.items():
            classes[key][page.rows] = torch.softmax(logits, 1)
    return Shares(result, evidence, classes, None if sums is None else (sums * likelihoods.scaled).T)


def expected_log(concentration: Tensor, above: Tensor | None) -> Tensor:
    """E[log theta], (n, K)."""
    total = concentration.sum(1, keepdim=True)
    logs = torch.digamma(concentration) - torch.digamma(total)
    return logs if above is None else logs + above / concentration - 1 / total


def divergence(concentration: Tensor, prior: float, above: Tensor | None, expected: Tensor | None = None) -> Tensor:
    """E_q(z) KL(q(theta | z) || p(theta | z)), (n,); of q(theta) where z is summed out.

    Args:
        concentration: a, (n, K).
        prior: alpha.
        above: q(z), (n, K); None where z is summed out.
        expected: E[log theta], (n, K), where it is known.
    """
    logs = expected_log(concentration, above) if expected is None else expected
    k, total = concentration.shape[1], concentration.sum(1)
    normalisers = torch.lgamma(total) - torch.lgamma(concentration).sum(1)
    of_prior = math.lgamma(k * prior) - k * math.lgamma(prior)
    plain = normalisers - of_prior + ((concentration - prior) * logs).sum(1)
    if above is None:
        return plain
    # What a token of topic z adds to both sides' concentrations.
    return plain - (above * (concentration / total[:, None]).log()).sum(1) - math.log(k)


def _settled(reading: Reading, prior: float, above: Tensor | None) -> Tensor:
    tokens, k = reading.page.tokens, reading.likelihoods.scaled.shape[1]
    start = prior + tokens[:, None].expand(-1, k) / k
    if prior < CONCAVE_FROM:
        return _extrapolated(reading, prior, start, above, _MOVES_LITTLE)
    # Newton's steps are dear: they are for the last digits, and for where iterations hardly move.
    return _at_rest(reading, prior, _extrapolated(reading, prior, start, above, _NEAR), above)


def _extrapolated(reading: Reading, prior: float, start: Tensor, above: Tensor | None, little: float) -> Tensor:
    """Two iterations and a leap along them, again and again, until iterations move by `little`: SQUAREM.

    The leap is taken in roots of the concentrations, in which the iteration's Jacobian is nearly symmetric. Where it
    leads to a lower bound, its two iterations are kept instead. Varadhan and Roland (2008), scheme S3.
    """
    result, now, kept = start.clone(), start, start
    moving, still_open = torch.arange(len(start), device=start.device), start.new_ones(len(start), dtype=torch.bool)
    highest = start.new_full((len(start),), -torch.inf)
    for _ in range(_CYCLES_BEFORE):
        expected = expected_log(now, above)
        found = reading.explained(expected)
        bound = reading.evidence(found) - divergence(now, prior, above, expected)
        good = bound >= highest - _ROUNDING * bound.abs()
        highest = torch.where(good, bound, highest)
        first = torch.where(good[:, None], prior + found.counts, kept)
        kept = prior + reading.explained(expected_log(first, above)).counts
        result[moving[still_open]] = kept[still_open]
        still_open &= (kept - first).abs().mean(1) > little
        left = still_open.nonzero().flatten()
        if not len(left):
            break
        leap = _leap(now, first, kept, good).square().clamp_min(prior) - prior
        now = prior + leap * (reading.page.tokens / leap.sum(1).clamp_min(TINY))[:, None]
        if len(left) < _STILL_OPEN * len(moving):
            reading, moving, still_open = reading[left], moving[left], still_open[left]
            now, kept, highest = now[left], kept[left], highest[left]
            above = None if above is None else above[left]
    return result


def _leap(now: Tensor, first: Tensor, second: Tensor, good: Tensor) -> Tensor:
    """Where two iterations lead, if the second is to the first as the first to `now`; the second where not good."""
    root, middle, end = now.sqrt(), first.sqrt(), second.sqrt()
    step = middle - root
    bend = end - middle - step
    length = step.norm(dim=1) / bend.norm(dim=1).clamp_min(TINY)
    length = torch.where(good, length, 1.0).clamp(1.0, _LONGEST)[:, None]
    return root + 2 * length * step + length.square() * bend


def _at_rest(reading: Reading, prior: float, start: Tensor, above: Tensor | None) -> Tensor:
    """An iteration, Newton's step from it if that does not lower the bound, and another iteration, again and again.

    It ends where the gain that Newton's step promises is lost in rounding: where topics are alike, iterations move so
    little, far from the maximum, that their size tells nothing.
    """
    result, now = start.clone(), start
    moving = torch.arange(len(start), device=start.device)
    farthest = start.new_full((len(start), 1), _FARTHEST)
    for _ in range(_CYCLES):
        expected = expected_log(now, above)
        found = reading.explained(expected)
        bound = reading.evidence(found) - divergence(now, prior, above, expected)
        bold, gain = _newton(reading, found, now, prior, above, farthest)
        expected = expected_log(bold, above)
        there = reading.explained(expected)
        better = reading.evidence(there) - divergence(bold, prior, above, expected) >= bound - _ROUNDING * bound.abs()
        now = prior + torch.where(better[:, None], there.counts, found.counts)
        farthest = torch.where(better[:, None], 2.0 * farthest, 0.25 * farthest).clamp_max(_FARTHEST)
        result[moving] = now
        left = (gain > _STANDSTILL * (1 + bound.abs())).nonzero().flatten()
        if not len(left):
            break
        if len(left) < len(moving):
            reading, moving, now, farthest = reading[left], moving[left], now[left], farthest[left]
            above = None if above is None else above[left]
    return result


def _newton(
    reading: Reading, found: Explained, now: Tensor, prior: float, above: Tensor | None, farthest: Tensor
) -> tuple[Tensor, Tensor]:
    """Newton's step for counts = found.counts(counts), in logarithms, where counts stay positive.

    With C the topics' covariance and s the derivative of E[log theta] by the counts, C diag(s) is the Jacobian, and
    1 - s^(1/2) C s^(1/2) is positive definite where the bound is concave.

    Returns:
        The concentration that it leads to, (m, K), no logarithm more than `farthest` from the iteration's, and the gain
        in the bound that it promises, (m,). Where the bound is not concave: that of the iteration, and its size.
    """
    counts, plain = now - prior, found.counts
    before, after = counts.clamp_min(TINY), plain.clamp_min(TINY)
    slope = torch.polygamma(1, now) - (0.0 if above is None else above / now.square())
    # s n < 1 where the bound is concave. Elsewhere the step is no longer Newton's, and still leads upwards.
    slope = torch.minimum(slope, _LARGEST / before)
    # Of the old counts' size, away from the maximum too: s times the new ones may exceed 1.
    root = (slope * before / after).sqrt()
    identity = torch.eye(counts.shape[1], dtype=counts.dtype, device=counts.device)
    factor, failed = torch.linalg.cholesky_ex(identity - root[:, :, None] * reading.covariance(found) * root[:, None])
    log_ratio = (after / before).log()
    unit = slope.sqrt() * before
    solved = torch.cholesky_solve((unit * log_ratio)[:, :, None], factor)[:, :, 0]
    ratios, gain = solved / unit - log_ratio, (unit * log_ratio * solved).sum(1)
    usable = (failed == 0) & torch.isfinite(ratios).all(1) & torch.isfinite(gain)
    ratios = torch.where(usable[:, None], ratios, 0.0)
    shorter = (farthest / ratios.abs().amax(1, keepdim=True).clamp_min(TINY)).clamp_max(1.0)
    bold = plain * (shorter * ratios).exp()
    bold = prior + bold * (reading.page.tokens / bold.sum(1).clamp_min(TINY))[:, None]
    return bold, torch.where(usable, gain, (plain - counts).abs().amax(1))
