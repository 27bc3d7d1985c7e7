"""Runs that are taken up again, by what their folder says of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from pgmgraph import Run, fit
from pgmgraph.cli.opened import again, learnt, plan_of, sources_of
from pgmgraph.config import load_graph
from pgmgraph.streams import fit_stream
from tests.cli.calls import done, wrong
from tests.test_fit import same, states

torch.set_num_threads(1)


def test_a_run_knows_its_files_and_its_plan(finished: Path) -> None:
    run = Run(finished / "runs" / "graph-1")
    assert sources_of(run, "data") == {"pixels": str(finished / "digits.npy")}
    assert sources_of(run, "labels") == {"gmm.c": str(finished / "labels.npy")}
    plan = plan_of(run, {"rounds": 9})
    assert (plan.rounds, plan.seed, plan.keep, plan.schedule) == (9, 0, 2, "bottom_up")


def test_the_graph_of_a_run_is_made_again_with_the_same_beginning(finished: Path) -> None:
    run = Run(finished / "runs" / "graph-1")
    pixels = np.load(finished / "digits.npy")
    graph, besides = again(run, {"pixels": pixels}, seed=0)
    other = load_graph(finished / "graph.yaml", {"pixels": pixels}, seed=0)
    fit(graph, besides, rounds=2)
    fit(other, rounds=2)
    assert same(states(graph), states(other))
    assert same(states(learnt(run, {})), states(other))


def test_a_run_that_python_began_goes_on_with_data_from_files(folder: Path) -> None:
    pixels = np.load("digits.npy")
    fit(load_graph("graph.yaml", {"pixels": pixels}), rounds=1, run_dir="run", report=False)
    assert sources_of(Run("run"), "data") == {}
    assert "--data pixels=FILE" in wrong(2, "resume", "run", "--rounds", 2)
    assert "--data pixels=FILE" in wrong(2, "infer", "run", "--out", "beliefs.npz")
    done("resume", "run", "--rounds", 2, "--data", "pixels=digits.npy", "--no-report")
    whole = load_graph("graph.yaml", {"pixels": pixels})
    fit(whole, rounds=2)
    assert same(states(Run("run").graph()), states(whole))


def test_a_run_that_learnt_from_a_stream_goes_on_in_python(folder: Path) -> None:
    graph = load_graph("graph.yaml", {"pixels": np.load("digits.npy")})
    list(fit_stream(graph, [], run_dir="run"))
    message = wrong(2, "resume", "run", "--rounds", 2)
    assert "fit_stream(graph, source, run_dir='run', resume=True)" in message
    assert "No such key" not in message
