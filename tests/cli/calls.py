"""Calls of the command line, and a small graph to call it with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from typer.testing import CliRunner, Result

from pgmgraph.cli.program import app
from pgmgraph.datasets import load_bundled_digits

ROWS = 200

GRAPH = """
observations:
  pixels: {event_shape: [64], dtype: uint8, scale: 0.00392156862745098, data: digits.npy}
modules:
  vae: {module: vae, latent_dim: 2, hidden: [16], first_epochs: 4, epochs: 1, batch_size: 50}
  gmm: {module: gmm, components: 3, starts: 1}
wires:
  vae.x: pixels
  gmm.x: {from: vae.z}
fit:
  rounds: 2
  labels: {gmm.c: labels.npy}
"""

MADE = """
from torch import nn

from pgmgraph import ModelGraph, Observation
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.vae import VAE


def graph(pixels):
    observation = Observation(pixels, scale=1 / 255)
    decoder = nn.Sequential(nn.Linear(2, 64))  # a live object, which no configuration can tell
    vae, gmm = VAE(2, hidden=(16,), decoder=decoder, batch_size=50), GMM(3, starts=1)
    made = ModelGraph(pixels=observation, vae=vae, gmm=gmm)
    made.connect(observation.value, vae.x)
    made.connect(vae.z, gmm.x)
    return made


def vae_first(view, round):
    yield "vae"
    yield "gmm"
"""


def lay_out(folder: Path) -> Path:
    """Put a graph, digits and their labels into a folder."""
    digits = load_bundled_digits()
    np.save(folder / "digits.npy", digits.train_images[:ROWS])
    np.save(folder / "labels.npy", digits.train_labels[:ROWS])
    np.save(folder / "new.npy", digits.test_images[:30])
    (folder / "graph.yaml").write_text(GRAPH, encoding="utf-8")
    (folder / "made.py").write_text(MADE, encoding="utf-8")
    return folder


def call(*arguments: object) -> Result:
    """`pgmgraph` with these arguments, in this process."""
    result = CliRunner().invoke(app, [str(one) for one in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def done(*arguments: object) -> str:
    """What `pgmgraph` prints, of a call that goes well."""
    result = call(*arguments)
    assert result.exit_code == 0, f"{result.stdout}\n{result.stderr}"
    return result.stdout


def wrong(code: int, *arguments: object) -> str:
    """What `pgmgraph` complains of, in a call that ends with this code; nothing else is printed."""
    result = call(*arguments)
    assert result.exit_code == code, f"{result.exit_code}: {result.stdout}\n{result.stderr}"
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    return result.stderr


def records(*arguments: object) -> list[dict[str, Any]]:
    """The lines of JSON that `pgmgraph` prints."""
    return [json.loads(line) for line in done(*arguments, "--json").splitlines()]


def program(arguments: Sequence[object], folder: Path, **options: Any) -> subprocess.Popen[str]:
    """`pgmgraph` in a process of its own."""
    command = [str(Path(sys.executable).with_name("pgmgraph")), *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "120"}
    return subprocess.Popen(command, cwd=folder, env=environment, text=True, encoding="utf-8", **options)
