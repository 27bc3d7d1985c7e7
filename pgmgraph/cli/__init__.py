"""The command line: `pgmgraph --help`."""

from pgmgraph.cli.program import main

__all__ = ["main"]
