"""`pgmgraph report` and `pgmgraph compare`: what came of runs, to look at."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from pgmgraph import Run, infer
from pgmgraph.cli.answers import Answer, complain
from pgmgraph.cli.arguments import Checkpoint, Data, Labels, RunFolder
from pgmgraph.cli.opened import given_data, given_labels, learnt, sources_of
from pgmgraph.cli.sources import Arrays, labels_of, values_of
from pgmgraph.errors import ConfigError, DataFileError
from pgmgraph.graph import ModelGraph
from pgmgraph.messages import Message
from pgmgraph.provenance import describe

Runs = Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run directories.")]


def report(
    answer: Answer,
    run: RunFolder,
    data: Data = None,
    labels: Labels = None,
    checkpoint: Checkpoint = None,
    out: Annotated[Path | None, typer.Option(help="The file to write; RUN/report.html by default.")] = None,
) -> None:
    """Write the report of a run: one HTML file that needs no network.

    The data and the labels are read where they were when the run was begun; without them the report has what the run
    directory itself holds.
    """
    from pgmgraph.report import report_run

    opened = Run(run)
    given = {**given_data(data), **given_labels(labels)}
    beliefs: Mapping[str, Message] = {}
    known: NDArray[np.int64] | None = None
    values: Arrays = {}
    try:
        values = values_of({**sources_of(opened, "data"), **given_data(data)})
        found = labels_of({**sources_of(opened, "labels"), **given_labels(labels)})
        known = next(iter(found.values()), None)
    except DataFileError as error:
        if given:
            raise
        complain(f"Warning: the report goes without the data of the run. {error}")
        values, known = {}, None
    graph = learnt(opened, values, checkpoint)
    if values:
        _compare_data(opened, graph)
        beliefs = infer(graph, draws=0)  # the report is about what was observed
    written = report_run(opened, graph, beliefs, labels=known, path=out)
    answer.say(str(written))
    answer.record({"run": run, "report": written})


def compare(
    answer: Answer,
    runs: Runs,
    out: Annotated[Path, typer.Option(help="A page (.html) or a picture of the curves (.png, .pdf, .svg).")] = Path(
        "comparison.html"
    ),
) -> None:
    """Compare several runs: final values in a table, curves in a picture."""
    from pgmgraph.plotting import curves_figure, save
    from pgmgraph.report import final_values, quantities, write_comparison

    opened = [Run(path) for path in runs]
    names = [one.path.resolve().name for one in opened]
    by_path = [str(path) for path in runs]
    if len(set(by_path)) < len(by_path):
        raise ConfigError(f"Expected different runs to compare; got {', '.join(by_path)}.")
    histories = {
        name if names.count(name) == 1 else path: one.history
        for name, path, one in zip(names, by_path, opened, strict=True)
    }
    columns, rows = final_values(histories)
    if out.suffix == ".html":
        written = write_comparison(histories, out)
    else:
        written = save(curves_figure(quantities(histories)), out)
    answer.table(columns, rows)
    answer.say(f"\n{written}")
    answer.record({"runs": [dict(zip(columns, row, strict=True)) for row in rows], "out": written})


def _compare_data(run: Run, graph: ModelGraph) -> None:
    """Warn where the data are not what the run learnt from."""
    for name, observation in graph.observations.items():
        then = run.config["data"].get(name)
        if then != describe(observation.point, observation.lengths, observation.groups):
            complain(f"Warning: the data of {name} are not those that {run.path} learnt from.")
