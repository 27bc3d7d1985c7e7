"""Learning with messages on the disk: the same numbers, nothing left behind, and memory that does not grow."""

from __future__ import annotations

import errno
import gc
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from pgmgraph import (
    Context,
    Event,
    Gaussian,
    ModelGraph,
    Observation,
    RoundEnded,
    SerialExecutor,
    checkpoints,
    fit,
    infer,
)
from pgmgraph.errors import OutputError
from pgmgraph.observation import Values
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.linear_gaussian import PPCA
from tests.bits import bits_of
from tests.refusals import refused
from tests.toys import Centre, Noisy

N = 300
X = torch.randn(N, 6, generator=torch.Generator().manual_seed(0))
MISSING = torch.arange(N) % 7 == 3


class Piecemeal(PPCA):
    """Sends in pieces of so many rows."""

    pieces = 64

    def setup(self, context: Context) -> None:
        """See `Module.setup`."""
        super().setup(context)
        self.at_once = self.pieces


def graph(values: Values = X, missing: torch.Tensor | None = MISSING) -> ModelGraph:
    seen, below, above = Observation(values, missing=missing), Piecemeal(2), GMM(3, starts=1)
    made = ModelGraph(x=seen, below=below, above=above)
    made.connect(seen.value, below.x)
    made.connect(below.z, above.x)
    return made


def files(folder: Path) -> list[str]:
    """Files that a process of ours has open, or names, in a folder."""
    named = [str(path) for path in folder.rglob("*")]
    return named + [link for link in map(_link, Path("/proc/self/fd").iterdir()) if link.startswith(str(folder))]


def _link(path: Path) -> str:
    try:
        return str(path.readlink())
    except FileNotFoundError:
        return ""


@pytest.mark.parametrize("pieces", [64, N])
@pytest.mark.parametrize("missing", [None, MISSING], ids=["whole", "missing"])
def test_a_spilled_run_is_the_run_in_memory_to_the_last_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: torch.Tensor | None, pieces: int
) -> None:
    monkeypatch.setattr(Piecemeal, "pieces", pieces)
    here, there = graph(missing=missing), graph(missing=missing)
    one = fit(here, rounds=4, seed=1)
    other = fit(there, rounds=4, seed=1, executor=SerialExecutor(spill_above=0, spill_folder=tmp_path))
    assert bits_of(dict(one.beliefs)) == bits_of(dict(other.beliefs))
    assert one.history["F"] == other.history["F"]
    assert bits_of(dict(infer(here))) == bits_of(dict(infer(there)))


def test_spilled_beliefs_stay_with_whoever_holds_them(tmp_path: Path) -> None:
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("the system does not list open files")
    executor = SerialExecutor(spill_above=0, spill_folder=tmp_path)
    made = graph()
    first = fit(made, rounds=1, seed=1, executor=executor).beliefs["below.z"]
    before = bits_of(first)
    assert [name for name in files(tmp_path) if not name.endswith("(deleted)")] == []
    assert files(tmp_path)
    fit(made, rounds=2, seed=1, executor=executor)  # which sends others in its place
    assert bits_of(first) == before
    del first, made, executor
    gc.collect()  # a graph and what ran it know each other
    assert files(tmp_path) == []


def test_what_is_replaced_is_let_go_of_round_by_round(tmp_path: Path) -> None:
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("the system does not list open files")
    held: list[int] = []

    def count(event: Event) -> None:
        if isinstance(event, RoundEnded):
            held.append(len(files(tmp_path)))

    fit(graph(), rounds=5, callbacks=[count], executor=SerialExecutor(spill_above=0, spill_folder=tmp_path))
    assert held[0] > 0
    assert held == held[:1] * 5


def test_the_limit_decides_what_is_spilled(tmp_path: Path) -> None:
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("the system does not list open files")
    larger = N * 2 * (4 + 4) + N  # no message has more bytes than this
    beliefs = fit(graph(), rounds=1, executor=SerialExecutor(spill_above=10 * larger, spill_folder=tmp_path)).beliefs
    assert files(tmp_path) == []
    assert len(beliefs) == 2


def test_a_checkpoint_holds_what_is_spilled(tmp_path: Path) -> None:
    runs = {}
    for name, executor in (
        ("memory", SerialExecutor()),
        ("disk", SerialExecutor(spill_above=0, spill_folder=tmp_path)),
    ):
        run_dir = tmp_path / name
        result = fit(graph(), rounds=2, seed=1, run_dir=run_dir, report=False, executor=executor)
        again = fit(graph(), rounds=4, seed=1, run_dir=run_dir, report=False, executor=executor, resume=True)
        last = checkpoints.read(sorted((run_dir / "checkpoints").iterdir())[-1])
        runs[name] = result.history["F"], again.history["F"], bits_of(dict(again.beliefs)), last.F
    assert runs["memory"] == runs["disk"]


def test_a_full_disk_ends_learning_and_leaves_modules_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, executor = graph(), SerialExecutor(spill_above=0, spill_folder=tmp_path)
    fit(made, rounds=2, seed=1, executor=executor)
    before = [bits_of(module.state_dict()) for module in made.modules.values()]  # type: ignore[attr-defined]

    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with refused(OutputError, str(tmp_path), "No space left"):
        fit(made, rounds=1, seed=1, executor=executor)
    assert [bits_of(module.state_dict()) for module in made.modules.values()] == before  # type: ignore[attr-defined]


def test_a_folder_that_is_none_is_refused_at_once(tmp_path: Path) -> None:
    with refused(OutputError, str(tmp_path / "none"), "Make it first"):
        SerialExecutor(spill_above=0, spill_folder=tmp_path / "none")


# Learns from a memory map of so many rows, and tells by how much its anonymous memory grew at most.
GROWTH = """
import json, sys, threading
import numpy as np, torch
from pathlib import Path
from pgmgraph import SerialExecutor, fit
from tests.test_spill import growing_graph

def anonymous():
    [line] = [one for one in Path("/proc/self/status").read_text().splitlines() if one.startswith("RssAnon:")]
    return int(line.split()[1]) * 1024

torch.set_num_threads(1)
path, n, above, folder = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3]), sys.argv[4]
values = np.load(path, mmap_mode="r")[:n]
fit(growing_graph(values[:20_000]), rounds=1)
before, most, done = anonymous(), 0, threading.Event()
def look():
    global most
    while not done.wait(0.002):
        most = max(most, anonymous() - before)
watcher = threading.Thread(target=look)
watcher.start()
fit(growing_graph(values), rounds=2, executor=SerialExecutor(spill_above=above, spill_folder=folder))
done.set()
watcher.join()
print(most)
"""


def growing_graph(values: Values) -> ModelGraph:
    """A message of 16 doubles an item each way."""
    seen, below, above = Observation(values), Noisy(), Centre()
    below.at_once = above.at_once = 8192
    made = ModelGraph(x=seen, below=below, above=above)
    made.connect(seen.value, below.y)
    made.connect(below.z, above.x)
    return made


def grown(path: Path, n: int, above: int | None) -> float:
    """How much anonymous memory a run takes beyond what it had, in MiB."""
    command = [sys.executable, "-c", GROWTH, str(path), str(n), json.dumps(above), str(path.parent)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    return float(done.stdout) / 2**20


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not tell what memory a process has")
def test_memory_stays_flat_while_the_plate_grows_eightfold(tmp_path: Path) -> None:
    path, small, large = tmp_path / "x.npy", 100_000, 800_000
    values = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(large, 8))
    values[:] = np.arange(8, dtype=np.uint8)
    values.flush()
    spilled = [grown(path, n, 2**20) for n in (small, large)]
    in_memory = grown(path, large, None)
    belief = large * 16 * 8 / 2**20  # means and variances, in MiB
    assert spilled[1] - spilled[0] < 0.1 * belief
    assert in_memory - spilled[1] > 1.5 * belief


# Spills, says so, and waits to be killed.
KILLED = """
import sys, time
from pgmgraph import SerialExecutor, fit
from tests.test_spill import graph
made = graph()
result = fit(made, rounds=1, executor=SerialExecutor(spill_above=0, spill_folder=sys.argv[1]))
print("there", flush=True)
time.sleep(60)
"""


def test_a_process_that_is_killed_leaves_no_file(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1])
    assert child.stdout is not None
    assert child.stdout.readline() == "there\n"
    child.send_signal(signal.SIGKILL)
    child.wait(timeout=10)
    child.stdout.close()
    assert list(tmp_path.iterdir()) == []


def test_what_is_sent_is_a_message_like_any_other(tmp_path: Path) -> None:
    beliefs = fit(graph(), rounds=1, executor=SerialExecutor(spill_above=0, spill_folder=tmp_path)).beliefs
    z = beliefs["below.z"]
    assert isinstance(z, Gaussian)
    assert torch.isfinite(z[~MISSING].entropy()).all()
    assert torch.equal(z.missing_rows(), MISSING)
