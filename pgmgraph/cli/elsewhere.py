"""Where modules run, by the options of the command line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated

import typer

from pgmgraph import Executor
from pgmgraph.errors import ConfigError, suggestion

EXECUTORS = ("serial", "ray")

ExecutorName = Annotated[str, typer.Option("--executor", help="serial, in this process; or ray, each in its own.")]
Address = Annotated[
    str | None, typer.Option(help="Of a Ray cluster, such as auto; by default one begins on this machine.")
]
Shards = Annotated[
    list[str] | None, typer.Option("--shards", metavar="MODULE=N", help="Split a module's plate. Repeatable.")
]
Resources = Annotated[
    list[str] | None,
    typer.Option("--resources", metavar="MODULE.KIND=X", help="What a module asks for: vae.gpu=1. Repeatable."),
]


@contextmanager
def executor_of(
    name: str, address: str | None, shards: Sequence[str] | None, resources: Sequence[str] | None
) -> Iterator[Executor | None]:
    """The executor that was asked for, as long as the block lasts; None for the ordinary one.

    Raises:
        ConfigError: there is none of this name, options that do not fit it, or Ray is not installed.
    """
    if name not in EXECUTORS:
        raise ConfigError(
            f"No executor named {name!r}.{suggestion(name, EXECUTORS)} There are: {', '.join(EXECUTORS)}."
        )
    given = {"--address": address, "--shards": shards, "--resources": resources}
    if name == "serial":
        for option, value in given.items():
            if value:
                raise ConfigError(f"Expected --executor ray with {option}; got serial.")
        yield None
        return
    try:
        from pgmgraph.executors.ray import RayExecutor
    except ModuleNotFoundError as error:
        raise ConfigError(
            "Expected Ray to be installed for --executor ray. Install it: pip install 'pgmgraph[ray]'."
        ) from error
    asked: dict[str, dict[str, float]] = {}
    for (module, kind), amount in (_resource(text) for text in resources or ()):
        asked.setdefault(module, {})[kind] = amount
    with RayExecutor(address, resources=asked, shards=dict(map(_shard, shards or ()))) as executor:
        yield executor


def _shard(text: str) -> tuple[str, int]:
    module, _, number = text.partition("=")
    if not (module and number.isdecimal() and int(number)):
        raise ConfigError(f"Expected --shards MODULE=N, a number from 1 on; got {text!r}.")
    return module, int(number)


def _resource(text: str) -> tuple[tuple[str, str], float]:
    place, _, amount = text.partition("=")
    module, _, kind = place.rpartition(".")
    try:
        if module and kind and float(amount) >= 0:
            return (module, kind), float(amount)
    except ValueError:
        pass  # told below, with all else that is wrong
    raise ConfigError(f"Expected --resources MODULE.KIND=X, such as vae.gpu=1; got {text!r}.")
