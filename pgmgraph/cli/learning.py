"""`pgmgraph fit` and `pgmgraph resume`: a graph learns, in a run directory."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Annotated

import typer

from pgmgraph import Executor, Run
from pgmgraph.cli.answers import Answer, complain
from pgmgraph.cli.arguments import Data, GraphName, Labels, RunFolder, Settings
from pgmgraph.cli.blueprints import Blueprint, without_messages
from pgmgraph.cli.elsewhere import Address, ExecutorName, Resources, Shards, executor_of
from pgmgraph.cli.job import Job
from pgmgraph.cli.opened import again, folder_of, given_data, given_labels, plan_of, sources_of
from pgmgraph.cli.plans import Plan, written_schedule
from pgmgraph.cli.sources import Sources, absolute, labels_of, require_data, values_of
from pgmgraph.cli.tracking import trackers
from pgmgraph.errors import Interrupted, PgmgraphError
from pgmgraph.fit import FitResult
from pgmgraph.graph import ModelGraph
from pgmgraph.runs import CONFIG, CONTROL

RunDir = Annotated[
    Path | None, typer.Option("--run-dir", help="A folder of this run's own. By default runs/NAME-1, NAME-2 ...")
]
Rounds = Annotated[int | None, typer.Option(help="How many rounds there are to be, at most.")]
FirstSeed = Annotated[int | None, typer.Option(help="What all randomness follows from; 0 by default.")]
ScheduleText = Annotated[
    str | None,
    typer.Option(help="bottom_up, up_down, residual, stages such as '[vae, gmm, gmm]', or file.py:function."),
]
Tolerance = Annotated[float | None, typer.Option(help="Stop when F changes by less than this share of itself.")]
Patience = Annotated[int | None, typer.Option(help="For so many rounds; 3 by default.")]
Restarts = Annotated[int | None, typer.Option(help="How many beginnings are tried; the best goes on.")]
RestartRounds = Annotated[int | None, typer.Option(help="After so many rounds each; 12 by default.")]
Frozen = Annotated[
    list[str] | None, typer.Option(metavar="MODULE", help="A module that sends but does not learn. Repeatable.")
]
Strict = Annotated[bool | None, typer.Option("--strict/--no-strict", help="Stop where an exact update lowers F.")]
Objective = Annotated[bool | None, typer.Option("--objective/--no-objective", help="Whether F is computed.")]
CheckpointRounds = Annotated[int | None, typer.Option(help="A checkpoint every so many rounds; 1 by default.")]
CheckpointMinutes = Annotated[float | None, typer.Option(help="A checkpoint every so many minutes.")]
Keep = Annotated[int | None, typer.Option(help="How many checkpoints are kept, besides the best; 2 by default.")]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1 ...")]
Control = Annotated[
    bool, typer.Option("--control", help="Learn the same without backward messages too, into RUN/control.")
]
Start = Annotated[
    str | None, typer.Option("--from", help="A checkpoint of the run, such as round-000012; the last by default.")
]
TensorBoardFolder = Annotated[
    Path | None, typer.Option("--tensorboard", help="Write for TensorBoard, into this folder.")
]
MLflowStore = Annotated[
    str | None, typer.Option("--mlflow", help="Write into an MLflow store, such as sqlite:///runs/mlflow.db.")
]
Report = Annotated[bool, typer.Option("--report/--no-report", help="Whether the report is written at the end.")]


def fit(
    answer: Answer,
    graph: GraphName,
    data: Data = None,
    labels: Labels = None,
    rounds: Rounds = None,
    run_dir: RunDir = None,
    settings: Settings = None,
    seed: FirstSeed = None,
    schedule: ScheduleText = None,
    tol: Tolerance = None,
    patience: Patience = None,
    restarts: Restarts = None,
    restart_rounds: RestartRounds = None,
    frozen: Frozen = None,
    strict: Strict = None,
    objective: Objective = None,
    checkpoint_rounds: CheckpointRounds = None,
    checkpoint_minutes: CheckpointMinutes = None,
    keep: Keep = None,
    device: Device = None,
    control: Control = False,
    report: Report = True,
    tensorboard: TensorBoardFolder = None,
    mlflow: MLflowStore = None,
    executor: ExecutorName = "serial",
    address: Address = None,
    shards: Shards = None,
    resources: Resources = None,
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
    job, beside = _begun(blueprint, plan, given_data(data), given_labels(labels), run_dir, control)
    job.trackers = trackers(job.graph, job.path, job.labels, tensorboard, mlflow)
    with executor_of(executor, address, shards, resources) as elsewhere:
        _learn(answer, job, beside, report, executor=elsewhere)


def resume(
    answer: Answer,
    run: RunFolder,
    data: Data = None,
    labels: Labels = None,
    rounds: Rounds = None,
    start: Start = None,
    device: Device = None,
    report: Report = True,
    tensorboard: TensorBoardFolder = None,
    mlflow: MLflowStore = None,
    executor: ExecutorName = "serial",
    address: Address = None,
    shards: Shards = None,
    resources: Resources = None,
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
    with executor_of(executor, address, shards, resources) as elsewhere:
        _learn(answer, job, beside, report, start or True, elsewhere)


def _begun(
    blueprint: Blueprint, plan: Plan, data: Sources, labels: Sources, run_dir: Path | None, control: bool
) -> tuple[Job, ModelGraph | None]:
    """What a new run is to do; and the graph of its control, if one is wanted."""
    arguments = plan.arguments(blueprint.folder)
    sources = {**blueprint.sources, **data}
    in_file = {name: absolute(source, blueprint.folder) for name, source in plan.labels.items()}
    label_sources = {**in_file, **labels}
    values = values_of(sources)
    graph = blueprint.graph(values, plan.seed)
    require_data(graph, values)
    notes = {
        "graph": blueprint.reference,
        "folder": str(blueprint.folder),
        "set": blueprint.settings,
        "data": sources,
        "labels": label_sources,
        "plan": plan.notes,
        "control": control,
    }
    path = run_dir or free_folder(blueprint.name)
    job = Job(graph, blueprint.needs(values), path, arguments, labels_of(label_sources), notes)
    beside = without_messages(graph, job.data or {}, plan.seed, blueprint.folder) if control else None
    return job, beside


def _learn(
    answer: Answer,
    job: Job,
    control: ModelGraph | None,
    report: bool,
    resume: bool | str = False,
    executor: Executor | None = None,
) -> None:
    """Learn, then the control, then the report."""
    result = job.run(answer, resume, executor)
    if control is not None:
        path = job.path / CONTROL
        # Made again by its own configuration, in which nothing goes back.
        notes = {name: value for name, value in job.notes.items() if name not in ("graph", "set", "control")}
        other = Job(control, None, path, job.arguments, job.labels, notes, beside=job.path.name)
        try:
            other.run(answer, (path / CONFIG).is_file(), executor)
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
    _tell(answer, job.path, result, written)


def _tell(answer: Answer, path: Path, result: FitResult, report: Path | None) -> None:
    """Say what came of it in the end."""
    seconds = sum(value or 0.0 for value in result.history.get("seconds", ()))
    finals = {name: column[-1] for name, column in result.history.items() if name != "seconds" and column}
    answer.say()
    answer.table(["rounds", *finals, "seconds"], [[result.rounds, *finals.values(), seconds]])
    answer.say(f"run: {path}" + (f"\nreport: {report}" if report else ""))
    answer.record(
        {
            "run": path,
            "reason": result.reason,
            "rounds": result.rounds,
            "values": finals,
            "seconds": seconds,
            "report": report,
        }
    )


def free_folder(name: str) -> Path:
    """The folder of the next run of this name: `runs/mnist-1`, `runs/mnist-2` ..."""
    numbered = (Path("runs") / f"{name}-{number}" for number in itertools.count(1))
    return next(path for path in numbered if not path.exists())
