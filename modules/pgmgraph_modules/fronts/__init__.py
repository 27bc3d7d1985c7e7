"""Sounds and images as counts of words: transformers of scikit-learn's kind, to stand before a graph or in one."""

from pgmgraph_modules.fronts.codebook import Codebook
from pgmgraph_modules.fronts.images import VisualWords
from pgmgraph_modules.fronts.sounds import SoundWords

__all__ = ["Codebook", "SoundWords", "VisualWords"]
