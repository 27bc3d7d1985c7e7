"""Functions of a variable, fitted to it: one-way, since they have no factor of their own."""

from pgmgraph_modules.transforms.sklearn import SklearnTransform

__all__ = ["SklearnTransform"]
