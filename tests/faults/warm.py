"""Everything that a run imports, before it runs: a process that is forked from one that has this learns at once."""

import gc

import torch._dynamo  # noqa: F401  # torch.optim imports it at its first step, for seconds

import tests.faults.learner  # noqa: F401

# What is never collected is never written to: children share its memory, and begin in a fifth of the time.
gc.collect()
gc.freeze()
