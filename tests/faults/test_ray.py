"""Processes and machines that are lost while modules learn on them: nothing is lost of what was learnt."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from pgmgraph import Event, FitResult, ModelGraph, RoundEnded, RoundStarted, fit
from pgmgraph.checkpoints import found, read, rounds_of
from pgmgraph.errors import WorkerError
from tests.executors.ray.graphs import parameters, same, two_senses
from tests.refusals import refused

pytest.importorskip("ray", reason="needs the extra `ray`")

from ray.cluster_utils import Cluster

from pgmgraph.executors.ray import RayExecutor

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
# A network and a mixture in two parts: there are six processes, and four find room on each machine.
SPREAD = {name: {"cpu": 0.25} for name in ("vae", "seen", "sound", "order")}
SHARDS = {"vae": 2, "seen": 2}
PATIENCE = 300  # where other programs have the machine, a process takes minutes to begin


def actors() -> list[int]:
    """The processes that modules run in, of clusters that were begun here; nobody else's are to be killed."""
    found = []
    for folder in Path("/proc").iterdir():
        with suppress(OSError):
            if folder.name.isdigit() and "ray::ModuleActor" in (folder / "cmdline").read_text():
                number = int(folder.name)
                if parent(parent(number)) == os.getpid():  # ours -> raylet -> actor
                    found.append(number)
    return found


def parent(process: int) -> int:
    """The process that began another one."""
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


class Killer:
    """Kills a process at a random moment after every second round, so many times."""

    def __init__(self, times: int, signal: int = signal.SIGKILL) -> None:
        self._times, self._signal = times, signal
        self._random = random.Random(0)
        self._threads: list[threading.Timer] = []
        self.struck: list[int] = []

    def __call__(self, event: Event) -> None:
        if isinstance(event, RoundEnded) and event.round % 2 == 0 and len(self._threads) < self._times:
            timer = threading.Timer(self._random.uniform(0, 0.5), self._strike)
            self._threads.append(timer)
            timer.start()

    def _strike(self) -> None:
        with suppress(IndexError, ProcessLookupError):  # the one before it may still be on its way back
            process = self._random.choice(actors())
            os.kill(process, self._signal)
            self.struck.append(process)

    def join(self) -> None:
        for thread in self._threads:
            thread.join()


def expect_undisturbed(graph: ModelGraph, result: FitResult, rounds: int) -> None:
    undisturbed = two_senses()
    expect_the_same(graph, result, undisturbed, fit(undisturbed, rounds=rounds, seed=3))


def expect_the_same(graph: ModelGraph, result: FitResult, undisturbed: ModelGraph, expected: FitResult) -> None:
    assert result.history["F"] == expected.history["F"]
    assert [entry.modules for entry in result.trace] == [entry.modules for entry in expected.trace]
    assert same(parameters(graph), parameters(undisturbed))
    for name, belief in expected.beliefs.items():
        for field in belief.per_item:
            assert torch.equal(getattr(belief, field), getattr(result.beliefs[name], field)), name


def test_processes_that_are_killed_twenty_times() -> None:
    killer, graph = Killer(20), two_senses()
    with RayExecutor(patience=PATIENCE, restarts=20) as executor:
        result = fit(graph, rounds=45, seed=3, callbacks=[killer], executor=executor)
        killer.join()
    assert len(killer.struck) >= 15
    expect_undisturbed(graph, result, 45)


def test_parts_of_modules_that_are_killed() -> None:
    killer, rounds = Killer(4), 12
    graph, expected = two_senses(), two_senses()

    def first(event: Event) -> None:
        if isinstance(event, RoundStarted) and event.round == 0:
            for process in actors():  # none has started from data yet
                os.kill(process, signal.SIGKILL)

    with RayExecutor(patience=PATIENCE) as keeping:
        keeping.join()
        undisturbed = fit(expected, rounds=rounds, seed=3, executor=RayExecutor(shards=SHARDS, patience=PATIENCE))
        executor = RayExecutor(shards=SHARDS, patience=PATIENCE, restarts=20)
        result = fit(graph, rounds=rounds, seed=3, callbacks=[first, killer], executor=executor)
        killer.join()
    assert killer.struck
    expect_the_same(graph, result, expected, undisturbed)


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    yield made
    made.shutdown()


class Breakdown:
    """A machine of a cluster that breaks down at random moments, and is replaced, so many times over all that runs."""

    def __init__(self, cluster: Cluster, times: int, seed: int) -> None:
        self._cluster, self._times, self._random = cluster, times, random.Random(seed)
        self._machine = cluster.add_node(num_cpus=1)
        self._thread: threading.Thread | None = None
        self.moments: list[str] = []

    def __call__(self, event: Event) -> None:
        if len(self.moments) < self._times and not self.under_way and self._random.random() < 0.3:
            delay = self._random.uniform(0, 0.5)
            self.moments.append(f"{delay:.3f} s after {event}")
            print(f"{len(self.moments)}. loss:", self.moments[-1])  # shown where the test fails
            # Ray adds machines in the main thread alone, which may be waiting for one when this one is gone.
            breaks, self._machine = self._machine, self._cluster.add_node(num_cpus=1)
            self._thread = threading.Timer(delay, self._cluster.remove_node, (breaks,), {"allow_graceful": False})
            self._thread.start()

    @property
    def under_way(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def join(self) -> None:
        if self._thread:
            self._thread.join()


def test_a_machine_that_is_lost_and_replaced_twenty_times(cluster: Cluster, tmp_path: Path) -> None:
    def executor() -> RayExecutor:
        return RayExecutor(cluster.address, resources=SPREAD, shards=SHARDS, patience=PATIENCE, restarts=20)

    breakdown, rounds, learnt = Breakdown(cluster, 20, seed=0), 30, list[tuple[ModelGraph, FitResult]]()
    with executor() as keeping:
        keeping.join()
        while len(breakdown.moments) < 20:
            graph, run = two_senses(), tmp_path / f"{len(learnt)}"
            # Checkpoints are written meanwhile.
            result = fit(
                graph, rounds=rounds, seed=3, callbacks=[breakdown], executor=executor(), run_dir=run, report=False
            )
            learnt.append((graph, result))
            assert rounds_of(found(run / "checkpoints")[-1]) == read(found(run / "checkpoints")[-1]).rounds == rounds
            assert len(learnt) < 20, "hardly anything is lost"
        breakdown.join()
        expected = two_senses()
        undisturbed = fit(expected, rounds=rounds, seed=3, executor=executor())
    for graph, result in learnt:
        expect_the_same(graph, result, expected, undisturbed)


def test_a_process_that_hangs_is_noticed_and_begins_again() -> None:
    killer, graph = Killer(1, signal.SIGSTOP), two_senses()
    executor = RayExecutor(patience=60)
    with pytest.warns(UserWarning, match="no sign of life for 60 seconds"):
        result = fit(graph, rounds=40, seed=3, callbacks=[killer], executor=executor)
    executor.close()
    killer.join()
    expect_undisturbed(graph, result, 40)
    for process in killer.struck:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def test_a_module_that_is_lost_again_and_again_ends_learning() -> None:
    over = threading.Event()

    def kill_all() -> None:
        while not over.wait(0.2):
            for process in actors():
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)

    def begin(event: Event) -> None:
        if isinstance(event, RoundEnded) and event.round == 0:
            thread.start()

    thread = threading.Thread(target=kill_all, daemon=True)
    try:
        with (
            RayExecutor(patience=PATIENCE, restarts=2) as executor,
            refused(WorkerError, "lost 3 times in a row", "restarts="),
        ):
            fit(two_senses(), rounds=50, seed=3, callbacks=[begin], executor=executor)
    finally:
        over.set()


PROGRAM = """
from pgmgraph import fit
from pgmgraph.executors.ray import RayExecutor
from tests.executors.ray.graphs import two_senses

fit(two_senses(), rounds=100_000, callbacks=[lambda event: print(type(event).__name__, flush=True)],
    executor=RayExecutor(patience=120))
"""


def test_an_interrupt_leaves_no_process_behind() -> None:
    before = set(ray_processes())
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert program.stdout is not None
    for line in program.stdout:
        if line.strip() == "RoundEnded":
            break
    program.send_signal(signal.SIGINT)
    _, errors = program.communicate(timeout=60)
    assert "KeyboardInterrupt" in errors
    end = time.monotonic() + 30
    while set(ray_processes()) - before and time.monotonic() < end:
        time.sleep(0.2)
    assert set(ray_processes()) - before == set()


def ray_processes() -> list[int]:
    """Whatever of Ray runs on this machine, and whoever it began."""
    found = []
    for folder in Path("/proc").iterdir():
        with suppress(OSError):
            command = (folder / "cmdline").read_text() if folder.name.isdigit() else ""
            if "ray::" in command or "/ray/" in command:
                found.append(int(folder.name))
    return found
