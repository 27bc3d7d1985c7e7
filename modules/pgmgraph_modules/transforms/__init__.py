"""Functions of a variable, and mixtures, that other libraries fit: one-way, since they have no factor of their own."""

from pgmgraph_modules.transforms.function import FunctionTransform
from pgmgraph_modules.transforms.mixture import SklearnMixture
from pgmgraph_modules.transforms.sklearn import SklearnTransform
from pgmgraph_modules.transforms.torch import TorchTransform
from pgmgraph_modules.transforms.transform import Transform

__all__ = ["FunctionTransform", "SklearnMixture", "SklearnTransform", "TorchTransform", "Transform"]
