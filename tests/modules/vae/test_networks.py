"""The networks that a VAE makes: perceptrons, and convolutions for images of any size."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pgmgraph.errors import ShapeError
from pgmgraph_modules.vae import networks
from tests.refusals import refused

torch.set_num_threads(1)

sides = st.integers(8, 33)
shapes = st.one_of(st.tuples(sides, sides), st.tuples(st.integers(1, 4), sides, sides))
channels = st.lists(st.integers(1, 6), min_size=1, max_size=3).map(tuple)


def weights(network, kind):
    return [tuple(module.weight.shape) for module in network.modules() if isinstance(module, kind)]


def test_perceptrons_mirror_one_another():
    encoder = networks.perceptron_encoder((1, 8, 8), (32, 16), 3)
    decoder = networks.perceptron_decoder((1, 8, 8), (32, 16), 3)
    assert encoder(torch.zeros(5, 1, 8, 8)).shape == (5, 6)
    assert decoder(torch.zeros(5, 3)).shape == (5, 1, 8, 8)
    assert [shape[0] for shape in weights(encoder, nn.Linear)] == [32, 16, 6]
    assert [shape[0] for shape in weights(decoder, nn.Linear)] == [16, 32, 64]


def test_convolutions_mirror_one_another_with_a_dense_layer_between_them_and_z():
    encoder = networks.conv_encoder((3, 28, 20), (4, 6), 2)
    decoder = networks.conv_decoder((3, 28, 20), (4, 6), 2)
    assert weights(encoder, nn.Conv2d) == [(4, 3, 3, 3), (6, 4, 3, 3)]
    assert weights(encoder, nn.Linear) == [(24, 6 * 7 * 5), (4, 24)]
    assert weights(decoder, nn.Linear) == [(24, 2), (6 * 7 * 5, 24)]
    assert weights(decoder, nn.ConvTranspose2d) == [(6, 4, 3, 3), (4, 3, 3, 3)]


@settings(deadline=None, derandomize=True, max_examples=60)
@given(shapes, channels, st.integers(1, 3))
def test_logits_have_the_shape_of_the_event_whatever_its_size(shape, hidden, latent_dim):
    z = networks.conv_encoder(shape, hidden, latent_dim)(torch.zeros(2, *shape))
    assert z.shape == (2, 2 * latent_dim)
    assert networks.conv_decoder(shape, hidden, latent_dim)(z[:, :latent_dim]).shape == (2, *shape)


@settings(deadline=None, derandomize=True, max_examples=25)
@given(st.tuples(sides, sides), st.sampled_from([(2,), (2, 2)]))
def test_every_pixel_is_seen_by_the_encoder_and_reached_by_the_decoder(shape, hidden):
    encoder, decoder = networks.conv_encoder(shape, hidden, 2), networks.conv_decoder(shape, hidden, 2)
    for parameter in [*encoder.parameters(), *decoder.parameters()]:
        nn.init.constant_(parameter, 0.1)  # all of one sign: no path is cut by a ReLU or cancelled by another
    x = torch.ones(1, *shape, requires_grad=True)
    encoder(x).sum().backward()
    assert (x.grad > 0).all()
    z = torch.ones(2, 2)
    z[1] += 1
    low, high = decoder(z).detach()
    assert (high > low).all()


def test_an_image_without_channels_is_one_with_a_single_channel():
    flat, deep = (networks.conv_encoder(shape, (4,), 2) for shape in ((9, 11), (1, 9, 11)))
    deep.load_state_dict(flat.state_dict())
    x = torch.rand(3, 9, 11)
    assert torch.equal(flat(x), deep(x[:, None]))


@pytest.mark.parametrize(
    ("shape", "hidden", "parts"),
    [
        ((784,), (32, 64), ("(784,)", "at least 8 x 8", "Observation(images.reshape(-1, 28, 28))")),
        ((64,), (4,), ("Observation(images.reshape(-1, 8, 8))",)),
        ((120,), (4,), ("Observation(images.reshape(-1, height, width))",)),
        ((28, 28, 3), (32, 64), ("(28, 28, 3)", "(C, H, W)", "Channels come first")),
        ((7, 28), (4,), ("at least 8 x 8", "got events of shape (7, 28)")),
        ((8, 8), (2, 2, 2, 2), ("at least 16 x 16", "hidden=(2, 2, 2, 2)", "halves")),
        ((2, 3, 8, 8), (4,), ("(H, W) or (C, H, W)", "architecture='perceptron' takes any shape")),
        ((), (4,), ("got events of shape ()",)),
    ],
)
def test_events_that_are_no_images_are_refused_with_what_to_do(shape, hidden, parts):
    with refused(ShapeError, *parts):
        networks.check_images(shape, hidden)


@pytest.mark.parametrize(("shape", "hidden"), [((8, 8), (2, 2, 2)), ((3, 9, 8), (4,)), ((28, 28), (32, 64))])
def test_images_that_are_large_enough_pass(shape, hidden):
    networks.check_images(shape, hidden)


@pytest.mark.parametrize("name", networks.ARCHITECTURES)
def test_the_default_layers_fit_an_image_of_28_by_28(name):
    made = networks.ARCHITECTURES[name]
    z = made.encoder((28, 28), made.hidden, 10)(torch.zeros(2, 28, 28))
    assert z.shape == (2, 20)
    assert math.prod(made.decoder((28, 28), made.hidden, 10)(z[:, :10]).shape) == 2 * 784


def test_signals_keep_their_size_from_relu_to_relu():
    torch.manual_seed(0)
    sizes = []
    shape, hidden = (4, 28, 28), (32, 64, 64)
    for network, signal in (
        (networks.conv_encoder(shape, hidden, 32), torch.randn(64, *shape)),
        (networks.conv_decoder(shape, hidden, 32), torch.randn(64, 32)),
    ):
        for layer in network.modules():
            if isinstance(layer, nn.ReLU):
                layer.register_forward_hook(lambda _, __, made: sizes.append(float(made.square().mean())))
        with torch.no_grad():
            network(signal)
    assert len(sizes) == 8
    # Torch's own weights divide the mean square by about six at each layer; zeros at the borders take a little here.
    assert all(0.5 < size < 2 for size in sizes)
