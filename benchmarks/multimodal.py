"""Models of several modalities on the field's data, each beside its parts alone and over several seeds.

Run it with `python -m benchmarks.multimodal --seeds 0 1 2 3 4`. Each run is kept as it ends, and what is done already
is not done again. The data are `serket/*.npz` in the folder that $PGMGRAPH_DATA names: digits that are seen and heard,
the same in counting order, points of a cycle, objects with several senses, and a chain of observations. Labels score
what was learnt, and choose nothing.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Collection
from functools import partial
from typing import Any

from benchmarks import (
    multimodal_chain,
    multimodal_counting,
    multimodal_cycle,
    multimodal_objects,
    multimodal_spoken,
)
from benchmarks.multimodal_parts import Part
from benchmarks.multimodal_report import Outcome, Records, write
from benchmarks.report import command_line, hold_to

PARTS: tuple[Part[Any], ...] = (  # Any: each has data of its own kind
    multimodal_spoken.PART,
    multimodal_counting.PART,
    multimodal_cycle.PART,
    multimodal_objects.PART,
    multimodal_chain.PART,
)


def main() -> int:
    """Learn what is not done yet, and write the report."""
    parser = command_line(__doc__ or "")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4], help="(default: 0 1 2 3 4)")
    parser.add_argument("--parts", nargs="+", choices=[part.name for part in PARTS], help="some of the data sets")
    parser.add_argument("--models", nargs="+", help="some of the models, by name")
    parser.add_argument("--report-only", action="store_true", help="learn nothing; the report of what is done")
    given = parser.parse_args()
    names = sorted({model.name for part in PARTS for model in part.models})
    for name in given.models or []:
        if name not in names:
            parser.error(f"Expected models of {'; '.join(names)}; got {name!r}.")
    hold_to(given.threads)
    records = Records(given.output / ("multimodal-quick" if given.quick else "multimodal"))
    lacking = []
    if not given.report_only:
        chosen = [part for part in PARTS if given.parts is None or part.name in given.parts]
        learn = partial(_learn_all, given.seeds, given.models, records, given.quick)
        lacking = [part.name for part in chosen if not learn(part)]
    for name in lacking:
        print(f"error: the data of {name} are not in the folder serket of $PGMGRAPH_DATA", file=sys.stderr)
    write(records, PARTS, given.output, given.threads, given.quick)
    return 1 if lacking else 0


def _learn_all(
    seeds: Collection[int], names: Collection[str] | None, records: Records, quick: bool, part: Part[Any]
) -> bool:
    """Run what is not done of a part; whether its data are there."""
    data = part.load(quick)
    if data is None:
        return False
    for seed in seeds:
        for model in part.models:
            if records.has(part.name, model.name, seed) or (names is not None and model.name not in names):
                continue
            begin = time.process_time()
            found = model.learn(data, seed)
            seconds = time.process_time() - begin
            outcome = Outcome(part.name, model.name, seed, found.figures, found.F, seconds)
            records.write(outcome)
            figures = ", ".join(f"{name} {value:.3f}" for name, value in found.figures.items())
            print(f"{part.name}, {model.name}, seed {seed}: {figures}; {seconds:.0f} s", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main())
