"""Pictures of latents, learning curves, images and wirings: arrays in, a matplotlib `Figure` out."""

from pgmgraph.plotting.curves import curves_figure
from pgmgraph.plotting.embed import data_uri
from pgmgraph.plotting.graph import graph_figure
from pgmgraph.plotting.images import image_grid, reconstruction_figure
from pgmgraph.plotting.latent import Ellipse, Plane, latent_figure, principal_plane, project
from pgmgraph.plotting.save import save
from pgmgraph.plotting.wiring import Wiring, mermaid, wiring

__all__ = [
    "Ellipse",
    "Plane",
    "Wiring",
    "curves_figure",
    "data_uri",
    "graph_figure",
    "image_grid",
    "latent_figure",
    "mermaid",
    "principal_plane",
    "project",
    "reconstruction_figure",
    "save",
    "wiring",
]
