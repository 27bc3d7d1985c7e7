"""How long things take: rounds by module, matrix products, checkpoints, growth with N, the reference, bf16.

Run it with `python -m benchmarks.speed`, or a part of it with `--parts growth`; parts that were measured before
stay in the report.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import torch

from benchmarks import precision, reference
from benchmarks.growth import growth_table
from benchmarks.recording import recording_table
from benchmarks.report import Cell, Table, command_line, images, keep, settings_of
from benchmarks.rounds import Case, devices, modules_table, products_table
from benchmarks.schemes import MNIST, plan
from benchmarks.trial import observed, wire
from pgmgraph import fit
from pgmgraph.datasets import load_mnist
from pgmgraph.errors import DataFileError

CASES = (
    Case((128,), 18, batch_size=500, n=3_000, rounds=40),
    Case((500, 500), 10, batch_size=128, n=20_000, rounds=5),
    Case((500, 500, 2000), 10, batch_size=256, n=60_000, rounds=3),
    Case((500, 500, 2000), 10, batch_size=256, n=60_000, rounds=3, precision="bf16"),
)
QUICK_CASES = (Case((16,), 3, batch_size=100, n=200, rounds=2),)
GPU_TARGET = 120.0


def rounds_part(given: argparse.Namespace) -> list[Table]:
    """Seconds by module, and the share of matrix products."""
    cases = QUICK_CASES if given.quick else CASES
    notes = [f"Images: {images(1)[0]}."]
    by_module, products = modules_table(cases, devices()), products_table(cases, devices())
    return [Table(by_module.name, by_module.title, by_module.rows, [*notes, *by_module.notes]), products]


def growth_part(given: argparse.Namespace) -> list[Table]:
    """Time and memory by the number of images."""
    sizes, turns = ([200, 400], 2) if given.quick else ([3_000, 60_000, 1_000_000], 3)
    return [growth_table(sizes, turns, given.threads)]


def reference_part(given: argparse.Namespace) -> list[Table]:
    """The 3,000 digits."""
    routes, seeds = (reference.QUICK_ROUTES, [0, 1]) if given.quick else (reference.ROUTES, [0, 1, 2])
    return [reference.reference_table(routes, seeds, quick=given.quick)]


def bf16_part(given: argparse.Namespace) -> list[Table]:
    """An epoch in bf16, and what learning comes to."""
    if given.quick:
        case, learning, seeds = precision.QUICK_EPOCH, precision.QUICK_LEARNING, [0]
    else:
        case, learning, seeds = precision.EPOCH, precision.LEARNING, [0, 1, 2]
    return [precision.epoch_table(case), precision.outcomes_table(learning, seeds, quick=given.quick)]


def preset_part(given: argparse.Namespace) -> list[Table]:
    """The whole of the setting `mnist` on a GPU, all first epochs and rounds."""
    if not torch.cuda.is_available() or given.quick:
        return []
    digits = load_mnist()
    whole = plan(MNIST, MNIST.schemes[0], 0, digits.name, len(digits.train_labels))
    begin = time.perf_counter()
    fit(wire(whole, observed(digits.train_images, digits.image_shape, whole.vae)).graph, seed=0, **whole.fit)
    seconds = time.perf_counter() - begin
    verdict = "met" if seconds < GPU_TARGET else "missed"
    row: dict[str, Cell] = {
        "setting": MNIST.title,
        "device": torch.cuda.get_device_name(),
        "s": seconds,
        f"aim {GPU_TARGET:.0f}": verdict,
    }
    return [Table("preset", "The full preset on a GPU, from its beginning to its end", [row], ["Once, seed 0."])]


def recording_part(given: argparse.Namespace) -> list[Table]:
    """What a run directory costs."""
    return [recording_table(replace(QUICK_CASES[0] if given.quick else CASES[2], rounds=4))]


PARTS: Mapping[str, Callable[[argparse.Namespace], list[Table]]] = {
    "rounds": rounds_part,
    "recording": recording_part,
    "growth": growth_part,
    "reference": reference_part,
    "bf16": bf16_part,
    "preset": preset_part,
}


def main() -> int:
    """Measure the parts that were asked for, and write the report after each."""
    parser = command_line(
        "Seconds by module, matrix products, checkpoints, growth with N, the reference's digits, bf16."
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="(default: all)")
    given = parser.parse_args()
    settings_of(given)
    path = given.output / ("speed-quick.json" if given.quick else "speed.json")
    report = ""
    for name in given.parts:
        try:
            tables = PARTS[name](given)
        except DataFileError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        if tables:
            report = keep(path, "Speed", list(PARTS), name, tables, given)
    print(report, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
