"""Everything that a run imports, before it runs: a process that is forked from one that has this learns at once."""

import gc

import tests.faults.learner  # noqa: F401

# What is never collected is never written to: children share its memory, and begin in a fifth of the time.
gc.collect()
gc.freeze()
