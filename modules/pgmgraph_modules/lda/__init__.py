"""Latent Dirichlet allocation over any number of modalities."""

from pgmgraph_modules.lda.lda import LDA

__all__ = ["LDA"]
