"""A page of documents as the topics explain it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from pgmgraph_modules.lda.documents import Page

TINY = 1e-300


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
    """A page given E[log theta], (m, K).

    Attributes:
        topics: (m, K), exp(E[log theta]), up to a factor for each document.
        log_factors: (m,), the logarithms of these.
        shares: (m, L), sum_k exp(E[log theta_k] + E[log phi_kv]), up to a factor for each document and for each word.
        logits: by modality, log q(c), (m, C), up to a constant for each document.
        counts: (m, K), the expected number of each topic's tokens.
        class_counts: by modality, (m, K), as many of them as are classes.
    """

    topics: Tensor
    log_factors: Tensor
    shares: Tensor
    logits: Mapping[str, Tensor]
    counts: Tensor
    class_counts: Mapping[str, Tensor]


@dataclass(frozen=True)
class Reading:
    """A page, with the likelihoods of its words beside them.

    Attributes:
        page: m documents.
        likelihoods: of all words.
        gathered: (m, L, K), the scaled ones of the words at each place.
        log_scale: (m,), what was scaled away, summed over the tokens.
    """

    page: Page
    likelihoods: Likelihoods
    gathered: Tensor
    log_scale: Tensor

    @classmethod
    def of(cls, page: Page, likelihoods: Likelihoods) -> Reading:
        """Look the words up."""
        gathered = torch.nn.functional.embedding(page.words, likelihoods.scaled)
        return cls(page, likelihoods, gathered, (page.counts * likelihoods.log_scale[page.words]).sum(1))

    def __len__(self) -> int:
        return len(self.page)

    def __getitem__(self, rows: Tensor) -> Reading:
        """Some of the documents."""
        return Reading(self.page[rows], self.likelihoods, self.gathered[rows], self.log_scale[rows])

    def explained(self, expected: Tensor) -> Explained:
        """The documents given E[log theta], (m, K)."""
        most = expected.amax(1, keepdim=True)
        topics = (expected - most).exp()
        # A row times a matrix, not a matrix times a column: with few topics that takes a third of the time.
        shares = torch.bmm(topics[:, None], self.gathered.mT)[:, 0]
        counts = torch.bmm((self.page.counts / shares)[:, None], self.gathered)[:, 0]
        logits, class_counts = {}, {}
        for key, one in self.page.classes.items():
            scaled = self.likelihoods.scaled[one.columns]
            of_classes = topics @ scaled.T
            logits[key] = one.log_weights + of_classes.log() + self.likelihoods.log_scale[one.columns]
            expected_classes = one.tokens[:, None] * torch.softmax(logits[key], 1)
            class_counts[key] = topics * ((expected_classes / of_classes) @ scaled)
        counts = sum(class_counts.values(), topics * counts)
        return Explained(topics, most[:, 0], shares, logits, counts, class_counts)

    def evidence(self, found: Explained) -> Tensor:
        """The bound that the tokens add, (m,)."""
        total = (self.page.counts * found.shares.log()).sum(1) + self.log_scale + self.page.tokens * found.log_factors
        for key, one in self.page.classes.items():
            total = total + one.tokens * torch.logsumexp(found.logits[key], 1)
        return total

    def covariance(self, found: Explained) -> Tensor:
        """The covariance of a token's topic, one of K, summed over the tokens of a document, (m, K, K)."""
        given_word = self.gathered * (found.topics[:, None] / found.shares[:, :, None])
        covariance = found.counts.diag_embed() - given_word.mT @ (self.page.counts[:, :, None] * given_word)
        for key, one in self.page.classes.items():
            mean = found.class_counts[key]
            covariance -= mean[:, :, None] * (mean / one.tokens.clamp_min(TINY)[:, None])[:, None]
        return covariance

    def add_sums(self, sums: Tensor, found: Explained) -> None:
        """Add the expected number of each topic's words, scaled, to sums, (V, K)."""
        given_word = (self.page.counts / found.shares)[:, :, None] * found.topics[:, None]
        sums.index_add_(0, self.page.words.flatten(), given_word.flatten(0, 1))
        for key, one in self.page.classes.items():
            of_classes = found.topics @ self.likelihoods.scaled[one.columns].T
            expected_classes = one.tokens[:, None] * torch.softmax(found.logits[key], 1)
            sums[one.columns] += (expected_classes / of_classes).T @ found.topics
