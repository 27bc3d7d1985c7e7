"""Data sets to learn from: MNIST, scikit-learn's digits, and data files of one's own."""

from pgmgraph.datasets.digits import Digits, load_bundled_digits
from pgmgraph.datasets.files import read_labels, read_values, write_npy
from pgmgraph.datasets.idx import read_idx
from pgmgraph.datasets.mnist import load_mnist

__all__ = ["Digits", "load_bundled_digits", "load_mnist", "read_idx", "read_labels", "read_values", "write_npy"]
