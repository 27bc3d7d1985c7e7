"""Pictures of latents, learning curves, images and wirings: arrays in, a matplotlib `Figure` out."""

from pgmgraph.plotting.curves import curves_figure
from pgmgraph.plotting.graph import graph_figure
from pgmgraph.plotting.images import image_grid, reconstruction_figure
from pgmgraph.plotting.latent import latent_figure, project
from pgmgraph.plotting.save import save

__all__ = [
    "curves_figure",
    "graph_figure",
    "image_grid",
    "latent_figure",
    "project",
    "reconstruction_figure",
    "save",
]
