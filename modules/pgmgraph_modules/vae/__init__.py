"""A variational autoencoder."""

from pgmgraph_modules.vae.ramp import Ramp
from pgmgraph_modules.vae.vae import VAE

__all__ = ["VAE", "Ramp"]
