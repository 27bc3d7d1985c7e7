"""The program `pgmgraph`: its commands, under one name."""

from __future__ import annotations

import io
import sys
from typing import Annotated

import typer

import pgmgraph
from pgmgraph.cli import learning, looking, reporting, using
from pgmgraph.cli.commands import command

app = typer.Typer(
    name="pgmgraph",
    help="Compose probabilistic modules into one model, and let them learn jointly.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for _function in (
    looking.modules,
    looking.show,
    looking.check,
    learning.fit,
    learning.resume,
    using.infer,
    using.generate,
    reporting.report,
    reporting.compare,
):
    app.command()(command(_function))


def main() -> None:
    """Run the command that the arguments of the process name, and end the process with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a sign is no reason to fail
    app(prog_name="pgmgraph")


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"pgmgraph {pgmgraph.__version__}")
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version, and end.")
    ] = False,
) -> None:
    """Compose probabilistic modules into one model, and let them learn jointly."""
