"""Functions as commands: exit codes and messages."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from pgmgraph import errors
from pgmgraph.cli.answers import Answer
from pgmgraph.cli.commands import command

PATH = Path("runs/x")


def ended_by(error: BaseException, *options: str) -> tuple[int, str, str]:
    app = typer.Typer()

    def fail(answer: Answer, times: int = 1) -> None:
        raise error

    app.command()(command(fail))
    result = CliRunner().invoke(app, options)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ConfigError("no graph"), 2),
        (errors.DataFileError("no file", PATH), 2),
        (errors.RunError("taken", PATH), 2),
        (errors.WiringError("no wire"), 2),
        (errors.ScheduleError("no stage"), 2),
        (errors.UnknownPluginError("no plugin", "x"), 2),
        (errors.CapabilityError("no sample", "gmm", "sample"), 2),
        (errors.CheckpointError("altered", PATH), 1),
        (errors.DivergedError("NaN", "vae", 3), 1),
        (errors.BoundDecreasedError("fell", "gmm", 3, 0.1), 1),
        (errors.OutputError("full", PATH), 1),
        (errors.MessageError("NaN"), 1),
    ],
)
def test_an_error_is_a_message_and_a_code(error: errors.PgmgraphError, code: int) -> None:
    assert ended_by(error) == (code, "", f"Error: {error}\n")
    _, out, _ = ended_by(error, "--json")
    assert json.loads(out) == {"error": type(error).__name__, "message": str(error), "exit_code": code}
    with pytest.raises(type(error)):
        ended_by(error, "--debug")


def test_what_was_added_to_an_error_is_told_too() -> None:
    error = errors.DivergedError("NaN", "vae", 3)
    error.add_note("And the disk is full.")
    assert ended_by(error)[2] == "Error: NaN\nAnd the disk is full.\n"


def test_an_interrupt_says_how_to_go_on() -> None:
    code, out, error = ended_by(errors.Interrupted("told otherwise in Python", PATH, 3))
    assert (code, out) == (130, "")
    assert error == "Interrupted; what was learnt in 3 rounds is in runs/x. Go on with it: pgmgraph resume runs/x\n"
    assert ended_by(KeyboardInterrupt())[2] == "Interrupted.\n"


def test_an_error_that_is_not_ours_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        ended_by(ZeroDivisionError())


def test_a_command_has_the_options_of_its_function_and_two_more() -> None:
    def some(answer: Answer, name: str, n: int = 3) -> None:
        """Do it."""

    made = command(some)
    assert list(inspect.signature(made).parameters) == ["name", "n", "json", "debug"]
    assert made.__doc__ == "Do it."
