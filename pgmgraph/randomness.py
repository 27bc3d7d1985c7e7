"""Seeds: every call of a module runs on generators of its own, so that nothing else can disturb it."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def seed_of(seed: int, name: str, method: str, number: int) -> int:
    """The seed of the `number`-th call of `method` of the module called `name`, below 2**32."""
    text = f"{seed}/{name}/{method}/{number}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=4).digest(), "little")


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Run a block on freshly seeded generators of torch, numpy and Python, and restore theirs after it."""
    python_state, numpy_state = random.getstate(), np.random.get_state()
    cuda = [device] if device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices=cuda):
            # Not torch.manual_seed, which seeds every device that there could be and takes half a millisecond.
            torch.default_generator.manual_seed(seed)
            if cuda:
                with torch.cuda.device(device):
                    torch.cuda.manual_seed(seed)
            np.random.seed(seed)
            random.seed(seed)
            yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
