"""The documents of a minibatch: how often each holds which word, and which of its words are not known for certain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from pgmgraph import Categorical, CategoricalPotential, Message, Point, SparsePoint


@dataclass(frozen=True)
class Classes:
    """A modality with another module's class for a word, inferred here together with its topic.

    Attributes:
        columns: the numbers of the classes among the words of all modalities.
        log_weights: (n, C), what the data below say of the class.
        tokens: (n,), how many of them a document has; 0 where nothing was observed below.
    """

    columns: slice
    log_weights: Tensor
    tokens: Tensor


@dataclass(frozen=True)
class Page:
    """Some of the documents, laid out side by side; one with fewer words than the longest repeats word 0, no times.

    Attributes:
        rows: (m,) int64, which of the documents.
        words, counts: (m, L), the words that a document holds, and how often it does.
        classes: by modality.
        tokens: (m,), the length of each document.
    """

    rows: Tensor
    words: Tensor
    counts: Tensor
    classes: Mapping[str, Classes]
    tokens: Tensor

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: Tensor) -> Page:
        """Some of these documents."""
        return Page(
            self.rows[rows],
            self.words[rows],
            self.counts[rows],
            {key: _part(one, rows) for key, one in self.classes.items()},
            self.tokens[rows],
        )


@dataclass(frozen=True)
class Documents:
    """n documents; the words of all modalities are numbered one after another.

    Attributes:
        counts: how often each holds which word, of those that it holds.
        classes: by modality, words that are weighed and not counted.
        tokens: (n,), the length of each document.
    """

    counts: SparsePoint
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
        width = max(place.stop for place in columns.values())
        counted: list[SparsePoint] = []
        classes: dict[str, Classes] = {}
        for key, message in mail.items():
            weight = weights.get(key, 1.0)
            if isinstance(message, CategoricalPotential):
                tokens = weight * (~message.missing_rows()).to(message.log_weights.dtype)
                classes[key] = Classes(columns[key], message.log_weights, tokens)
            else:
                counted.append(_numbered(expected_words(message), columns[key].start, width, weight))
        if not counted:
            counted = [_no_words(next(iter(classes.values())).log_weights, width)]
        counts = _side_by_side(counted)
        tokens = sum((one.tokens for one in classes.values()), _sums_of_rows(counts))
        return cls(counts, classes, tokens)

    def __len__(self) -> int:
        return len(self.counts)

    def pages(self, words: int, least: int) -> Iterator[Page]:
        """All documents, those of like length together, at most so many words to a page, and at least one document.

        Classes count for words too, and a document for `least` words at least.
        """
        lengths = self.counts.lengths + sum(one.log_weights.shape[1] for one in self.classes.values())
        lengths = lengths.clamp_min(least)
        order = lengths.argsort(stable=True)
        sorted_lengths = lengths[order].tolist()
        begin = 0
        for end in range(1, len(order) + 1):
            if end == len(order) or (end + 1 - begin) * sorted_lengths[end] > words:
                yield self._page(order[begin:end])
                begin = end

    def _page(self, rows: Tensor) -> Page:
        here = self.counts[rows]
        own = here.compact()
        lengths = own.lengths
        words = lengths.new_zeros(len(rows), int(lengths.amax()))
        counts = own.values.new_zeros(words.shape)
        places = torch.arange(words.shape[1], device=words.device) < lengths[:, None]
        words[places], counts[places] = own.columns.long(), own.values
        return Page(
            rows, words, counts, {key: _part(one, rows) for key, one in self.classes.items()}, self.tokens[rows]
        )


def expected_words(message: Message) -> SparsePoint:
    """How often each word occurs, nothing where a row is missing; of a potential, as if all were as frequent."""
    match message:
        case SparsePoint():
            return message  # cast already, and without entries where missing
        case Point():
            return SparsePoint.of(message)
        case Categorical():
            words = message.probs
        case _:
            assert isinstance(message, CategoricalPotential)
            words = torch.softmax(message.log_weights, 1)
    return SparsePoint.of(Point(words.masked_fill(message.missing_rows()[:, None], 0.0)))


def _part(classes: Classes, rows: Tensor) -> Classes:
    return Classes(classes.columns, classes.log_weights[rows], classes.tokens[rows])


def _numbered(counts: SparsePoint, first: int, width: int, weight: float) -> SparsePoint:
    """Counts of words that are numbered from `first` on."""
    return SparsePoint(counts.begins, counts.ends, counts.columns + first, counts.values * weight, width)


def _no_words(like: Tensor, width: int) -> SparsePoint:
    nothing = torch.zeros(len(like), dtype=torch.int64, device=like.device)
    return SparsePoint(nothing, nothing, nothing[:0], like.new_zeros(0), width)


def _side_by_side(parts: list[SparsePoint]) -> SparsePoint:
    """The rows of several, each row's entries one after another."""
    if len(parts) == 1:
        return parts[0].compact()
    own = [part.compact() for part in parts]
    order = torch.cat([part.rows() for part in own]).argsort(stable=True)
    lengths = torch.stack([part.lengths for part in own]).sum(0)
    ends = lengths.cumsum(0)
    columns, values = (torch.cat([getattr(part, name) for part in own])[order] for name in ("columns", "values"))
    return SparsePoint(ends - lengths, ends, columns, values, parts[0].width)


def _sums_of_rows(counts: SparsePoint) -> Tensor:
    return counts.values.new_zeros(len(counts)).index_add_(0, counts.rows(), counts.values)
