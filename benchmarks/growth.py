"""How time and memory grow with the number of images: each size in a process of its own.

The table with messages in memory is a part of benchmarks.speed. That with messages on the disk is made by

    python -m benchmarks.growth --sizes 60000 1000000 10000000 --folder /tmp

which needs room there for the images (784 bytes each) and the messages (half a kB an image, old and new).
Sizes that were measured before stay in the report.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

import numpy as np
from torch import Tensor

from benchmarks.report import (
    Cell,
    Table,
    closing,
    command_line,
    hold_to,
    images,
    machine,
    settings_of,
    write_json,
    write_text,
)
from benchmarks.rounds import SEED, Case, Clock
from pgmgraph import Beliefs, Categorical, Gaussian, SerialExecutor, fit

WARM = Case((128,), 10, batch_size=500, n=1_000, rounds=2)
STATUS = Path("/proc/self/status")
CHUNK = 50_000
MEGABYTE = 1e6

SPILL_ABOVE = 1 << 20
SPILLED = Case((64,), 10, batch_size=1_000, n=1_000, rounds=2)


@dataclass(frozen=True)
class Measured:
    """One size, once.

    Attributes:
        seconds, cpu_seconds: of a round, the median of those after the first.
        peak: most memory that was resident while learning, less what was before; bytes, None where /proc is not.
        data, messages: bytes of the images, and of what lies on the wires.
    """

    n: int
    seconds: float
    cpu_seconds: float
    peak: float | None
    data: float
    messages: float

    @property
    def beyond(self) -> float | None:
        """The peak less the images and the messages."""
        return None if self.peak is None else self.peak - self.data - self.messages


def growth_table(sizes: Sequence[int], turns: int, threads: int) -> Table:
    """Time and memory by the number of images, the smallest first."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "images.npy"
        resample(path, max(sizes))
        measured: dict[int, list[Measured]] = {n: [] for n in sizes}
        for turn in range(turns):
            for n in list(sizes)[:: 1 if turn % 2 == 0 else -1]:
                measured[n].append(_apart(path, n, threads))
    rows = [_row(measured[n], measured[min(sizes)]) for n in sizes]
    notes = [
        f"Images: {images(1)[0]}, drawn with replacement, bytes in a memory map. The model: {WARM.name.split(',')[0]}, "
        f"batch {WARM.batch_size}, and a mixture of full covariances; a round as in the first table.",
        "Each size in a process of its own, the sizes in turns; medians over the turns, which each give the median "
        "round after the first. Time an image: against that of the smallest size in the same turn.",
        "Peak: the most memory resident while learning, less what was resident after learning "
        f"{WARM.n:,} images. Images: their bytes, since the pages of a memory map count as resident. Messages: means "
        "and variances of z, the belief about c, and the weights in the message to z.",
    ]
    return Table("growth", "Growth of time and memory with the number of images", rows, notes)


def resample(path: Path, n: int) -> None:
    """Write n images, drawn with replacement, as a memory map (n, 784) uint8."""
    some = images(min(n, 60_000))[1]
    generator = np.random.default_rng(SEED)
    values = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(n, some.shape[1]))
    for begin in range(0, n, CHUNK):
        rows = generator.integers(len(some), size=min(CHUNK, n - begin))
        values[begin : begin + len(rows)] = some[rows]
    values.flush()


def measure(path: Path, n: int, threads: int) -> Measured:
    """Learn from the first n images of the memory map, and measure it; this process must be fresh."""
    hold_to(threads)
    fit(WARM.graph(np.load(path, mmap_mode="r")[: WARM.n]), rounds=2, seed=SEED, device="cpu")
    values = np.load(path, mmap_mode="r")[:n]
    before = _reset_peak()
    clock = Clock()
    case = Case(WARM.hidden, WARM.latent_dim, WARM.batch_size, n, rounds=max(2, min(40, 300_000 // n)))
    result = fit(case.graph(values), rounds=1 + case.rounds, seed=SEED, device="cpu", callbacks=[clock])
    peak = None if before is None else _kilobytes("VmHWM") * 1024 - before
    messages = _bytes_of_messages(result.beliefs)
    return Measured(n, median(clock.rounds), median(clock.cpu_rounds), peak, values.nbytes, messages)


def _apart(path: Path, n: int, threads: int) -> Measured:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure, path, n, threads).result()


def _row(measured: Sequence[Measured], smallest: Sequence[Measured]) -> dict[str, Cell]:
    pairs = list(zip(measured, smallest, strict=True))
    ratios = [(mine.seconds / mine.n) / (theirs.seconds / theirs.n) for mine, theirs in pairs]
    cpu_ratios = [(mine.cpu_seconds / mine.n) / (theirs.cpu_seconds / theirs.n) for mine, theirs in pairs]
    low, middle, high = quantiles(ratios, n=4)
    peaks = [one.peak for one in measured if one.peak is not None]
    beyond = [one.beyond for one in measured if one.beyond is not None]
    return {
        "images": measured[0].n,
        "round, s": median(one.seconds for one in measured),
        "time an image": middle,
        "quartiles": f"{low:.3f} to {high:.3f}",
        "in CPU time": median(cpu_ratios),
        "peak, MB": median(peaks) / MEGABYTE if peaks else None,
        "images, MB": measured[0].data / MEGABYTE,
        "messages, MB": measured[0].messages / MEGABYTE,
        "beyond both, MB": median(beyond) / MEGABYTE if beyond else None,
        "turns": len(measured),
    }


def _bytes_of_messages(beliefs: Beliefs) -> float:
    z, c = beliefs["vae.z"], beliefs["gmm.c"]
    assert isinstance(z, Gaussian)
    assert isinstance(c, Categorical)

    def size(tensor: Tensor) -> int:
        return tensor.numel() * tensor.element_size()

    return size(z.mean) + size(z.variance) + 2 * size(c.probs)


def _reset_peak() -> float | None:
    """What is resident now, in bytes; the peak is forgotten. None where the system does not tell."""
    if not STATUS.exists():
        return None
    Path("/proc/self/clear_refs").write_text("5")
    return _kilobytes("VmRSS") * 1024


def _kilobytes(field: str) -> int:
    [line] = [line for line in STATUS.read_text().splitlines() if line.startswith(f"{field}:")]
    return int(line.split()[1])


class Peak:
    """The most anonymous memory that a process had within a block, beyond what it had before it; bytes."""

    def __init__(self) -> None:
        self.bytes = 0

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Look every 10 ms. Pages of files do not count: the system drops them when it needs the room."""
        before, done = _kilobytes("RssAnon"), threading.Event()

        def look() -> None:
            while not done.wait(0.01):
                self.bytes = max(self.bytes, (_kilobytes("RssAnon") - before) * 1024)

        watcher = threading.Thread(target=look)
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join()


def measure_spilled(path: Path, n: int, threads: int) -> dict[str, Cell]:
    """Learn from the first n images of the memory map with messages on the disk; this process must be fresh."""
    hold_to(threads)
    values = np.load(path, mmap_mode="r")[:n]
    executor = SerialExecutor(spill_above=SPILL_ABOVE, spill_folder=path.parent)
    fit(SPILLED.graph(values[: SPILLED.n]), rounds=2, seed=SEED, device="cpu")
    case = Case(SPILLED.hidden, SPILLED.latent_dim, SPILLED.batch_size, n, SPILLED.rounds)
    graph, clock, peak = case.graph(values), Clock(), Peak()
    with peak.watched():
        begin = time.perf_counter()
        result = fit(graph, rounds=case.rounds, seed=SEED, device="cpu", callbacks=[clock], executor=executor)
        seconds = time.perf_counter() - begin
    [later] = clock.rounds
    return {
        "images": n,
        "s": seconds,
        "second round, s": later,
        "second round, microseconds an image": 1e6 * later / n,
        "in CPU time": 1e6 * clock.cpu_rounds[0] / n,
        "peak, MB": peak.bytes / MEGABYTE,
        "images, MB": values.nbytes / MEGABYTE,
        "messages, MB": _bytes_of_messages(result.beliefs) / MEGABYTE,
    }


def spilled_rows(sizes: Sequence[int], threads: int, folder: Path) -> Iterator[dict[str, Cell]]:
    """A row for each size, from images that are written into the folder for the time being."""
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        path = Path(temporary) / "images.npy"
        resample(path, max(sizes))
        for n in sizes:
            with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
                yield pool.submit(measure_spilled, path, n, threads).result()


def main() -> int:
    """Measure the sizes that were asked for, and write the report after each."""
    parser = command_line("Time and memory by the number of images, with messages on the disk.")
    parser.add_argument("--sizes", type=int, nargs="+", default=[60_000, 250_000, 1_000_000])
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="(default: %(default)s)")
    given = parser.parse_args()
    settings_of(given)
    path = given.output / ("growth-quick.json" if given.quick else "growth.json")
    rows: dict[int, Mapping[str, Cell]] = {}
    if path.exists():
        rows = {row["images"]: row for row in json.loads(path.read_text(encoding="utf-8"))["rows"]}
    for row in spilled_rows([2_000, 4_000] if given.quick else given.sizes, given.threads, given.folder):
        rows[int(row["images"] or 0)] = row
        _write(path, [rows[n] for n in sorted(rows)], machine(given.threads), given.quick)
    print(path.with_suffix(".md").read_text(encoding="utf-8"), end="")
    return 0


def _write(path: Path, rows: Sequence[Mapping[str, Cell]], facts: Mapping[str, str | int], quick: bool) -> None:
    notes = [
        f"Images: {images(1)[0]}, drawn with replacement, bytes in a memory map. The model: "
        f"{SPILLED.name.split(',')[0]}, batch {SPILLED.batch_size}, and a mixture of full covariances; "
        f"{SPILLED.rounds} rounds, F after each stage.",
        f"Messages of more than {SPILL_ABOVE >> 20} MiB lie on the disk, old and new beside each other.",
        "Each size once, in a process of its own. Time: of the second round; the mixture starts in the first.",
        "Peak: the most anonymous memory while learning (RssAnon, every 10 ms), less what there was after learning "
        f"{SPILLED.n:,} images. Pages of images and messages, which the system drops at need, do not count.",
    ]
    table = Table("growth", "Growth with messages on the disk", rows, notes)
    write_json(path, {"benchmark": "growth", "quick": quick, "machine": facts, "rows": list(rows), "notes": notes})
    lines = [f"# {table.title}", "", *table.lines(), "", *(f"- {note}" for note in notes), *closing(facts, quick)]
    write_text(path.with_suffix(".md"), "\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())
