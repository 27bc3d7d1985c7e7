"""Data sets to learn from: MNIST, scikit-learn's digits, and the IDX files that MNIST comes in."""

from pgmgraph.datasets.digits import Digits, load_bundled_digits
from pgmgraph.datasets.idx import read_idx
from pgmgraph.datasets.mnist import load_mnist

__all__ = ["Digits", "load_bundled_digits", "load_mnist", "read_idx"]
