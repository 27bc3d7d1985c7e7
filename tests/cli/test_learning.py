"""`pgmgraph fit` and `resume`: what is learnt, what the run directory keeps, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pgmgraph import ModelGraph, Run, Scores, fit
from pgmgraph.config import load_graph
from tests.cli.calls import call, done, records, wrong
from tests.test_fit import same, states

torch.set_num_threads(1)

LABELLED = {"accuracy", "nmi", "ari"}


def learnt_in_python(rounds: int) -> tuple[ModelGraph, dict[str, list[float | None]]]:
    graph = load_graph("graph.yaml", {"pixels": np.load("digits.npy")})
    scores = Scores(graph.variables["gmm.c"], np.load("labels.npy"))
    return graph, fit(graph, rounds=rounds, callbacks=[scores]).history


def without_seconds(history: dict[str, list[float | None]]) -> dict[str, list[float | None]]:
    return {name: column for name, column in history.items() if name != "seconds"}


def test_it_learns_what_python_learns_and_resumes_to_the_bit(folder: Path) -> None:
    done("fit", "graph.yaml", "--no-report", "--seed", 0)
    done("resume", "runs/graph-1", "--rounds", 3, "--no-report")
    graph, history = learnt_in_python(rounds=3)
    run = Run("runs/graph-1")
    assert same(states(run.graph()), states(graph))
    assert without_seconds(run.history) == without_seconds(history)
    assert history.keys() > LABELLED


def test_resuming_from_an_earlier_round_comes_to_the_same_end(learnt: Path) -> None:
    before = states(Run(learnt).graph())
    done("resume", learnt, "--from", "round-000001", "--no-report")
    assert same(states(Run(learnt).graph()), before)


def test_the_data_of_a_run_are_found_from_any_folder(learnt: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(learnt)
    done("resume", ".", "--rounds", 3, "--no-report")
    assert Run(".").status["rounds"] == 3


def test_options_win_over_the_file(folder: Path) -> None:
    done("fit", "graph.yaml", "--no-report", "--rounds", 1, "--set", "gmm.components=4", "--seed", 5, "--keep", 1)
    config = Run("runs/graph-1").config
    assert config["graph"]["modules"]["gmm"]["components"] == 4
    assert (config["fit"]["rounds"], config["fit"]["seed"]) == (1, 5)
    assert Run("runs/graph-1").notes["plan"]["keep"] == 1


def test_what_the_file_leaves_open_is_asked_for(folder: Path) -> None:
    text = Path("graph.yaml").read_text(encoding="utf-8")
    Path("bare.yaml").write_text(text.partition("fit:")[0].replace(", data: digits.npy", ""), encoding="utf-8")
    assert "--rounds 20" in wrong(2, "fit", "bare.yaml", "--data", "pixels=digits.npy")
    assert "--data pixels=FILE" in wrong(2, "fit", "bare.yaml", "--rounds", 1)
    assert not Path("runs").exists()


def test_every_run_has_a_folder_of_its_own(learnt: Path, finished: Path) -> None:
    graph = finished / "graph.yaml"
    message = wrong(2, "fit", graph, "--run-dir", learnt, "--no-report")
    assert "There is a run in runs/graph-1 already" in message
    assert "pgmgraph resume runs/graph-1" in message
    done("fit", graph, "--no-report", "--rounds", 1)
    assert Run("runs/graph-2").status["state"] == "finished"


def test_the_configuration_that_is_printed_is_the_one_that_is_kept(folder: Path) -> None:
    printed = done("fit", "graph.yaml", "--no-report", "--rounds", 1)
    kept = Path("runs/graph-1/run.yaml").read_text(encoding="utf-8")
    assert kept.strip() in printed


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--data", "pixel=digits.npy"], ["'pixel'", "Did you mean 'pixels'?"]),
        (["--labels", "gmm.d=labels.npy"], ["'gmm.d'", "Did you mean 'gmm.c'?"]),
        (["--set", "vae.latent=3", "--set", "gmm.component=4"], ["'latent_dim'?", "'components'?", "2 problems"]),
        (["--set", "vea.latent_dim=3"], ["'vea'", "Did you mean 'vae'?"]),
        (["--runds", "3"], ["--runds", "--rounds"]),
        (["--rounds", "many"], ["--rounds"]),
        (["--rounds", "0"], ["rounds", "got 0"]),
        (["--schedule", "botom_up"], ["Did you mean 'bottom_up'?"]),
        (["--schedule", "[vae, gm]"], ["'gm'", "Did you mean 'gmm'?"]),
        (["--schedule", "made.py:graf"], ["Did you mean 'graph'?"]),
        (["--frozen", "gm"], ["Did you mean 'gmm'?"]),
        (["--data", "digits.npy"], ["--data NAME=FILE", "digits.npy"]),
        (["--data", "pixels=nowhere.npy"], ["nowhere.npy"]),
        (["--labels", "gmm.c=new.npy"], ["one label for each item"]),
        (["--device", "gpu"], ["cuda", "'gpu'"]),
        (["--tol", "-1"], ["positive tol"]),
        (["--keep", "0"], ["keep=0"]),
        (["--mlflow", "nowhere"], ["sqlite:///", "'nowhere'"]),
    ],
)
def test_what_makes_no_run_is_refused_with_its_cause(folder: Path, options: list[str], parts: list[str]) -> None:
    message = wrong(2, "fit", "graph.yaml", *options)
    lacking = [part for part in parts if part not in message]
    assert not lacking, f"Expected {lacking} in: {message}"
    assert not list(Path().glob("runs/*"))


def test_the_section_fit_is_checked_as_a_whole(folder: Path) -> None:
    with Path("graph.yaml").open("a", encoding="utf-8") as file:
        file.write("  round: 3\n  seed: one\n  keep: true\n")
    message = wrong(2, "fit", "graph.yaml")
    for part in ("3 problems", "fit.round: No such key. Did you mean 'rounds'?", "fit.seed", "fit.keep"):
        assert part in message


def test_a_resumed_run_learns_from_the_data_that_it_was_begun_with(learnt: Path, finished: Path) -> None:
    np.save("turned.npy", np.load(finished / "digits.npy")[::-1])
    message = wrong(2, "resume", learnt, "--rounds", 3, "--data", "pixels=turned.npy")
    assert "data.pixels" in message
    assert Run(learnt).status["rounds"] == 2


def test_a_graph_that_a_function_makes_is_made_again_to_go_on(folder: Path) -> None:
    common = ["--data", "pixels=digits.npy", "--no-report", "--schedule", "made.py:vae_first"]
    done("fit", "made.py:graph", "--rounds", 1, "--run-dir", "broken", *common)
    done("resume", "broken", "--rounds", 2, "--no-report")
    done("fit", "made.py:graph", "--rounds", 2, "--run-dir", "whole", *common)
    one, other = Run("broken"), Run("whole")
    assert one.history["F"] == other.history["F"]
    assert [entry.terms for entry in one.trace] == [entry.terms for entry in other.trace]
    done("infer", "broken", "--out", "beliefs.npz")  # its decoder is no configuration; the function has it


def test_the_control_is_the_same_without_what_goes_back(folder: Path) -> None:
    done("fit", "graph.yaml", "--no-report", "--control")
    run, control = Run("runs/graph-1"), Run("runs/graph-1/control")
    assert control.config["graph"]["wires"]["gmm.x"]["backward"] is False
    assert run.config["graph"]["modules"] == control.config["graph"]["modules"]
    # The first round has no message to leave out.
    assert run.history["F"][0] == control.history["F"][0]
    assert run.history["F"][1] != control.history["F"][1]


def test_a_control_goes_on_with_its_run(folder: Path) -> None:
    done("fit", "graph.yaml", "--no-report", "--control", "--rounds", 1)
    done("resume", "runs/graph-1", "--rounds", 2, "--no-report")
    assert len(Run("runs/graph-1/control").history["F"]) == 2


def test_a_program_reads_events_and_what_came_of_them(folder: Path) -> None:
    found = records("fit", "graph.yaml", "--no-report")
    run = Run("runs/graph-1")
    ended = [one for one in found if one.get("event") == "RoundEnded"]
    assert [one["F"] for one in ended] == run.history["F"]
    assert [one["scores"]["nmi"] for one in ended] == run.history["nmi"]
    assert all(one["run"] == "graph-1" for one in ended)
    assert found[-1]["values"]["F"] == run.history["F"][-1]
    assert (found[-1]["run"], found[-1]["reason"]) == ("runs/graph-1", "rounds")


def test_a_program_reads_what_went_wrong(folder: Path) -> None:
    result = call("fit", "graph.yaml", "--rounds", 0, "--json")
    assert result.exit_code == 2
    assert '"exit_code": 2' in result.stdout
    assert "got 0" in result.stderr


def test_a_folder_that_cannot_be_written_is_a_failure(folder: Path) -> None:
    Path("file").write_text("", encoding="utf-8")
    assert "file" in wrong(1, "fit", "graph.yaml", "--run-dir", "file/run")


def test_a_checkpoint_that_was_altered_is_a_failure(learnt: Path) -> None:
    (learnt / "checkpoints" / "round-000002" / "gmm.pt").write_bytes(b"nonsense")
    message = wrong(1, "resume", learnt, "--rounds", 3, "--no-report")
    assert "round-000002" in message


@pytest.mark.slow
def test_the_report_is_written_at_the_end(folder: Path) -> None:
    printed = done("fit", "graph.yaml", "--rounds", 1, "--control")
    page = Path("runs/graph-1/report.html").read_text(encoding="utf-8")
    assert "runs/graph-1/report.html" in printed
    assert "control" in page
    assert {"model-1", "learning-1"} <= {path.stem for path in Path("runs/graph-1/pictures").iterdir()}
