"""What the benchmarks share: the command line, alternating measurement, images, and the reports that they write."""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from statistics import median, quantiles
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it ships neither types nor stubs

from pgmgraph.datasets import load_bundled_digits, load_mnist
from pgmgraph.errors import DataFileError

RESULTS = Path(__file__).parent / "results"

Cell: TypeAlias = str | float | bool | None


@dataclass(frozen=True)
class Settings:
    """What the command line asked for."""

    quick: bool
    threads: int
    output: Path


@dataclass(frozen=True)
class Seconds:
    """How long one run took: on the clock, and of the processor's time, which other processes disturb less."""

    wall: float
    cpu: float


@dataclass(frozen=True)
class Row:
    """Two ways to do one thing, measured in turns.

    Attributes:
        case: what was done.
        ours, other: medians, in milliseconds on the clock.
        ratio: the median over turns of ours / other on the clock.
        low, high: the quartiles of the same.
        cpu_ratio: as `ratio`, in processor time.
        target: the ratio aimed at, at most; None where the row is there for information.
        turns: how many pairs were measured.
        extra: further columns of this benchmark.
    """

    case: str
    ours: float
    other: float
    ratio: float
    low: float
    high: float
    cpu_ratio: float
    target: float | None
    turns: int
    extra: Mapping[str, float | bool] = field(default_factory=dict)

    @property
    def met(self) -> bool | None:
        """Whether the target was met; None without one."""
        return None if self.target is None else self.ratio <= self.target


@dataclass(frozen=True)
class Table:
    """Rows of one kind, a mapping from column to cell each.

    Attributes:
        name: a word, by which programs know it.
        title: what is shown, in a line.
        rows: the cells by column; a row may lack columns that others have.
        notes: how it was measured, and whatever else a reader must know.
    """

    name: str
    title: str
    rows: Sequence[Mapping[str, Cell]]
    notes: Sequence[str] = ()

    def lines(self) -> list[str]:
        """The table in markdown, texts to the left and numbers to the right."""
        columns = list(dict.fromkeys(column for row in self.rows for column in row))
        words = {column for row in self.rows for column, cell in row.items() if isinstance(cell, str)}
        rules = ["---" if column in words else "---:" for column in columns]
        body = [_line([_cell(row.get(column)) for column in columns]) for row in self.rows]
        return [_line(columns), _line(rules), *body]


def command_line(description: str) -> argparse.ArgumentParser:
    """A parser of the options that every benchmark has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="tiny sizes and few turns: a test that it runs")
    parser.add_argument("--threads", type=int, default=1, help="threads that each side may use (default: 1)")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder for the report (default: %(default)s)")
    return parser


def settings(description: str) -> Settings:
    """Read the command line, and hold torch and the BLAS libraries to the number of threads."""
    return settings_of(command_line(description).parse_args())


def settings_of(given: argparse.Namespace) -> Settings:
    """What a parser made by `command_line` read; torch and the BLAS libraries are held to the number of threads."""
    hold_to(given.threads)
    return Settings(given.quick, given.threads, given.output)


def hold_to(threads: int) -> None:
    """Let torch and the BLAS libraries use no more than this number of threads."""
    torch.set_num_threads(threads)
    threadpool_limits(threads)


def timed(run: Callable[[], object]) -> Seconds:
    """How long one run takes."""
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return Seconds(time.perf_counter() - wall, time.process_time() - cpu)


def alternating(sides: Mapping[str, Callable[[], object]], turns: int) -> dict[str, list[Seconds]]:
    """Run the sides in turns, each once for warmth first; every other turn runs them in the reverse order."""
    for run in sides.values():
        run()
    times: dict[str, list[Seconds]] = {name: [] for name in sides}
    for turn in range(turns):
        for name in list(sides)[:: 1 if turn % 2 == 0 else -1]:
            times[name].append(timed(sides[name]))
    return times


def compare(
    case: str,
    ours: Sequence[Seconds],
    other: Sequence[Seconds],
    target: float | None = None,
    extra: Mapping[str, float | bool] | None = None,
) -> Row:
    """A row from the times of both sides, turn by turn."""
    ratios = [mine.wall / theirs.wall for mine, theirs in zip(ours, other, strict=True)]
    low, _, high = quantiles(ratios, n=4)
    return Row(
        case=case,
        ours=1e3 * median(seconds.wall for seconds in ours),
        other=1e3 * median(seconds.wall for seconds in other),
        ratio=median(ratios),
        low=low,
        high=high,
        cpu_ratio=median(mine.cpu / theirs.cpu for mine, theirs in zip(ours, other, strict=True)),
        target=target,
        turns=len(ratios),
        extra=extra or {},
    )


def images(n: int) -> tuple[str, NDArray[np.uint8]]:
    """The first n images of MNIST, (n, 784), or the bundled digits at MNIST's size, repeated; and their name."""
    try:
        digits, name = load_mnist(download=False).train_images, "MNIST"
    except DataFileError:
        small = load_bundled_digits().train_images.reshape(-1, 8, 8)
        large = small.repeat(3, axis=1).repeat(3, axis=2)
        digits = np.pad(large, ((0, 0), (2, 2), (2, 2))).reshape(len(small), -1)
        name = "bundled digits, enlarged to 28 x 28"
    return name, np.ascontiguousarray(np.resize(digits, (n, digits.shape[1])))


def write(
    name: str, title: str, sides: tuple[str, str], rows: Sequence[Row], notes: Sequence[str], settings: Settings
) -> None:
    """Write `name`.json and `name`.md into the output folder, and print the table.

    Args:
        name: of the benchmark.
        title: what is compared, in a line.
        sides: what is written above the times: ours, then the other.
        rows: the measurements.
        notes: what each side does, and whatever else a reader must know.
        settings: of this run.
    """
    facts = machine(settings.threads)
    content = {
        "benchmark": name,
        "title": title,
        "sides": {"ours": sides[0], "other": sides[1]},
        "quick": settings.quick,
        "machine": facts,
        "rows": [{**asdict(row), "met": row.met} for row in rows],
        "notes": list(notes),
    }
    table = _table(sides, rows)
    lines = [f"# {title}", "", *table, "", *(f"- {note}" for note in notes)]
    lines += closing(facts, settings.quick)
    write_json(settings.output / f"{name}.json", content)
    write_text(settings.output / f"{name}.md", "\n".join(lines) + "\n")
    print("\n".join(lines))


def keep(
    path: Path, title: str, order: Sequence[str], part: str, tables: Sequence[Table], given: argparse.Namespace
) -> str:
    """Put a part into a report of several beside those that are there; returns the report in markdown.

    Args:
        path: of the report, `.json`; the markdown lies beside it.
        title: of the report.
        order: the names of all its parts.
        part: the name of this one.
        tables: what was measured.
        given: what a parser made by `command_line` read.
    """
    parts: dict[str, Any] = {}  # Any: what JSON holds
    if path.exists():
        parts = json.loads(path.read_text(encoding="utf-8"))["parts"]
    facts = machine(given.threads)
    parts[part] = {
        "machine": facts,
        "tables": [{"name": table.name, "title": table.title, "rows": list(table.rows)} for table in tables],
        "lines": [*(line for table in tables for line in _section(table)), *closing(facts, given.quick), ""],
    }
    ordered = {name: parts[name] for name in order if name in parts}
    write_json(path, {"benchmark": path.stem.removesuffix("-quick"), "quick": given.quick, "parts": ordered})
    text = "\n".join([f"# {title}", "", *(line for one in ordered.values() for line in one["lines"])])
    write_text(path.with_suffix(".md"), text)
    return text


def _section(table: Table) -> list[str]:
    return [f"## {table.title}", "", *table.lines(), "", *(f"- {note}" for note in table.notes), ""]


def closing(facts: Mapping[str, str | int], quick: bool) -> list[str]:
    """The last notes of every report: the machine, and a warning where nothing was measured."""
    lines = [f"- Machine: {', '.join(f'{key} {value}' for key, value in facts.items())}."]
    if quick:
        lines.append("- A quick run, which shows that the benchmark runs and measures nothing.")
    return lines


def write_json(path: Path, content: object) -> None:
    """Write content as JSON, whole or not at all."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a file, whole or not at all: other processes write into the folder, and any may be interrupted."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder, so that the rename stays on one file system and is atomic.
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
        whole = Path(folder) / path.name
        whole.write_text(text, encoding="utf-8")
        whole.replace(path)


def machine(threads: int) -> dict[str, str | int]:
    """What a measurement depends on beside the code."""
    return {
        "cpus": os.cpu_count() or 1,
        "threads": threads,
        "processor": platform.machine(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "pyro": version("pyro-ppl"),
        "scikit-learn": version("scikit-learn"),
    }


def _table(sides: tuple[str, str], rows: Sequence[Row]) -> list[str]:
    extra = list(dict.fromkeys(column for row in rows for column in row.extra))
    header = ["case", f"{sides[0]}, ms", f"{sides[1]}, ms", "ratio", "quartiles", "in CPU time", "target", *extra]
    lines = [_line(header), _line(["---", *["---:"] * (len(header) - 1)])]
    for row in rows:
        target = "" if row.target is None else f"{row.target:.2f}: {'met' if row.met else 'missed'}"
        cells = [row.case, f"{row.ours:.1f}", f"{row.other:.1f}", f"{row.ratio:.3f}"]
        cells += [f"{row.low:.3f} to {row.high:.3f}", f"{row.cpu_ratio:.3f}", target]
        lines.append(_line([*cells, *(_cell(row.extra.get(column)) for column in extra)]))
    return lines


def _cell(value: Cell) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case str():
            return value
        case int():
            return f"{value:,}"
        case _ if 0.001 <= abs(value) < 1e12:
            return f"{value:,.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"
        case _:
            return f"{value:.3g}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
