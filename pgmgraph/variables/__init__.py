"""What is known of the variables of a graph, by their names, in memory and in files."""

from pgmgraph.variables.beliefs import Beliefs, save_beliefs
from pgmgraph.variables.drawn import Drawn

__all__ = ["Beliefs", "Drawn", "save_beliefs"]
