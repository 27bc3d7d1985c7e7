"""`pgmgraph infer` and `pgmgraph generate`: a run that has learnt, put to use."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from pgmgraph import Beliefs, Drawn, Run, infer_blocks, save_beliefs
from pgmgraph import generate as draw
from pgmgraph.cli.answers import Answer
from pgmgraph.cli.arguments import Checkpoint, Data, RunFolder, Seed
from pgmgraph.cli.opened import given_data, learnt, sources_of
from pgmgraph.cli.sources import assigned, values_of
from pgmgraph.config.text import parsed
from pgmgraph.datasets import read_values
from pgmgraph.errors import ConfigError, DataError
from pgmgraph.graph import ModelGraph
from pgmgraph.observation import Values

_PICTURES = (".png", ".pdf", ".svg")
_COLUMNS = 8

Where = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        metavar="VARIABLE=VALUE",
        help="Fix a variable: gmm.c=3, vae.z=[0.5, 1.0], or a file of one value for each row. Repeatable.",
    ),
]


def infer(
    answer: Answer,
    run: RunFolder,
    out: Annotated[Path, typer.Option(help="The file to write: .npz or .parquet.")],
    data: Data = None,
    predict: Annotated[
        list[str] | None, typer.Option(help="An observation whose values the model is to tell as it sees them.")
    ] = None,
    draws: Annotated[
        int, typer.Option(min=0, help="From how many draws what is missing is filled in; 0 leaves it out.")
    ] = 100,
    rounds: Annotated[int, typer.Option(min=1, help="How many rounds of messages at most.")] = 50,
    batch_size: Annotated[int | None, typer.Option(min=1, help="How many rows are inferred at a time.")] = None,
    checkpoint: Checkpoint = None,
    seed: Seed = 0,
) -> None:
    """Write down what a run believes about data: new ones of any size, by default its own."""
    opened = Run(run)
    graph = learnt(opened, {}, checkpoint)
    values = values_of(given_data(data) or sources_of(opened, "data"))
    if not values:
        raise ConfigError(f"Expected data: --data {next(iter(graph.observations), 'NAME')}=FILE; {run} names none.")
    blocks = infer_blocks(
        graph, values, predict=predict or (), draws=draws, rounds=rounds, batch_size=batch_size, seed=seed
    )
    rows: dict[str, int] = {}

    def counted() -> Iterator[Beliefs]:
        for block in blocks:
            for name, message in block.items():
                rows[name] = rows.get(name, 0) + len(message)
            yield block

    written = save_beliefs(counted(), out)
    answer.table(["variable", "rows"], [[name, count] for name, count in rows.items()])
    answer.say(f"\n{written}")
    answer.record({"rows": rows, "out": written})


def generate(
    answer: Answer,
    run: RunFolder,
    where: Where = None,
    n: Annotated[int, typer.Option("--n", min=1, help="How many rows to draw.")] = 1,
    temperature: Annotated[float, typer.Option(min=0.0, help="Below 1 closer to what is typical.")] = 1.0,
    out: Annotated[Path, typer.Option(help="An .npz of all values, or a picture of the images (.png).")] = Path(
        "drawn.npz"
    ),
    checkpoint: Checkpoint = None,
    seed: Seed = 0,
) -> None:
    """Draw from what a run has learnt, given the values of some variables."""
    graph = learnt(Run(run), {}, checkpoint)
    clamped = {name: _value(name, text) for name, text in assigned(where or (), "--where", "gmm.c=3").items()}
    drawn = draw(graph, clamped, n=n, temperature=temperature, seed=seed)
    written = _save_images(graph, drawn, out) if out.suffix in _PICTURES else [drawn.save(out)]
    shapes = {name: list(values.shape) for name, values in drawn.items()}
    answer.table(["variable", "drawn"], [[name, " x ".join(map(str, shape))] for name, shape in shapes.items()])
    answer.say("\n" + "\n".join(map(str, written)))
    answer.record({"shapes": shapes, "out": written})


def _value(name: str, text: str) -> Values | float:
    """A value as `--where` has it: a number, a list, or a file."""
    found = parsed(text, f"--where {name}")
    if isinstance(found, bool) or not isinstance(found, int | float | str | list):
        raise ConfigError(f"Expected a number, a list or a file as the value of {name}; got {text}.")
    if isinstance(found, str):
        values = read_values(found)
        return values if isinstance(values, np.ndarray) else values.toarray()
    if not isinstance(found, list):
        return found
    try:
        array = np.array(found)
    except ValueError as error:
        raise ConfigError(
            f"Expected a list of numbers, or of equal lists, as the value of {name}; got {text}."
        ) from error
    return array


def _save_images(graph: ModelGraph, drawn: Drawn, path: Path) -> list[Path]:
    """A picture of what was drawn of each observation that is an image; several have its name in theirs."""
    from pgmgraph.plotting import image_grid, save
    from pgmgraph.report.galleries import image_shape

    written: list[Path] = []
    for name, observation in graph.observations.items():
        shape = image_shape(observation.point.event_shape)
        if shape is not None and name in drawn:
            values = drawn[name].double().cpu().numpy().reshape(-1, *shape)
            target = path if not written else path.with_stem(f"{path.stem}-{name}")
            written.append(save(image_grid(_tiled(values), (shape[-2], shape[-1]), value_range=_span(values)), target))
    if not written:
        raise DataError(f"Expected an observation that is an image, to draw {path}; none is. Write an .npz file.")
    return written


def _tiled(images: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, H, W) or (N, C, H, W) images in rows of at most 8; colours come last, and the rest of a row is empty."""
    if images.ndim == 4:
        images = np.moveaxis(images, 1, -1)[..., :3]
        images = images[..., 0] if images.shape[-1] == 1 else images
    columns = min(_COLUMNS, len(images))
    rows = math.ceil(len(images) / columns)
    tiled = np.full((rows * columns, *images.shape[1:]), np.nan)
    tiled[: len(images)] = images
    return tiled.reshape(rows, columns, *images.shape[1:])


def _span(values: NDArray[np.float64]) -> tuple[float, float]:
    """What stands for black and for white: 0 and 1 where the values lie within."""
    low, high = float(values.min()), float(values.max())
    return (0.0, 1.0) if (low >= 0 and high <= 1) or low == high else (low, high)
