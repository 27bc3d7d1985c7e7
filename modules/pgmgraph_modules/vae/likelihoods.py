"""The likelihoods of a VAE: what its decoder's output says of an observed event."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from pyro import distributions as dist
from torch import Tensor, nn
from torch.distributions import constraints

from pgmgraph import Batches, Point
from pgmgraph.errors import ShapeError
from pgmgraph_modules.svi.parts import summed_over_parts

Shape = tuple[int, ...]

_ITEMS_AT_ONCE = 2_048


class Likelihood(ABC):
    """p(x | z) as a distribution of events, given what the decoder makes of z.

    Args:
        event_shape: of x.

    Attributes:
        support: the interval that values must lie in; None where any will do.
        hidden_decoder: whether the decoder that a VAE makes for it has hidden layers.
        parameters: what it learns or keeps, as a network's state; None where there is nothing.
    """

    support: ClassVar[tuple[float, float] | None] = None
    hidden_decoder: ClassVar[bool] = True
    parameters: nn.Module | None = None

    def __init__(self, event_shape: Shape) -> None:
        self.event_shape = event_shape

    @classmethod  # noqa: B027  # any will do
    def check(cls, event_shape: Shape) -> None:
        """Raise ShapeError for events that are not its own; any are by default."""

    def prepare(self, batches: Batches, shards: int) -> None:  # noqa: B027  # not all have something to take
        """Take from the data, over all parts of the plate, what is fixed before the first step; nothing by default."""

    def encoded(self, x: Tensor) -> Tensor:
        """What the encoder is given of events, (n, *event)."""
        return x

    def informative(self, x: Tensor) -> Tensor | None:
        """The events that say anything of z, (n,) bool, or None for all of them."""
        return None

    @abstractmethod
    def distribution(self, decoded: Tensor) -> dist.TorchDistribution:
        """P(x | z) of n events, from (n, *event)."""

    @abstractmethod
    def mean(self, decoded: Tensor) -> Tensor:
        """E[x | z], (n, *event)."""

    def drawn(self, decoded: Tensor, temperature: float) -> Tensor:
        """What is generated, (n, *event): the mean, since the noise of single values would hide the shape."""
        return self.mean(decoded)


class Bernoulli(Likelihood):
    """Values within [0, 1], the decoder gives logits.

    Intensities between 0 and 1 are no draws of it, but have its log-likelihood all the same.
    """

    support = (0.0, 1.0)

    def distribution(self, decoded: Tensor) -> dist.TorchDistribution:
        """See `Likelihood`."""
        return _events(dist.Bernoulli(logits=decoded, validate_args=False), self.event_shape)

    def mean(self, decoded: Tensor) -> Tensor:
        """See `Likelihood`."""
        return torch.sigmoid(decoded)


class Normal(Likelihood):
    """Any values, the decoder gives means; one learnt variance."""

    def __init__(self, event_shape: Shape) -> None:
        super().__init__(event_shape)
        self.parameters = self._noise = nn.ParameterDict({"log_variance": nn.Parameter(torch.zeros(()))})

    def distribution(self, decoded: Tensor) -> dist.TorchDistribution:
        """See `Likelihood`."""
        deviation = torch.exp(0.5 * self._noise["log_variance"])
        return _events(dist.Normal(decoded, deviation, validate_args=False), self.event_shape)

    def mean(self, decoded: Tensor) -> Tensor:
        """See `Likelihood`."""
        return decoded


class Multinomial(Likelihood):
    r"""Counts of V words, (V,): x given its length is multinomial with p = softmax(d + decoded).

    log p(x | z) = log(N! / prod_v x_v!) + sum_v x_v log p_v with N = sum_v x_v. The coefficient depends on no
    parameter, but it is part of the evidence. The decoder that is made is linear (Miao, Yu and Blunsom, 2016), and d
    the log-frequencies of the words in the data (Eisenstein, Ahmed and Xing, 2011), fixed before the first step: z then
    says how a document differs from all. Learnt from zero by steps of Adam, d alone would take hundreds of them.

    The encoder is given log(1 + x). Unlike shares, it tells long documents, of which more is known, from short ones;
    unlike counts, it keeps its size where one word occurs a thousand times. A document without words says nothing.

    Lengths are given, and have no model: the mean, and what is drawn, have the mean length of the data.
    """

    support = (0.0, math.inf)
    hidden_decoder = False

    def __init__(self, event_shape: Shape) -> None:
        super().__init__(event_shape)
        self.parameters = self._words = Words(event_shape[0])

    @classmethod
    def check(cls, event_shape: Shape) -> None:
        """See `Likelihood`."""
        if len(event_shape) != 1:
            raise ShapeError(
                f"Expected counts of words (V,) at x of a VAE with likelihood='multinomial'; got events of shape "
                f"{event_shape}. Reshape to N x V."
            )

    def prepare(self, batches: Batches, shards: int) -> None:
        """See `Likelihood`: the words' frequencies and the mean length, of the first documents that have any."""
        if self._words.length > 0:
            return
        total = torch.zeros(self.event_shape, dtype=torch.float64, device=self._words.length.device)
        for batch in batches.in_order(_ITEMS_AT_ONCE):
            x = batch["x"]
            assert isinstance(x, Point)
            total += x.value.sum(0, dtype=torch.float64)
        documents = torch.tensor(batches.size)
        if shards > 1:
            total, documents = summed_over_parts(total), summed_over_parts(documents)
        self._words.length.copy_(total.sum() / documents.clamp(min=1))
        self._words.background.copy_(((total + 1) / (total + 1).sum()).log())

    def encoded(self, x: Tensor) -> Tensor:
        """See `Likelihood`."""
        return torch.log1p(x)

    def informative(self, x: Tensor) -> Tensor | None:
        """See `Likelihood`."""
        return x.sum(1) > 0

    def distribution(self, decoded: Tensor) -> dist.TorchDistribution:
        """See `Likelihood`."""
        return Counts(self._log_probs(decoded))

    def mean(self, decoded: Tensor) -> Tensor:
        """See `Likelihood`: how often each word is expected in a document of mean length."""
        return (self._words.length * self._log_probs(decoded).exp()).float()

    def drawn(self, decoded: Tensor, temperature: float) -> Tensor:
        """Documents of mean length, rounded, each token drawn from p^(1 / temperature)."""
        length, log_probs = round(float(self._words.length)), self._log_probs(decoded)
        if temperature == 0 or length == 0:
            return length * nn.functional.one_hot(log_probs.argmax(1), log_probs.shape[1]).float()
        fn = torch.distributions.Multinomial(length, logits=log_probs / temperature, validate_args=False)
        counts: Tensor = fn.sample()
        return counts.float()

    def _log_probs(self, decoded: Tensor) -> Tensor:
        """The words' log-probabilities, (n, V) float64: thousands of tokens sum up float32's rounding to nats."""
        return torch.log_softmax(self._words.background + decoded.double(), 1)


class Words(nn.Module):
    """What is known of all documents: `background`, (V,) log-frequencies, and `length`, () their mean; 0 at first."""

    background: Tensor
    length: Tensor

    def __init__(self, words: int) -> None:
        super().__init__()
        self.register_buffer("background", torch.zeros(words, dtype=torch.float64))
        self.register_buffer("length", torch.zeros((), dtype=torch.float64))


class Counts(dist.TorchDistribution):
    """Multinomial counts (n, V) of documents of any lengths; torch's has one length for all.

    Args:
        log_probs: (n, V) float64, normalised.
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    support = constraints.independent(constraints.nonnegative, 1)

    def __init__(self, log_probs: Tensor) -> None:
        self.log_probs = log_probs
        super().__init__(log_probs.shape[:-1], log_probs.shape[-1:], validate_args=False)

    def expand(self, batch_shape: Sequence[int], _instance: None = None) -> dist.TorchDistribution:
        """See torch's `Distribution`."""
        return Counts(self.log_probs.expand(*batch_shape, -1))

    def log_prob(self, value: Tensor) -> Tensor:
        """Of counts (n, V), (n,) float64. Terms that cancel to a few nats are as large as the documents are long."""
        counts = value.double()
        return log_coefficient(counts) + (counts * self.log_probs).sum(-1)


def log_coefficient(counts: Tensor) -> Tensor:
    """log(N! / prod_v x_v!) of counts x, (n, V) float64; (n,)."""
    occurring = counts > 0  # most words do not occur in most documents, and lgamma is slow
    factorials = torch.zeros_like(counts).masked_scatter(occurring, torch.lgamma(counts[occurring] + 1))
    coefficient: Tensor = torch.lgamma(counts.sum(-1) + 1) - factorials.sum(-1)
    return coefficient


LIKELIHOODS: dict[str, type[Likelihood]] = {"bernoulli": Bernoulli, "gaussian": Normal, "multinomial": Multinomial}


def _events(fn: dist.TorchDistribution, event_shape: Shape) -> dist.TorchDistribution:
    events: dist.TorchDistribution = fn.to_event(len(event_shape))
    return events
