"""Arguments that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

GraphName = Annotated[
    str, typer.Argument(metavar="GRAPH", help="A YAML file, or a function that makes the graph: file.py:function.")
]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run directory, such as runs/mnist-1.")]
Data = Annotated[
    list[str] | None,
    typer.Option(
        "--data",
        metavar="NAME=FILE",
        help="Values of an observation: .npy, .npz (#member, or sparse), IDX, CSV, Parquet, a folder of images. Once "
        "for each.",
    ),
]
Labels = Annotated[
    list[str] | None,
    typer.Option(
        "--labels", metavar="VARIABLE=FILE", help="Labels that a discrete variable is scored by; never learnt from."
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PLACE=VALUE", help="Change one value of the graph: vae.latent_dim=16. Repeatable."),
]
Checkpoint = Annotated[
    str | None, typer.Option("--checkpoint", help="Which one of the run, such as round-000012; the last by default.")
]
Seed = Annotated[int, typer.Option(help="What randomness follows from.")]
