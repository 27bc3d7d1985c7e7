"""Reads thousands of damaged files, and tells what came of it: `python -m tests.faults.fuzz --inputs 10000`."""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from collections import Counter
from itertools import cycle
from pathlib import Path

import numpy as np

from tests.faults.damage import Victim, another, victims

OUTCOMES = ("refused", "harmless", "read")

Counts = dict[str, Counter[str]]


def fuzz(folder: Path, inputs: int, seed: int) -> Counts:
    """Read so many damaged files at least, as many of each kind; what came of them, by kind.

    Raises:
        AssertionError: wrong numbers were read.
        Exception: something escaped that is no error of pgmgraph's.
    """
    random = np.random.default_rng(seed)
    kinds: dict[str, list[Victim]] = {}
    for victim in victims(folder):
        kinds.setdefault(victim.kind, []).append(victim)
    counts: Counts = {kind: Counter() for kind in kinds}
    each = -(-inputs // len(kinds))
    for kind, alike in kinds.items():
        for victim, _ in zip(cycle(alike), range(each), strict=False):
            counts[kind][victim.suffer(another(victim.whole, random))] += 1
    return counts


def table(counts: Counts) -> str:
    """How many of each kind were tried, and what came of them."""
    total = sum(counts.values(), Counter())
    lines = [f"{'kind':28} {'tried':>8} " + " ".join(f"{outcome:>8}" for outcome in OUTCOMES)]
    for kind, counted in {**counts, "all": total}.items():
        numbers = (counted.total(), *(counted[outcome] for outcome in OUTCOMES))
        lines.append(f"{kind:28} " + " ".join(f"{number:>8,}" for number in numbers))
    return "\n".join(lines)


def main() -> None:
    """Fuzz, and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=10_000, help="how many damaged files to read at least")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of images that were damaged
        counts = fuzz(Path(folder), arguments.inputs, arguments.seed)
    print(table(counts))
    print(f"{time.monotonic() - begin:.0f} s, seed {arguments.seed}; nothing else than errors of pgmgraph's came out.")


if __name__ == "__main__":
    main()
