"""The documents of a minibatch: how often each holds which word, and which of its words are not known for certain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pgmgraph import Categorical, CategoricalPotential, Message, Point


@dataclass(frozen=True)
class Classes:
    """A modality with another module's class for a word, inferred here together with its topic.

    Attributes:
        places: where the classes stand among the places of a document.
        log_weights: (n, C), what the data below say of the class.
        tokens: (n,), how many of them a document has; 0 where nothing was observed below.
    """

    places: slice
    log_weights: Tensor
    tokens: Tensor


@dataclass(frozen=True)
class Documents:
    """n documents of at most L different words; the words of all modalities are numbered one after another.

    Attributes:
        words: (n, L) int64, the word at each place; a document that needs fewer places repeats word 0.
        counts: (n, L), how often it occurs; 0 at the places of classes.
        classes: by modality, words that are weighed and not counted.
        tokens: (n,), the length of each document.
    """

    words: Tensor
    counts: Tensor
    classes: Mapping[str, Classes]
    tokens: Tensor

    @classmethod
    def of(cls, mail: Mapping[str, Message], columns: Mapping[str, slice], weights: Mapping[str, float]) -> Documents:
        """What lies at the ports: points and beliefs are counts of words, potentials are classes.

        Args:
            mail: the messages by modality, events of shape (V_m,).
            columns: the numbers of each modality's words.
            weights: by modality, what its tokens are multiplied by; 1 where it is not named.
        """
        mail = {key: mail[key] for key in columns if key in mail}  # in the order of the words' numbers
        first = next(iter(mail.values()))
        # An observed word's place is found once, for all iterations; most documents lack most words.
        known = torch.zeros(len(first), max(place.stop for place in columns.values()), dtype=torch.float64)
        known = known.to(first.device)
        for key, message in mail.items():
            if not isinstance(message, CategoricalPotential):
                known[:, columns[key]] = weights.get(key, 1.0) * expected_words(message)
        words, counts = _packed(known)
        classes: dict[str, Classes] = {}
        for key, message in mail.items():
            if isinstance(message, CategoricalPotential):
                numbers = torch.arange(columns[key].start, columns[key].stop, device=words.device)
                places = slice(words.shape[1], words.shape[1] + len(numbers))
                tokens = weights.get(key, 1.0) * (~message.missing_rows()).to(counts.dtype)
                classes[key] = Classes(places, message.log_weights, tokens)
                words = torch.cat([words, numbers.expand(len(words), -1)], 1)
                counts = torch.nn.functional.pad(counts, (0, len(numbers)))
        tokens = sum((one.tokens for one in classes.values()), counts.sum(1))
        return cls(words, counts, classes, tokens)

    def __len__(self) -> int:
        return len(self.words)

    def __getitem__(self, rows: Tensor) -> Documents:
        """Some of the documents."""
        classes = {
            key: replace(one, log_weights=one.log_weights[rows], tokens=one.tokens[rows])
            for key, one in self.classes.items()
        }
        return Documents(self.words[rows], self.counts[rows], classes, self.tokens[rows])

    def split(self, elements: int) -> list[Tensor]:
        """The rows of all documents, in parts of at most `elements` places, and at least one document."""
        rows = torch.arange(len(self), device=self.words.device)
        return list(rows.split(max(1, elements // max(1, self.words.shape[1]))))

    def evidence(self, log_shares: Tensor) -> Tensor:
        """The bound that the tokens add, (n,), given what one token of each word adds, (n, L)."""
        total = (self.counts * log_shares).sum(1)
        for one in self.classes.values():
            total = total + one.tokens * torch.logsumexp(one.log_weights + log_shares[:, one.places], 1)
        return total

    def filled(self, log_shares: Tensor) -> Tensor:
        """How often each word occurs, (n, L), classes as expected where (n, L) is their log-probability so far."""
        if not self.classes:
            return self.counts
        counts = self.counts.clone()
        for one in self.classes.values():
            expected = torch.softmax(one.log_weights + log_shares[:, one.places], 1)
            counts[:, one.places] = one.tokens[:, None] * expected
        return counts


def expected_words(message: Message) -> Tensor:
    """How often each word occurs, (n, V_m), zero where a row is missing; of a potential, as if all were as frequent."""
    match message:
        case Point():
            return message.value  # cast already, and zero where missing
        case Categorical():
            words = message.probs
        case _:
            assert isinstance(message, CategoricalPotential)
            words = torch.softmax(message.log_weights, 1)
    return words.masked_fill(message.missing_rows()[:, None], 0.0)


def _packed(counts: Tensor) -> tuple[Tensor, Tensor]:
    """The words that occur in each row and how often, (n, L) each; L is the most that any row has."""
    rows, columns = counts.nonzero(as_tuple=True)
    different = torch.bincount(rows, minlength=len(counts))
    most = int(different.max()) if len(different) else 0
    places = torch.arange(len(rows), device=rows.device) - (different.cumsum(0) - different)[rows]
    words = columns.new_zeros(len(counts), most)
    words[rows, places] = columns
    packed = counts.new_zeros(len(counts), most)
    packed[rows, places] = counts[rows, columns]
    return words, packed
