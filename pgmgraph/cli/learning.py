"""`pgmgraph fit` and `pgmgraph resume`: a graph learns, in a run directory."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from pgmgraph import Callback, Run, Scorer, Scores
from pgmgraph import fit as learn
from pgmgraph.cli.answers import Answer, complain
from pgmgraph.cli.arguments import Data, GraphName, Labels, RunFolder, Settings
from pgmgraph.cli.blueprints import Blueprint, without_messages
from pgmgraph.cli.opened import again, folder_of, given_data, given_labels, plan_of, sources_of
from pgmgraph.cli.plans import Plan, written_schedule
from pgmgraph.cli.sources import absolute, labels_of, require_data, values_of
from pgmgraph.cli.tracking import trackers
from pgmgraph.cli.watching import watcher
from pgmgraph.errors import Interrupted, PgmgraphError, UnknownNameError, suggestion
from pgmgraph.fit import FitResult
from pgmgraph.graph import ModelGraph
from pgmgraph.observation import Values
from pgmgraph.ports import OutPort
from pgmgraph.runs import CONFIG, CONTROL

if TYPE_CHECKING:
    from pgmgraph.trackers import Tracker

RunDir = Annotated[
    Path | None, typer.Option("--run-dir", help="A folder of this run's own. By default runs/NAME-1, NAME-2 ...")
]
TensorBoardFolder = Annotated[
    Path | None, typer.Option("--tensorboard", help="Write for TensorBoard, into this folder.")
]
MLflowStore = Annotated[
    str | None, typer.Option("--mlflow", help="Write into an MLflow store, such as sqlite:///runs/mlflow.db.")
]
Report = Annotated[bool, typer.Option("--report/--no-report", help="Whether the report is written at the end.")]


@dataclass
class Job:
    """One graph that is to learn, and all that goes with it.

    Attributes:
        graph: the graph, not yet fitted.
        data: what `fit` must be given besides it.
        path: the run directory.
        arguments: of `fit`.
        labels: integers by the name of the variable that they are compared with.
        notes: what the run directory is to keep.
        trackers: callbacks besides the display.
        beside: the name of the run that it is the control of, if any.
    """

    graph: ModelGraph
    data: Mapping[str, Values] | None
    path: Path
    arguments: Mapping[str, Any]
    labels: Mapping[str, NDArray[np.int64]]
    notes: Mapping[str, Any] = field(default_factory=dict)
    trackers: Sequence[Tracker] = ()
    beside: str = ""

    def run(self, answer: Answer, resume: bool | str = False) -> FitResult:
        """Learn, and show it."""
        prefixes = {name: f"{name} " if len(self.labels) > 1 else "" for name in self.labels}
        scorers = [Scores(variable(self.graph, name), labels, prefixes[name]) for name, labels in self.labels.items()]
        shown = tuple(f"{prefix}accuracy" for prefix in prefixes.values())
        watch = watcher(answer, self.path, shown, self.beside)
        callbacks: list[Callback | Scorer] = [watch, *scorers, *self.trackers]
        try:
            return learn(
                self.graph,
                self.data,
                **self.arguments,
                callbacks=callbacks,
                run_dir=self.path,
                resume=resume,
                report=False,
                notes=self.notes,
            )
        except Interrupted:
            raise
        except KeyboardInterrupt:
            if not (self.path / CONFIG).is_file():
                raise
            text = f"Interrupted at once. Go on from the last checkpoint: pgmgraph resume {self.path}"
            raise KeyboardInterrupt(text) from None


def fit(
    answer: Answer,
    graph: GraphName,
    data: Data = None,
    labels: Labels = None,
    rounds: Annotated[int | None, typer.Option(help="How many rounds to learn, at most.")] = None,
    run_dir: RunDir = None,
    settings: Settings = None,
    seed: Annotated[int | None, typer.Option(help="What all randomness follows from; 0 by default.")] = None,
    schedule: Annotated[
        str | None,
        typer.Option(help="bottom_up, up_down, residual, stages such as '[vae, gmm, gmm]', or file.py:function."),
    ] = None,
    tol: Annotated[float | None, typer.Option(help="Stop when F changes by less than this share of itself.")] = None,
    patience: Annotated[int | None, typer.Option(help="For so many rounds; 3 by default.")] = None,
    restarts: Annotated[int | None, typer.Option(help="How many beginnings are tried; the best goes on.")] = None,
    restart_rounds: Annotated[int | None, typer.Option(help="After so many rounds each; 12 by default.")] = None,
    frozen: Annotated[
        list[str] | None, typer.Option(metavar="MODULE", help="A module that sends but does not learn.")
    ] = None,
    strict: Annotated[
        bool | None, typer.Option("--strict/--no-strict", help="Stop where an exact update lowers F.")
    ] = None,
    objective: Annotated[bool | None, typer.Option("--objective/--no-objective", help="Whether F is computed.")] = None,
    checkpoint_rounds: Annotated[
        int | None, typer.Option(help="A checkpoint every so many rounds; 1 by default.")
    ] = None,
    checkpoint_minutes: Annotated[float | None, typer.Option(help="A checkpoint every so many minutes.")] = None,
    keep: Annotated[
        int | None, typer.Option(help="How many checkpoints are kept, besides the best; 2 by default.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1 ...")] = None,
    control: Annotated[
        bool, typer.Option("--control", help="Learn the same without backward messages too, into RUN/control.")
    ] = False,
    report: Report = True,
    tensorboard: TensorBoardFolder = None,
    mlflow: MLflowStore = None,
) -> None:
    """Learn, and keep all that comes of it in a run directory.

    What GRAPH says under `fit`, and as `data` of an observation, holds where no option says otherwise.
    """
    blueprint = Blueprint(graph, settings or ())
    options = {
        "rounds": rounds,
        "seed": seed,
        "schedule": written_schedule(schedule),
        "tol": tol,
        "patience": patience,
        "restarts": restarts,
        "restart_rounds": restart_rounds,
        "frozen": frozen,
        "strict": strict,
        "objective": objective,
        "device": device,
        "checkpoint_rounds": checkpoint_rounds,
        "checkpoint_minutes": checkpoint_minutes,
        "keep": keep,
    }
    plan = Plan.of(blueprint.learning, options)
    arguments = plan.arguments(blueprint.folder)
    sources = {**blueprint.sources, **given_data(data)}
    label_sources = {name: absolute(source, blueprint.folder) for name, source in plan.labels.items()}
    label_sources |= given_labels(labels)
    values = values_of(sources)
    made = blueprint.graph(values, plan.seed)
    require_data(made, values)
    path = run_dir or free_folder(blueprint.name)
    notes = {
        "graph": blueprint.reference,
        "folder": str(blueprint.folder),
        "set": blueprint.settings,
        "data": sources,
        "labels": label_sources,
        "plan": plan.notes,
        "control": control,
    }
    job = Job(made, blueprint.needs(values), path, arguments, labels_of(label_sources), notes)
    job.trackers = trackers(made, job.path, job.labels, tensorboard, mlflow)
    beside = without_messages(made, job.data or {}, plan.seed, blueprint.folder) if control else None
    _learn(answer, job, beside, report)


def resume(
    answer: Answer,
    run: RunFolder,
    data: Data = None,
    labels: Labels = None,
    rounds: Annotated[int | None, typer.Option(help="Learn until there are so many rounds.")] = None,
    start: Annotated[
        str | None, typer.Option("--from", help="A checkpoint of the run, such as round-000012; the last by default.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1 ...")] = None,
    report: Report = True,
    tensorboard: TensorBoardFolder = None,
    mlflow: MLflowStore = None,
) -> None:
    """Go on with a run that was broken off, or that is to have more rounds.

    The data are read where they were; --data says otherwise. The result is that of a run that was never interrupted.
    """
    opened = Run(run)
    plan = plan_of(opened, {"rounds": rounds, "device": device})
    arguments = plan.arguments(folder_of(opened))
    values = values_of({**sources_of(opened, "data"), **given_data(data)})
    label_sources = {**sources_of(opened, "labels"), **given_labels(labels)}
    made, besides = again(opened, values, plan.seed)
    require_data(made, values)
    job = Job(made, besides, run, arguments, labels_of(label_sources), opened.notes)
    job.trackers = trackers(made, job.path, job.labels, tensorboard, mlflow)
    control = opened.notes.get("control") is True
    beside = without_messages(made, besides or {}, plan.seed, folder_of(opened)) if control else None
    _learn(answer, job, beside, report, start or True)


def _learn(answer: Answer, job: Job, control: ModelGraph | None, report: bool, resume: bool | str = False) -> None:
    """Learn, then the control, then the report."""
    result = job.run(answer, resume)
    if control is not None:
        path = job.path / CONTROL
        # Made again by its own configuration, in which nothing goes back.
        notes = {name: value for name, value in job.notes.items() if name not in ("graph", "set", "control")}
        other = Job(control, None, path, job.arguments, job.labels, notes, beside=job.path.name)
        try:
            other.run(answer, (path / CONFIG).is_file())
        except Interrupted as error:
            # The run that it goes beside takes it up again.
            raise Interrupted(str(error), job.path, error.rounds) from error
    written = None
    if report:
        from pgmgraph.report import report_run

        known = next(iter(job.labels.values()), None)
        try:
            written = report_run(Run(job.path), job.graph, result.beliefs, labels=known)
        except PgmgraphError as error:
            # What has been learnt is safe by now.
            complain(f"Warning: There is no report of the run. {error}")
    seconds = sum(value or 0.0 for value in result.history.get("seconds", ()))
    finals = {name: column[-1] for name, column in result.history.items() if name != "seconds" and column}
    answer.say()
    answer.table(["rounds", *finals, "seconds"], [[result.rounds, *finals.values(), seconds]])
    answer.say(f"run: {job.path}" + (f"\nreport: {written}" if written else ""))
    answer.record(
        {
            "run": job.path,
            "reason": result.reason,
            "rounds": result.rounds,
            "values": finals,
            "seconds": seconds,
            "report": written,
        }
    )


def variable(graph: ModelGraph, name: str) -> OutPort:
    """The variable of this name.

    Raises:
        UnknownNameError: there is none.
    """
    variables = graph.variables
    if name not in variables:
        raise UnknownNameError(
            f"No variable named {name!r} to score.{suggestion(name, variables)} There are: {', '.join(variables)}.",
            name,
        )
    return variables[name]


def free_folder(name: str) -> Path:
    """The folder of the next run of this name: `runs/mnist-1`, `runs/mnist-2` ..."""
    numbered = (Path("runs") / f"{name}-{number}" for number in itertools.count(1))
    return next(path for path in numbered if not path.exists())
