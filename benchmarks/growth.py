"""How time and memory grow with the number of images: each size in a process of its own."""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

import numpy as np
from torch import Tensor

from benchmarks.report import Cell, Table, hold_to, images
from benchmarks.rounds import SEED, Case, Clock
from pgmgraph import Beliefs, Categorical, Gaussian, fit

WARM = Case((128,), 10, batch_size=500, n=1_000, rounds=2)
STATUS = Path("/proc/self/status")
CHUNK = 50_000
MEGABYTE = 1e6


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
