"""Examples, run as their users run them."""

from __future__ import annotations

import dataclasses
import runpy
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
import torch

import pgmgraph.datasets

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture
def printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., str]]:
    """Runs an example by its name, with arguments, in an empty folder and without data; what it prints.

    In this process, since one of its own would begin by importing everything again. `code` is what it exits with,
    `images` of the bundled digits are there to learn from.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PGMGRAPH_DATA", str(tmp_path))
    digits = pgmgraph.datasets.load_bundled_digits()

    def run(name: str, *arguments: str, code: int = 0, images: int | None = None) -> str:
        part = dataclasses.replace(
            digits, train_images=digits.train_images[:images], train_labels=digits.train_labels[:images]
        )
        monkeypatch.setattr(pgmgraph.datasets, "load_bundled_digits", lambda: part)
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *arguments])
        ended: object = 0
        try:
            runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
        except SystemExit as end:
            ended = end.code or 0
        captured = capsys.readouterr()
        assert (ended, captured.err) == (code, "")
        return captured.out

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield run
    torch.set_num_threads(threads)
    plt.close("all")
