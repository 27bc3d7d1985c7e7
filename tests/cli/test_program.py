"""The program as a process: exit codes, interrupts, terminals, pipes that break."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import pgmgraph
from pgmgraph import Run
from pgmgraph.cli import commands
from tests.cli.calls import call, done, program, wrong

# Seconds that a process of its own may take to start and to end.
PATIENCE = 120

LONG = ["fit", "graph.yaml", "--no-report", "--rounds", 500, "--set", "vae.epochs=20", "--run-dir", "run"]


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, error = process.communicate(timeout=PATIENCE)
    return process.returncode, out, error


def wait_for_a_checkpoint(run: Path, process: subprocess.Popen[str]) -> None:
    limit = time.monotonic() + PATIENCE
    while not list(run.glob("checkpoints/round-*")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < limit
        time.sleep(0.05)


def test_every_command_is_there_and_has_help() -> None:
    listed = done("--help")
    for name in ("modules", "show", "check", "fit", "resume", "infer", "generate", "report", "compare"):
        assert re.search(rf"^  {name} ", listed, re.MULTILINE)
        assert "--json" in done(name, "--help")
    assert done("--version") == f"pgmgraph {pgmgraph.__version__}\n"


def test_an_unknown_command_or_option_is_refused_with_the_nearest() -> None:
    assert "Did you mean 'fit'?" in wrong(2, "fti")
    assert "--predict" in wrong(2, "infer", "run", "--predit", "pixels")


def test_an_error_shows_where_it_comes_from_when_asked(folder: Path) -> None:
    with pytest.raises(pgmgraph.errors.ConfigError):
        call("check", "nowhere.yaml", "--debug")


def test_a_call_in_words_is_a_process_that_ends_with_its_code(folder: Path) -> None:
    code, out, error = finish(
        program(
            ["fit", "graph.yaml", "--set", "gmm.component=3"], folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
    )
    assert (code, out) == (commands.WRONG, "")
    assert error.startswith("Error: modules.gmm.component:")
    assert "Did you mean 'components'?" in error


def test_an_interrupt_ends_with_the_round_on_disk_and_says_how_to_go_on(folder: Path) -> None:
    process = program(LONG, folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for_a_checkpoint(folder / "run", process)
    process.send_signal(signal.SIGINT)
    code, out, error = finish(process)
    assert code == commands.INTERRUPTED
    assert "the module in hand is finished first" in error
    assert "pgmgraph resume run" in error
    assert "Traceback" not in error
    run = Run("run")
    rounds = len(run.history["F"])
    assert run.status["state"] == "interrupted"
    assert run.checkpoint().name == f"round-{rounds:06}"
    assert f"what was learnt in {rounds} round" in error
    assert out.count("run: round") == rounds  # in a pipe, a plain line for each
    assert "\x1b" not in out
    done("resume", "run", "--rounds", rounds + 1, "--no-report")
    assert len(Run("run").history["F"]) == rounds + 1


@pytest.mark.slow
def test_a_second_interrupt_ends_at_once(folder: Path) -> None:
    process = program([*LONG, "--set", "vae.epochs=100000"], folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for_a_checkpoint(folder / "run", process)  # the first round is a short one
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None  # the module in hand would take hours
    process.send_signal(signal.SIGINT)
    code, _, error = finish(process)
    assert code == commands.INTERRUPTED
    assert "Interrupted at once. Go on from the last checkpoint: pgmgraph resume run" in error
    assert Run("run").checkpoint().name == "round-000001"


def test_a_reader_that_leaves_is_no_error(folder: Path) -> None:
    script = "pgmgraph modules | true; pgmgraph modules --json | true"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    process = subprocess.run(
        ["bash", "-c", script], cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=True
    )
    assert (process.stdout, process.stderr) == ("", "")


@pytest.mark.slow
def test_a_terminal_has_a_live_display(folder: Path) -> None:
    above, below = pty.openpty()
    process = program(
        ["fit", "graph.yaml", "--no-report", "--rounds", 3], folder, stdout=below, stderr=below, stdin=below
    )
    os.close(below)
    shown = b""
    limit = time.monotonic() + PATIENCE
    while time.monotonic() < limit:
        ready, _, _ = select.select([above], [], [], 1.0)
        if not ready:
            continue
        try:
            piece = os.read(above, 65_536)
        except OSError:  # the process has closed its end
            break
        shown += piece
    os.close(above)
    assert process.wait(timeout=PATIENCE) == 0
    text = shown.decode("utf-8")
    assert "\x1b[" in text
    assert "round 3/3" in text
    assert "\x1b[?25h" in text  # the cursor is back


@pytest.mark.slow
def test_a_program_reads_lines_of_json(folder: Path) -> None:
    process = program(
        ["fit", "graph.yaml", "--no-report", "--rounds", 1, "--json"],
        folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    code, out, error = finish(process)
    lines = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert lines[-1]["rounds"] == 1
    assert lines[0]["configuration"]["graph"]["modules"]["gmm"]["components"] == 3
    assert error == ""


@pytest.mark.slow
def test_a_terminal_that_lacks_a_sign_shows_another(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    code, out, error = finish(program(["show", "graph.yaml"], folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
    assert (code, error) == (0, "")
    assert "Observation 200 ? 64" in out
