"""The example plugin, really built, installed into a folder of its own, and found there."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = ROOT / "examples" / "plugin"
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]

USE = """
import torch
from pgmgraph import ModelGraph, Observation, fit, infer, registry

assert "bernoulli_mixture" in registry.names()
BernoulliMixture = registry.load("bernoulli_mixture")

torch.manual_seed(0)
labels = torch.arange(300) % 2
values = torch.bernoulli(torch.where(labels[:, None] == (torch.arange(10) < 5), 0.9, 0.1))
bits, mixture = Observation(values), BernoulliMixture(components=2)
graph = ModelGraph(bits=bits, mixture=mixture)
graph.connect(bits.value, mixture.x)
bounds = fit(graph, rounds=15, strict=True).history["F"]
assert all(after >= before - 1e-9 * abs(before) for before, after in zip(bounds, bounds[1:])), bounds
found = infer(graph)["mixture.c"].most_probable()
agreement = (found == labels).float().mean()
assert max(agreement, 1 - agreement) > 0.95, agreement
print(BernoulliMixture.__module__)
"""


def run(command: Sequence[str | Path], *, cwd: Path, path: list[Path] | None = None) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    if path is not None:
        environment["PYTHONPATH"] = os.pathsep.join(map(str, path))
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the plugin's sources, since a build leaves files beside them."""
    folder = tmp_path_factory.mktemp("plugin") / "project"
    shutil.copytree(PLUGIN, folder, ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info"))
    return folder


@pytest.fixture(scope="module")
def installed(project: Path) -> Path:
    """The folder that the plugin's wheel was installed into."""
    wheels, target = project.parent / "wheels", project.parent / "installed"
    offline = ["--no-deps", "--no-index"]
    run([*PIP, "wheel", project, "--no-build-isolation", *offline, "--wheel-dir", wheels], cwd=project.parent)
    [wheel] = wheels.iterdir()
    run([*PIP, "install", wheel, *offline, "--target", target], cwd=project.parent)
    return target


def test_the_wheel_holds_the_package_its_types_and_its_entry_point(installed: Path) -> None:
    assert (installed / "pgmgraph_bernoulli" / "mixture.py").is_file()
    assert (installed / "pgmgraph_bernoulli" / "py.typed").is_file()
    [metadata] = installed.glob("pgmgraph_bernoulli-*.dist-info")
    assert "bernoulli_mixture = pgmgraph_bernoulli:BernoulliMixture" in (metadata / "entry_points.txt").read_text()


def test_the_registry_finds_it_and_it_learns(installed: Path, tmp_path: Path) -> None:
    said = run([sys.executable, "-W", "error", "-c", USE], cwd=tmp_path, path=[installed, ROOT])
    assert said.split() == ["pgmgraph_bernoulli.mixture"]


def test_its_own_tests_pass_against_what_was_installed(installed: Path, project: Path) -> None:
    """F never falls, the message up is the derivative of the terms, the bound of one component is the evidence."""
    command: list[str | Path] = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", project / "tests"]
    assert " passed" in run(command, cwd=project.parent, path=[installed, ROOT])
