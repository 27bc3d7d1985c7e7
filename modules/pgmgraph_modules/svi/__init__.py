"""Modules that are written as a Pyro model and guide, and learn by stochastic variational inference."""

from pgmgraph_modules.svi.module import Optimiser, SVIModule
from pgmgraph_modules.svi.parts import summed_over_parts
from pgmgraph_modules.svi.potential_prior import PotentialPrior

__all__ = ["Optimiser", "PotentialPrior", "SVIModule", "summed_over_parts"]
