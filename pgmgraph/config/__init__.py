"""Graphs as configuration: plain values and YAML, and back."""

from pgmgraph.config.graphs import from_config, load_graph, to_config
from pgmgraph.config.overrides import override
from pgmgraph.config.parameters import Parameter, parameters
from pgmgraph.config.plain import Plain
from pgmgraph.config.text import config_text, read_config

__all__ = [
    "Parameter",
    "Plain",
    "config_text",
    "from_config",
    "load_graph",
    "override",
    "parameters",
    "read_config",
    "to_config",
]
