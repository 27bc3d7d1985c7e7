"""A Bayesian Gaussian mixture."""

from pgmgraph_modules.gmm.gmm import GMM

__all__ = ["GMM"]
