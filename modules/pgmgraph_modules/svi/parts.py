"""Sums over the processes that each have a part of one plate."""

from __future__ import annotations

import torch
from torch import Tensor, distributed


def summed_over_parts(values: Tensor) -> Tensor:
    """The sum of a tensor over the processes that each have a part of the plate; all of them must ask for it."""
    distributed.all_reduce(values)
    return values


def loss_of_all_parts(loss: Tensor, items: int) -> tuple[Tensor, int]:
    """The loss of an item over the minibatch that the parts' make up together, and how many items it has.

    A loss that is not finite in one part is so in all of them: they stop together, and none waits for another.
    """
    total, number = summed_over_parts(torch.tensor([float(loss) * items, items], dtype=torch.float64))
    return total / number.clamp(min=1), int(number)
