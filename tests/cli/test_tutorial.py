"""The tutorial: every command of the page, run in an empty folder, prints what the page says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "tutorial.md"
FENCE = re.compile(r"^```(?P<kind>console|yaml)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
ANYTHING = "..."


@dataclass(frozen=True)
class Command:
    """A command, and the lines that it prints."""

    text: str
    expected: tuple[str, ...]


def steps(page: str) -> Iterator[Command | tuple[str, str]]:
    """The commands of a page, and the files (name, content) that it tells the reader to write."""
    for found in FENCE.finditer(page):
        if found["kind"] == "console":
            yield from commands(found["body"])
        else:
            first, _, _ = found["body"].partition("\n")
            yield first.removeprefix("# "), found["body"]


def commands(block: str) -> Iterator[Command]:
    """What follows a dollar is typed, until the quotes that it opens are closed."""
    lines = block.splitlines()
    while lines:
        text = lines.pop(0).removeprefix("$ ")
        while text.count('"') % 2:
            text += "\n" + lines.pop(0)
        expected = []
        while lines and not lines[0].startswith("$ "):
            expected.append(lines.pop(0))
        yield Command(text, tuple(expected))


def matches(expected: tuple[str, ...], printed: str) -> bool:
    """Whether the lines are those expected; a line of three dots is any lines, and three dots in a line any text."""
    pattern = "".join(
        r"(?:.*\n)*?" if line.strip() == ANYTHING else re.escape(line).replace(re.escape(ANYTHING), ".*") + r"\n"
        for line in expected
    )
    return re.fullmatch(rf"\n*{pattern}\n*", printed) is not None


@pytest.mark.slow
def test_every_command_of_the_tutorial_does_what_the_page_says(tmp_path: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"}
    folder, run = tmp_path, 0
    for step in steps(PAGE.read_text(encoding="utf-8")):
        if not isinstance(step, Command):
            (folder / step[0]).write_text(step[1], encoding="utf-8")
            continue
        if step.text.startswith("cd "):
            folder = folder / step.text.removeprefix("cd ")
            continue
        process = subprocess.run(
            ["bash", "-c", step.text],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            check=False,
        )
        refused = bool(step.expected) and step.expected[0].startswith("Error:")
        assert (process.returncode == 0) is not refused, f"{step.text}\n{process.stdout}"
        printed = "\n".join(line.rstrip() for line in process.stdout.splitlines()) + "\n"
        assert matches(step.expected, printed), f"{step.text}\nshould print\n{step.expected}\nand printed\n{printed}"
        run += 1
    assert run >= 10
    for name in ("graph.png", "runs/graph-1/report.html", "comparison.html", "beliefs.npz", "cluster-3.png"):
        assert (folder / name).stat().st_size > 0


def test_lines_of_the_page_stand_for_what_is_printed() -> None:
    assert matches(("a", "...", "d ... f"), "a\nb\nc\nd e f\n")
    assert matches(("...", "d"), "d\n")
    assert not matches(("a", "d"), "a\nb\nd\n")
    assert not matches(("a",), "a\nb\n")
    [first, second] = commands('$ python -c "\nimport this"\nout\n$ ls\n')
    assert (first.text, first.expected) == ('python -c "\nimport this"', ("out",))
    assert second == Command("ls", ())
