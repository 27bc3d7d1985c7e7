"""Networks that predict what is known of some items from a vector that they share with the rest of the model."""

from pgmgraph_modules.supervised.classifier import Classifier
from pgmgraph_modules.supervised.predictor import Predictor
from pgmgraph_modules.supervised.regressor import Regressor

__all__ = ["Classifier", "Predictor", "Regressor"]
