"""Networks that a VAE makes when it is given none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import nn


def encoder(event_shape: tuple[int, ...], hidden: Sequence[int], latent_dim: int) -> nn.Module:
    """From (n, *event) to (n, 2 x latent_dim): means, then log-variances."""
    return nn.Sequential(nn.Flatten(), _perceptron([math.prod(event_shape), *hidden, 2 * latent_dim]))


def decoder(event_shape: tuple[int, ...], hidden: Sequence[int], latent_dim: int) -> nn.Module:
    """From (n, latent_dim) to (n, *event), through the hidden layers in reverse."""
    sizes = [latent_dim, *reversed(hidden), math.prod(event_shape)]
    return nn.Sequential(_perceptron(sizes), nn.Unflatten(1, event_shape))


def _perceptron(sizes: Sequence[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
