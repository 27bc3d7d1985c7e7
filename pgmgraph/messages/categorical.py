"""Discrete variables: the categorical belief and the categorical potential."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
from torch import Tensor
from torch.distributions import Categorical as TorchCategorical

from pgmgraph.errors import MessageError
from pgmgraph.messages.base import Belief, Potential


@dataclass(frozen=True, eq=False)
class Categorical(Belief):
    """q(v_n = k) = probs_nk.

    Attributes:
        probs: (N, K), each row a distribution.
    """

    per_item: ClassVar[tuple[str, ...]] = ("probs",)

    probs: Tensor

    @property
    def event_shape(self) -> tuple[int, ...]:
        """(K,)."""
        return tuple(self.probs.shape[1:])

    def _check_shapes(self) -> None:
        if self.probs.ndim != 2:
            raise MessageError(f"Expected Categorical.probs of shape (N, K); got {tuple(self.probs.shape)}.")

    def blank(self, n: int) -> Self:
        """See `Message.blank`; the placeholder is uniform."""
        k = self.event_shape[0]
        missing = torch.ones(n, dtype=torch.bool, device=self.probs.device)
        return replace(self, probs=self.probs.new_full((n, k), 1 / k), missing=missing)

    def distribution(self) -> TorchCategorical:
        """See `Belief.distribution`."""
        return TorchCategorical(self.probs, validate_args=False)

    def draw(self, temperature: float = 1.0) -> Tensor:
        """See `Belief.draw`; indices, (N,) int64."""
        if temperature == 0:
            return self.most_probable()
        # Of the ratios to the most probable, so that dividing leaves that one finite.
        log_ratios = (self.probs / self.probs.amax(-1, keepdim=True)).log()
        drawn: Tensor = TorchCategorical(logits=log_ratios / temperature, validate_args=False).sample()
        return drawn

    def entropy(self) -> Tensor:
        """See `Belief.entropy`."""
        entropies: Tensor = torch.special.entr(self.probs.double())
        return entropies.sum(-1)

    def most_probable(self) -> Tensor:
        """The index of each item's most probable value, (N,) int64."""
        return self.probs.argmax(-1)


@dataclass(frozen=True, eq=False)
class CategoricalPotential(Potential):
    """log f_n(v = k) = log_weights_nk, the log of a likelihood and so not normalised.

    Attributes:
        log_weights: (N, K); minus infinity where a value is impossible.
    """

    per_item: ClassVar[tuple[str, ...]] = ("log_weights",)

    log_weights: Tensor

    @property
    def event_shape(self) -> tuple[int, ...]:
        """(K,)."""
        return tuple(self.log_weights.shape[1:])

    def _check_shapes(self) -> None:
        if self.log_weights.ndim != 2:
            raise MessageError(
                f"Expected CategoricalPotential.log_weights of shape (N, K); got {tuple(self.log_weights.shape)}."
            )

    def blank(self, n: int) -> Self:
        """See `Message.blank`; the placeholder is the constant zero."""
        missing = torch.ones(n, dtype=torch.bool, device=self.log_weights.device)
        return replace(self, log_weights=self.log_weights.new_zeros(n, *self.event_shape), missing=missing)

    def expectation(self, belief: Categorical) -> Tensor:
        """E_q[log f_n(v_n)], (N,); an impossible value of probability zero counts nothing."""
        possible = torch.where(belief.probs > 0, self.log_weights, 0.0)  # before the product, for the gradient
        return (belief.probs * possible).sum(-1)
