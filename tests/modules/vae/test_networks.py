"""The perceptrons that a VAE makes."""

import torch

from pgmgraph_modules.vae import networks


def test_shapes_and_mirrored_layers():
    encoder = networks.encoder((1, 8, 8), (32, 16), 3)
    decoder = networks.decoder((1, 8, 8), (32, 16), 3)
    assert encoder(torch.zeros(5, 1, 8, 8)).shape == (5, 6)
    assert decoder(torch.zeros(5, 3)).shape == (5, 1, 8, 8)
    sizes = [[p.shape[0] for p in net.parameters() if p.ndim == 2] for net in (encoder, decoder)]
    assert sizes == [[32, 16, 6], [16, 32, 64]]
