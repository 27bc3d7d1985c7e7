"""Commands: functions whose errors end in a message and an exit code, and whose answers a program can read."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Concatenate, ParamSpec

import typer

from pgmgraph.cli.answers import Answer, complain, plain_warnings
from pgmgraph.errors import CheckpointError, Interrupted, LearningError, MessageError, OutputError, PgmgraphError

P = ParamSpec("P")

FAILED, WRONG, INTERRUPTED = 1, 2, 130
# What can go wrong though all was asked for as it should be; any other error of ours is about what was asked for.
_FAILURES = (CheckpointError, LearningError, MessageError, OutputError)

Json = Annotated[bool, typer.Option("--json", help="Answer in JSON, for a program.")]
Debug = Annotated[
    bool, typer.Option("--debug", envvar="PGMGRAPH_DEBUG", help="Show where in the program an error comes from.")
]


def command(function: Callable[Concatenate[Answer, P], None]) -> Callable[..., None]:
    """A function that takes an `Answer` and options as a command: with --json and --debug, and with exit codes.

    0 done; 1 it failed; 2 the call was wrong; 130 interrupted.
    """

    @functools.wraps(function)
    def run(*args: P.args, **options: P.kwargs) -> None:
        machine, debug = bool(options.pop("json")), bool(options.pop("debug"))
        with plain_warnings():
            answer = Answer(machine)
            try:
                function(answer, *args, **options)
            except PgmgraphError as error:
                if debug:
                    raise
                code = FAILED if isinstance(error, _FAILURES) else WRONG
                _refuse(answer, error, code)
                raise typer.Exit(code) from error
            except KeyboardInterrupt as error:
                complain(_how_to_go_on(error))
                answer.record({"error": "Interrupted", "exit_code": INTERRUPTED})
                raise typer.Exit(INTERRUPTED) from error

    signature = inspect.signature(function, eval_str=True)
    _, *own = signature.parameters.values()
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=kind)
        for name, kind in (("json", Json), ("debug", Debug))
    ]
    run.__signature__ = signature.replace(parameters=[*own, *added])  # type: ignore[attr-defined]  # read by inspect
    run.__annotations__ = {one.name: one.annotation for one in (*own, *added)}
    return run


def _refuse(answer: Answer, error: PgmgraphError, code: int) -> None:
    notes = getattr(error, "__notes__", [])
    text = "\n".join([str(error), *notes])
    complain(f"Error: {text}")
    answer.record({"error": type(error).__name__, "message": text, "exit_code": code})


def _how_to_go_on(error: KeyboardInterrupt) -> str:
    if not isinstance(error, Interrupted):
        return str(error) or "Interrupted."
    rounds = f"{error.rounds} round{'' if error.rounds == 1 else 's'}"
    return f"Interrupted; what was learnt in {rounds} is in {error.path}. Go on with it: pgmgraph resume {error.path}"
