"""A Bayesian mixture for binary data, as a module of pgmgraph."""

from pgmgraph_bernoulli.mixture import BernoulliMixture

__all__ = ["BernoulliMixture"]
