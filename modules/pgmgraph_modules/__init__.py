"""The modules that come with pgmgraph; like anyone else's, they enter by entry points."""
