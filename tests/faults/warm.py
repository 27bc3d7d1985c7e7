"""Everything that a run imports, before it runs: forked from a process that has this, it learns at once."""

import torch._dynamo  # torch.optim imports it at its first step, for seconds

import tests.faults.learner  # noqa: F401
import gc; gc.collect(); gc.freeze()
