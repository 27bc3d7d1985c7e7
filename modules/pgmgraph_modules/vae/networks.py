"""Networks that a VAE makes when it is given none."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn

from pgmgraph.errors import ShapeError

Shape = tuple[int, ...]
Maker = Callable[[Shape, Sequence[int], int], nn.Module]

_SMALLEST = 8
_KERNEL = 3


@dataclass(frozen=True)
class Architecture:
    """A way to make networks of an event shape, the sizes of hidden layers, and the size of z.

    Attributes:
        encoder: makes one from (n, *event) to (n, 2 x latent_dim): means, then log-variances.
        decoder: makes one from (n, latent_dim) to (n, *event), through the hidden layers in reverse.
        hidden: the hidden layers where none are named.
    """

    encoder: Maker
    decoder: Maker
    hidden: tuple[int, ...]


def perceptron_encoder(event_shape: Shape, hidden: Sequence[int], latent_dim: int) -> nn.Module:
    """See `Architecture`; events are flattened."""
    return nn.Sequential(nn.Flatten(), _perceptron([math.prod(event_shape), *hidden, 2 * latent_dim]))


def perceptron_decoder(event_shape: Shape, hidden: Sequence[int], latent_dim: int) -> nn.Module:
    """See `Architecture`."""
    sizes = [latent_dim, *reversed(hidden), math.prod(event_shape)]
    return nn.Sequential(_perceptron(sizes), nn.Unflatten(1, event_shape))


def conv_encoder(event_shape: Shape, hidden: Sequence[int], latent_dim: int) -> nn.Module:
    """See `Architecture`; each convolution halves height and width, rounded up."""
    channels, sizes = [_channels(event_shape), *hidden], _sizes(event_shape, len(hidden))
    layers: list[nn.Module] = [nn.Flatten(), nn.Unflatten(1, (channels[0], *sizes[0]))]
    for before, after in pairwise(channels):
        layers += [nn.Conv2d(before, after, _KERNEL, stride=2, padding=1), nn.ReLU()]
    flat = channels[-1] * math.prod(sizes[-1])
    layers += [nn.Flatten(), _perceptron([flat, _dense(hidden), 2 * latent_dim])]
    return _prepared(nn.Sequential(*layers))


def conv_decoder(event_shape: Shape, hidden: Sequence[int], latent_dim: int) -> nn.Module:
    """See `Architecture`; each transposed convolution undoes one of the encoder, to the pixel."""
    channels = [*reversed(hidden), _channels(event_shape)]
    sizes = _sizes(event_shape, len(hidden))[::-1]
    flat = channels[0] * math.prod(sizes[0])
    layers: list[nn.Module] = [_perceptron([latent_dim, _dense(hidden), flat]), nn.ReLU()]
    layers.append(nn.Unflatten(1, (channels[0], *sizes[0])))
    for (before, after), (small, large) in zip(pairwise(channels), pairwise(sizes), strict=True):
        # Without it the result has 2 x small - 1 pixels: right where `large` is odd, one too few where it is even.
        lacking = (large[0] - 2 * small[0] + 1, large[1] - 2 * small[1] + 1)
        grown = nn.ConvTranspose2d(before, after, _KERNEL, stride=2, padding=1, output_padding=lacking)
        layers += [grown, nn.ReLU()]
    return _prepared(nn.Sequential(*layers[:-1], nn.Flatten(), nn.Unflatten(1, event_shape)))


ARCHITECTURES = {
    "perceptron": Architecture(perceptron_encoder, perceptron_decoder, (500, 500)),
    "conv": Architecture(conv_encoder, conv_decoder, (32, 64)),
}


def check_images(event_shape: Shape, hidden: Sequence[int]) -> None:
    """Refuse events that these layers of convolutions cannot take.

    Raises:
        ShapeError: neither (H, W) nor (C, H, W), or fewer pixels to a side than 8 or than the layers halve away.
    """
    least = max(_SMALLEST, 2 ** len(hidden))
    if len(event_shape) in (2, 3) and min(event_shape[-2:]) >= least:
        return
    advice = "Channels come first, and each layer halves height and width; architecture='perceptron' takes any shape."
    if len(event_shape) == 1:
        side = math.isqrt(event_shape[0])
        shape = f"{side}, {side}" if side**2 == event_shape[0] else "height, width"
        advice = f"Give rows their shape: Observation(images.reshape(-1, {shape}))."
    raise ShapeError(
        f"Expected images (H, W) or (C, H, W) of at least {least} x {least} pixels at x of a VAE with "
        f"architecture='conv' and hidden={tuple(hidden)}; got events of shape {event_shape}. {advice}"
    )


def _perceptron(sizes: Sequence[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _channels(event_shape: Shape) -> int:
    return event_shape[0] if len(event_shape) == 3 else 1


def _sizes(event_shape: Shape, layers: int) -> list[tuple[int, int]]:
    """Height and width before the first convolution and after each."""
    sizes = [(event_shape[-2], event_shape[-1])]
    for _ in range(layers):
        height, width = sizes[-1]
        sizes.append((math.ceil(height / 2), math.ceil(width / 2)))
    return sizes


def _dense(hidden: Sequence[int]) -> int:
    """Units of the layer between the convolutions and z."""
    return 4 * hidden[-1]


def _prepared(network: nn.Sequential) -> nn.Sequential:
    """The network with weights that keep the signal's size from ReLU to ReLU (He et al., 2015, equation 10).

    Torch's own let it shrink from layer to layer, and the decoder ignores z for the first epochs: F of 10,000
    images of MNIST after six of them was 9 nats an image lower.
    """
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d)]
    for layer in layers[:-1]:
        bound = math.sqrt(6 / _inputs(layer))
        nn.init.uniform_(layer.weight, -bound, bound)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    # The order in which convolutions read weights fastest.
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # lacking in torch's stubs
    return network


def _inputs(layer: nn.Linear | nn.Conv2d | nn.ConvTranspose2d) -> float:
    """How many inputs make one output, on average."""
    if isinstance(layer, nn.Linear):
        return layer.in_features
    inputs = layer.in_channels * math.prod(layer.kernel_size)
    return inputs / math.prod(layer.stride) if isinstance(layer, nn.ConvTranspose2d) else inputs
