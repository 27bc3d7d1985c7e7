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

from pgmgraph import Event, FitResult, ModelGraph, ModuleUpdated, RoundEnded, fit
from pgmgraph.errors import WorkerError
from tests.executors.ray.graphs import parameters, same, two_senses
from tests.refusals import refused

pytest.importorskip("ray", reason="needs the extra `ray`")

from ray.cluster_utils import Cluster

from pgmgraph.executors.ray import RayExecutor

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
SPREAD = {name: {"cpu": 0.25} for name in ("vae", "seen", "sound", "order")}


def actors() -> list[int]:
    """The processes on this machine that modules run in."""
    found = []
    for folder in Path("/proc").iterdir():
        with suppress(OSError):
            if folder.name.isdigit() and "ray::ModuleActor" in (folder / "cmdline").read_text():
                found.append(int(folder.name))
    return found


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


def expect_the_same(graph: ModelGraph, result: FitResult, rounds: int) -> None:
    undisturbed = two_senses()
    expected = fit(undisturbed, rounds=rounds, seed=3)
    assert result.history["F"] == expected.history["F"]
    assert [entry.modules for entry in result.trace] == [entry.modules for entry in expected.trace]
    assert same(parameters(graph), parameters(undisturbed))
    for name, belief in expected.beliefs.items():
        for field in belief.per_item:
            assert torch.equal(getattr(belief, field), getattr(result.beliefs[name], field)), name


def test_processes_that_are_killed_twenty_times() -> None:
    killer, graph = Killer(20), two_senses()
    with RayExecutor(patience=120, restarts=20) as executor:
        result = fit(graph, rounds=45, seed=3, callbacks=[killer], executor=executor)
        killer.join()
    assert len(killer.struck) >= 15
    expect_the_same(graph, result, 45)


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    yield made
    made.shutdown()


def test_a_machine_that_is_lost_and_replaced_six_times(cluster: Cluster) -> None:
    machines = [cluster.add_node(num_cpus=1)]
    chance, lost = random.Random(0), list[Event]()

    def strike(event: Event) -> None:
        # A module has been updated, and those after it in the round are under way.
        if isinstance(event, ModuleUpdated) and event.module != "order" and len(lost) < 6 and chance.random() < 0.4:
            lost.append(event)
            cluster.remove_node(machines.pop(), allow_graceful=False)
            machines.append(cluster.add_node(num_cpus=1))

    graph = two_senses()
    with RayExecutor(cluster.address, resources=SPREAD, patience=120, restarts=20) as executor:
        result = fit(graph, rounds=16, seed=3, callbacks=[strike], executor=executor)
    assert len(lost) == 6
    expect_the_same(graph, result, 16)


def test_a_process_that_hangs_is_noticed_and_begins_again() -> None:
    killer, graph = Killer(1, signal.SIGSTOP), two_senses()
    executor = RayExecutor(patience=60)
    with pytest.warns(UserWarning, match="no sign of life for 60 seconds"):
        result = fit(graph, rounds=6, seed=3, callbacks=[killer], executor=executor)
    executor.close()
    killer.join()
    expect_the_same(graph, result, 6)
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
            RayExecutor(patience=120, restarts=2) as executor,
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
