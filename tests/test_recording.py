"""A run directory: what is in it, who may write into it, and that a resumed run is one that was never interrupted."""

import json
import os
import signal
import warnings
from collections.abc import Callable
from functools import partial

import pytest
import torch

import pgmgraph
from pgmgraph import Categorical, Checkpoints, ModelGraph, Observation, Run, Scores, events
from pgmgraph.errors import (
    BoundDecreased,
    CheckpointError,
    ConfigError,
    DivergedError,
    Interrupted,
    OutputError,
    RunError,
    ScheduleError,
)
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.vae import VAE, Ramp
from tests.refusals import refused
from tests.test_atomic import names_in
from tests.test_fit import chain, mixture, same, states, vae_mixture
from tests.toys import Drifting, Failing, blobs, intensities, observed

torch.set_num_threads(1)

ROUNDS = 4
fit = partial(pgmgraph.fit, report=False)


def gibbs() -> ModelGraph:
    data = Observation(blobs(45)[0])
    graph = ModelGraph(data=data, gmm=(gmm := GMM(3, starts=2, inference="gibbs", sweeps=5)))
    graph.connect(data.value, gmm.x)
    return graph


def stochastic() -> ModelGraph:
    data = Observation(blobs(45)[0])
    graph = ModelGraph(data=data, gmm=(gmm := GMM(3, starts=2, inference="svi", batch_size=20)))
    graph.connect(data.value, gmm.x)
    return graph


def collapsed() -> ModelGraph:
    data = Observation(intensities(40))
    vae, gmm = VAE(2, hidden=(4,), batch_size=16, kl_weight=Ramp(0.1, 1.0, 3)), GMM(2, starts=2, message="mixture")
    graph = ModelGraph(pixels=data, vae=vae, gmm=gmm)
    graph.connect(data.value, vae.x)
    graph.connect(vae.z, gmm.x)
    return graph


def sampling() -> ModelGraph:
    return vae_mixture(send="sample")


def with_missing() -> ModelGraph:
    missing = torch.zeros(45, dtype=torch.bool)
    missing[[3, 17]] = True
    return mixture(missing=missing)


def twice_the_vae(view, round):
    """A schedule that looks back: what it does depends on F so far, and on the round."""
    rising = len(view.F) < 2 or view.F[-1] > view.F[-2]
    return ["vae", "vae", "gmm"] if rising and round % 2 else ["vae", "gmm"]


def outcome(graph, result):
    """Everything that must be the same."""
    letters = {
        name: [getattr(message, part) for part in (*message.per_item, *message.shared)]
        for name, message in result.beliefs.items()
    }
    history = {name: column for name, column in result.history.items() if name != "seconds"}
    return states(graph), letters, history, result.trace, result.reason, result.rounds, result.beginnings


@pytest.mark.parametrize(
    ("build", "arguments"),
    [
        (mixture, {}),
        (mixture, {"tol": 1e-5, "patience": 2}),
        (mixture, {"restarts": 3, "restart_rounds": 2}),
        (with_missing, {}),
        (gibbs, {}),
        (stochastic, {}),
        (vae_mixture, {}),
        (vae_mixture, {"schedule": "up_down"}),
        (vae_mixture, {"schedule": "residual"}),
        (vae_mixture, {"schedule": ["vae", "gmm", "gmm"]}),
        (vae_mixture, {"schedule": [("vae", "gmm")], "frozen": []}),
        (vae_mixture, {"schedule": twice_the_vae}),
        (vae_mixture, {"objective": False}),
        (collapsed, {"schedule": "up_down"}),
        (sampling, {}),
        (chain, {"schedule": "up_down"}),
        (chain, {"schedule": "residual"}),
    ],
)
def test_resumed_is_never_interrupted(tmp_path, build: Callable[[], ModelGraph], arguments):
    if arguments.get("schedule") == [("vae", "gmm")]:
        arguments = {**arguments, "schedule": ["vae", ("vae", "gmm")]}
    rounds = 40 if "tol" in arguments else ROUNDS
    undisturbed = build()
    expected = outcome(undisturbed, fit(undisturbed, rounds=rounds, **arguments))
    for stop in range(1, ROUNDS):
        path = tmp_path / str(stop)
        fit(build(), rounds=stop, run_dir=path, **arguments)
        graph = build()
        result = fit(graph, rounds=rounds, run_dir=path, resume=True, **arguments)
        assert same(outcome(graph, result), expected), stop
        run = Run(path)
        assert run.history == result.history
        assert run.trace == result.trace
        assert run.status["state"] == "finished"


def test_a_finished_run_is_what_it_was(tmp_path):
    graph = mixture()
    first = fit(graph, rounds=60, tol=1e-5, run_dir=tmp_path / "run")
    assert first.reason == "converged"
    again = mixture()
    second = fit(again, rounds=60, tol=1e-5, run_dir=tmp_path / "run", resume=True)
    assert same(outcome(again, second), outcome(graph, first))


def test_it_resumes_from_any_checkpoint_that_is_kept(tmp_path):
    graph = vae_mixture()
    expected = outcome(graph, fit(graph, rounds=6, run_dir=tmp_path, checkpoints=Checkpoints(keep=6)))
    assert [path.name for path in Run(tmp_path).checkpoints] == [f"round-{number:06d}" for number in range(1, 7)]
    for number in (4, 2, 5):
        again = vae_mixture()
        policy = Checkpoints(keep=6)
        result = fit(again, rounds=6, run_dir=tmp_path, resume=f"round-{number:06d}", checkpoints=policy)
        assert same(outcome(again, result), expected)


def test_what_had_been_learnt_before_the_run_is_kept_with_it(tmp_path):
    graph = vae_mixture()
    fit(graph, rounds=2)
    failing = vae_mixture()
    fit(failing, rounds=2)
    expected = outcome(graph, fit(graph, rounds=3, run_dir=tmp_path / "whole"))

    def interrupt(event):
        if isinstance(event, events.ModuleUpdated):
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted):
        fit(failing, rounds=3, run_dir=tmp_path / "cut", callbacks=[interrupt])
    again = vae_mixture()
    result = fit(again, rounds=3, run_dir=tmp_path / "cut", resume=True)
    assert same(outcome(again, result), expected)


def test_an_interrupt_finishes_the_module_in_hand_and_keeps_the_last_complete_round(tmp_path):
    undisturbed = vae_mixture()
    expected = outcome(undisturbed, fit(undisturbed, rounds=4))
    moments = {
        "in the midst of the vae": (2, lambda event: isinstance(event, events.Progress)),
        "after the last module": (3, lambda event: isinstance(event, events.ModuleUpdated) and event.module == "gmm"),
    }
    for name, (rounds, moment) in moments.items():
        seen: list[events.Event] = []

        def interrupt(event, moment=moment, seen=seen):
            seen.append(event)
            if moment(event) and event.round == 2:
                os.kill(os.getpid(), signal.SIGINT)

        path = tmp_path / name
        with refused(Interrupted, f"{rounds} rounds", str(path), "resume") as caught:
            fit(vae_mixture(), rounds=4, run_dir=path, callbacks=[interrupt], checkpoints=Checkpoints(rounds=100))
        assert (caught.value.path, caught.value.rounds) == (path, rounds)
        noted = seen.index(events.InterruptNoted())
        after = [event.module for event in seen[noted:] if isinstance(event, events.ModuleUpdated)]
        assert after == (["vae"] if rounds == 2 else []), "the module in hand is finished, and no other is begun"
        assert events.FitEnded(rounds, "interrupted") in seen
        assert [checkpoint.name for checkpoint in Run(path).checkpoints] == [f"round-{rounds:06d}"]
        assert Run(path).status["state"] == "interrupted"
        graph = vae_mixture()
        assert same(outcome(graph, fit(graph, rounds=4, run_dir=path, resume=True)), expected)


def test_a_second_interrupt_leaves_at_once(tmp_path):
    def interrupt(event):
        if isinstance(event, events.Progress) and event.round == 1:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt) as caught:
        fit(vae_mixture(), rounds=4, run_dir=tmp_path, callbacks=[interrupt])
    assert type(caught.value) is KeyboardInterrupt
    assert signal.getsignal(signal.SIGINT) is before
    assert Run(tmp_path).read().rounds == 1


def test_an_error_keeps_the_last_complete_round(tmp_path):
    data, failing = observed(), Failing(DivergedError("no more", "failing", 2), at=2)
    graph = ModelGraph(data=data, failing=failing)
    graph.connect(data.value, failing.x)
    with pytest.raises(DivergedError, match="no more"):
        fit(graph, rounds=5, run_dir=tmp_path, checkpoints=Checkpoints(rounds=10))
    run = Run(tmp_path)
    assert run.status["state"] == "failed"
    assert run.read().rounds == 2


def test_two_runs_never_share_a_folder(tmp_path):
    path = tmp_path / "run"
    fit(mixture(), rounds=1, run_dir=path)
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    with refused(RunError, "a run in", "resume=True", f"pgmgraph resume {path}", str(tmp_path / "run-2")):
        fit(mixture(), rounds=1, run_dir=path)
    assert {file: file.read_bytes() for file in path.rglob("*") if file.is_file()} == before
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.tex").write_text("")
    with refused(RunError, "empty folder", "thesis.tex", "taken-2"):
        fit(mixture(), rounds=1, run_dir=tmp_path / "taken")
    assert names_in(tmp_path / "taken") == ["thesis.tex"]
    (tmp_path / "file").write_text("")
    with refused(OutputError, str(tmp_path / "file"), "folder is a file"):
        fit(mixture(), rounds=1, run_dir=tmp_path / "file")


def test_two_processes_never_share_a_folder(tmp_path):
    def second(event):
        if isinstance(event, events.RoundEnded):
            with refused(RunError, "Another process", str(tmp_path)):
                fit(mixture(), rounds=2, run_dir=tmp_path, resume=True)

    fit(mixture(), rounds=2, run_dir=tmp_path, callbacks=[second])


def test_a_run_that_cannot_begin_leaves_nothing(tmp_path):
    with pytest.raises(ScheduleError):
        fit(mixture(), rounds=1, schedule=["gm"], run_dir=tmp_path / "runs" / "run")
    assert names_in(tmp_path) == []


def test_what_a_run_is_resumed_with_must_be_what_it_was_begun_with(tmp_path):
    fit(vae_mixture(), rounds=2, run_dir=tmp_path)
    resume = {"rounds": 3, "run_dir": tmp_path, "resume": True}
    with refused(RunError, "graph.modules.vae.lr", "0.01", "0.1"):
        other = ModelGraph(pixels=Observation(intensities(40)), vae=VAE(2, hidden=(4,), batch_size=16, lr=0.1))
        other.connect(other["pixels"].value, other["vae"].x)
        other.add("gmm", GMM(2, starts=2))
        other.connect(other["vae"].z, other["gmm"].x)
        fit(other, **resume)
    with refused(RunError, "fit.seed", "0", "1"):
        fit(vae_mixture(), seed=1, **resume)
    with refused(RunError, "fit.schedule", "bottom_up", "up_down"):
        fit(vae_mixture(), schedule="up_down", **resume)
    with refused(RunError, "data.pixels.sha256"):
        fit(vae_mixture(), {"pixels": intensities(40).flip(0)}, **resume)
    with refused(ScheduleError, "new graph"):
        fitted = vae_mixture()
        fit(fitted, rounds=1)
        fit(fitted, **resume)
    with refused(RunError, "run to resume", "none"):
        fit(vae_mixture(), rounds=3, run_dir=tmp_path / "other", resume=True)
    with refused(RunError, "round-000007", "round-000002"):
        fit(vae_mixture(), **{**resume, "resume": "round-000007"})
    assert fit(vae_mixture(), **resume).rounds == 3


def test_the_last_ones_and_the_best_are_kept(tmp_path):
    data, drifting = Observation(blobs(30)[0]), Drifting()
    graph = ModelGraph(data=data, drifting=drifting)
    graph.connect(data.value, drifting.x)
    with pytest.warns(BoundDecreased):
        result = fit(graph, rounds=6, run_dir=tmp_path, checkpoints=Checkpoints(keep=2))
    best = result.history["F"].index(max(result.history["F"])) + 1
    assert best < 4, "F must fall for this test to say anything"
    kept = [path.name for path in Run(tmp_path).checkpoints]
    assert kept == [f"round-{number:06d}" for number in (best, 5, 6)]


def test_checkpoints_come_as_often_as_was_asked(tmp_path):
    saved: list[int] = []

    def note(event):
        if isinstance(event, events.CheckpointSaved):
            saved.append(event.rounds)

    fit(mixture(), rounds=7, run_dir=tmp_path / "a", checkpoints=Checkpoints(rounds=3), callbacks=[note])
    assert saved == [3, 6, 7]
    saved.clear()
    policy = Checkpoints(rounds=None, minutes=1000)
    fit(mixture(), rounds=3, run_dir=tmp_path / "b", checkpoints=policy, callbacks=[note])
    assert saved == [3]
    for wrong in ({"rounds": None}, {"rounds": 0}, {"minutes": 0.0}, {"keep": 0}):
        with pytest.raises(ScheduleError):
            Checkpoints(**wrong)


def test_the_history_is_written_as_it_happens(tmp_path):
    lines: list[int] = []

    def read(event):
        if isinstance(event, events.RoundStarted):
            path = tmp_path / "history.jsonl"
            lines.append(len(path.read_text().splitlines()) if path.exists() else 0)

    labels = blobs(45)[1]
    graph = mixture()
    result = fit(graph, rounds=4, run_dir=tmp_path, callbacks=[read, Scores(graph["gmm"].c, labels)])
    assert lines == [0, 1, 2, 3]
    assert Run(tmp_path).history == result.history
    assert set(result.history) == {"F", "seconds", "accuracy", "nmi", "ari"}


def test_what_was_warned_about_is_kept(tmp_path):
    def warn(event):
        if isinstance(event, events.RoundStarted):
            warnings.warn(f"something in round {event.round}", stacklevel=1)

    with pytest.warns(UserWarning, match="something in round"):
        fit(mixture(), rounds=2, run_dir=tmp_path, callbacks=[warn])
    assert Run(tmp_path).warnings == ["something in round 0", "something in round 1"]


def test_a_run_gives_its_graph_back(tmp_path):
    graph = vae_mixture()
    result = fit(graph, rounds=3, run_dir=tmp_path)
    run = Run(tmp_path)
    again = run.graph()
    assert same(states(again), states(graph))
    assert run.config["fit"]["seed"] == 0
    assert {"pgmgraph", "torch"} <= run.environment["versions"].keys()
    more = fit(run.graph({"pixels": intensities(40)}), rounds=2)
    alike = fit(graph, rounds=2)
    assert more.history["F"] == alike.history["F"]
    assert isinstance(result.beliefs["gmm.c"], Categorical)


def test_an_altered_configuration_is_refused(tmp_path):
    fit(vae_mixture(), rounds=1, run_dir=tmp_path)
    config = (tmp_path / "run.yaml").read_text()
    (tmp_path / "run.yaml").write_text(config.replace("hidden: [4]", "hidden: [5]"))
    with refused(RunError, "run.yaml", "by its hash"):
        Run(tmp_path)
    fit(vae_mixture(), seed=1, rounds=1, run_dir=tmp_path / "other")
    (tmp_path / "run.yaml").write_text((tmp_path / "other" / "run.yaml").read_text())
    with refused(CheckpointError, "run.yaml", "another configuration"):
        Run(tmp_path).graph()
    (tmp_path / "run.yaml").write_text(config)
    with refused(ConfigError, "observations.pixels", "(8,)", "(5,)"):
        Run(tmp_path).graph({"pixels": intensities(40, 5)})


def test_a_folder_without_a_run_is_refused_with_the_nearest(tmp_path):
    fit(mixture(), rounds=1, run_dir=tmp_path / "mnist")
    with refused(RunError, "run.yaml", "Did you mean 'mnist'?"):
        Run(tmp_path / "mnits")
    (tmp_path / "mnist" / "status.json").write_text(json.dumps([1]))
    with refused(RunError, "status.json", "altered"):
        _ = Run(tmp_path / "mnist").status


def test_a_run_ends_with_its_report(tmp_path):
    data = Observation(torch.rand(80, 64, generator=torch.Generator().manual_seed(0)))
    vae, gmm = VAE(3, hidden=(8,)), GMM(3, starts=2)
    graph = ModelGraph(pixels=data, vae=vae, gmm=gmm)
    graph.connect(data.value, vae.x)
    graph.connect(vae.z, gmm.x)
    pgmgraph.fit(graph, rounds=2, run_dir=tmp_path, callbacks=[Scores(gmm.c, torch.arange(80) % 3)])
    page = (tmp_path / "report.html").read_text()
    assert "accuracy" in page
    assert "gmm.c" in page
    pictures = {path.stem for path in (tmp_path / "pictures").iterdir()}
    assert {"model-1", "learning-1", "latent-space-1", "images-1"} <= pictures


def test_a_report_that_cannot_be_written_costs_nothing_but_a_warning(tmp_path):
    (tmp_path / "run").mkdir()

    def block(event):
        if isinstance(event, events.RoundEnded):
            (tmp_path / "run" / "report.html").mkdir()

    with pytest.warns(UserWarning, match="no report"):
        result = pgmgraph.fit(mixture(), rounds=1, run_dir=tmp_path / "run", callbacks=[block])
    assert result.rounds == 1
    assert Run(tmp_path / "run").status["state"] == "finished"
