"""Modules that are written as a Pyro model and guide, and learn by stochastic variational inference."""

from pgmgraph_modules.svi.module import SVIModule
from pgmgraph_modules.svi.potential_prior import PotentialPrior

__all__ = ["PotentialPrior", "SVIModule"]
