"""The messages that modules exchange: beliefs, potentials and points."""

from pgmgraph.messages.base import Belief, Index, Message, Potential, RemoteMessage, difference
from pgmgraph.messages.categorical import Categorical, CategoricalPotential
from pgmgraph.messages.convert import MessageType, convert, convertible, ways
from pgmgraph.messages.gaussian import Gaussian, GaussianEvidence, GaussianPotential
from pgmgraph.messages.mixture import MixturePotential, PooledGaussianPotential
from pgmgraph.messages.point import Point
from pgmgraph.messages.sparse import SparsePoint

__all__ = [
    "Belief",
    "Categorical",
    "CategoricalPotential",
    "Gaussian",
    "GaussianEvidence",
    "GaussianPotential",
    "Index",
    "Message",
    "MessageType",
    "MixturePotential",
    "Point",
    "PooledGaussianPotential",
    "Potential",
    "RemoteMessage",
    "SparsePoint",
    "convert",
    "convertible",
    "difference",
    "ways",
]
