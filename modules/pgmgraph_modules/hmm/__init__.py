"""A Bayesian hidden Markov model."""

from pgmgraph_modules.hmm.belief import ChainBelief
from pgmgraph_modules.hmm.hmm import HMM

__all__ = ["HMM", "ChainBelief"]
