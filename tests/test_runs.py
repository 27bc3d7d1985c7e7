"""A run directory, read: nothing in it is believed that is not what was written."""

import json
import shutil
from functools import partial

import pytest

import pgmgraph
from pgmgraph import Checkpoints, Run
from pgmgraph.errors import CheckpointError, ConfigError, RunError
from pgmgraph.runs import columns_of, record_of, sealed, trace_of
from tests.refusals import refused
from tests.test_fit import mixture, vae_mixture

fit = partial(pgmgraph.fit, report=False)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "run"
    return path, fit(vae_mixture(), rounds=3, run_dir=path, checkpoints=Checkpoints(keep=2))


@pytest.fixture
def path(finished, tmp_path):
    """A copy of it, to be altered."""
    return shutil.copytree(finished[0], tmp_path / "run")


def test_a_history_comes_back_to_the_bit(finished):
    result = finished[1]
    records = [
        json.loads(json.dumps(record_of(round, row, [entry for entry in result.trace if entry.round == round])))
        for round, row in enumerate({"F": F, "seconds": s} for F, s in zip(*result.history.values(), strict=True))
    ]
    assert columns_of(records) == result.history
    assert trace_of(records) == result.trace
    assert [entry.seconds for entry in trace_of(records)] == [entry.seconds for entry in result.trace]
    assert columns_of([]) == {}
    assert columns_of([{"row": {"F": 1.0}}, {"row": {"late": 2.0}}]) == {"F": [1.0, None], "late": [None, 2.0]}


def test_a_number_of_the_history_that_was_altered_is_noticed(path):
    history = path / "history.jsonl"
    lines = history.read_text().splitlines(keepends=True)
    F = json.loads(lines[1])["row"]["F"]
    history.write_text("".join([lines[0], lines[1].replace(repr(F), repr(F + 1e-9)), lines[2]]))
    for column in ("history", "trace"):
        with refused(RunError, str(history), "altered"):
            getattr(Run(path), column)
    for others in ([lines[1], lines[0], lines[2]], [lines[0], lines[2]], [*lines, lines[2]], lines[1:]):
        history.write_text("".join(others))
        with refused(RunError, str(history), "altered"):
            _ = Run(path).history


def test_rounds_that_the_history_has_lost_are_noticed(path):
    history = path / "history.jsonl"
    whole = history.read_bytes()
    for content in (whole[: whole.index(b"\n") + 1], whole[:-1], b""):
        history.write_bytes(content)
        with refused(RunError, str(history), "truncated or altered"):
            _ = Run(path).history
    history.unlink()
    with refused(RunError, str(history), "truncated or altered"):
        _ = Run(path).history


def test_the_history_can_be_read_though_the_last_checkpoint_cannot(path, finished):
    [before, last] = Run(path).checkpoints
    (last / "manifest.json").write_text("{}")
    run = Run(path)
    assert run.history == finished[1].history
    with refused(CheckpointError, str(last), f"Take {before.name}"):
        run.read()
    assert run.read(before.name).rounds == 2


def test_half_a_line_that_is_being_written_does_not_count(path, finished):
    with (path / "history.jsonl").open("a") as file:
        file.write('{"round": 3, "row": {"F": -1')
    assert Run(path).history == finished[1].history


@pytest.mark.parametrize(
    ("here", "there"),
    [("rounds: 3", "rounds: 4"), ("tol: null", "tol: 0.1"), ("lr: 0.01", "lr: 0.1"), ("seed: 0", "seed: 1")],
)
def test_every_altered_value_of_the_configuration_is_noticed(path, here, there):
    config = path / "run.yaml"
    text = config.read_text()
    assert here in text
    config.write_text(text.replace(here, there))
    with refused(RunError, str(config), "by its hash", "Put back a copy"):
        Run(path)
    config.write_text("# a remark\n" + text)
    assert Run(path).read().rounds == 3


def test_a_configuration_that_lacks_something_is_refused(path):
    config = path / "run.yaml"
    text = config.read_text()
    for content in ("", "{}", "graph: {}", text.replace("sha256: ", "sha255: "), text[: len(text) // 2]):
        config.write_text(content)
        with pytest.raises((RunError, ConfigError)):
            Run(path)


def test_a_seal_is_of_values_and_of_their_order():
    config = {"graph": {"a": 1, "b": [0.1, None]}, "fit": {}, "data": {}}
    others = [
        {"data": {}, "fit": {}, "graph": {"a": 1, "b": [0.1, None]}},
        {**config, "graph": {"b": [0.1, None], "a": 1}},
        {**config, "notes": {}},
    ]
    seals = {sealed(one)["sha256"] for one in (config, *others)}
    assert len(seals) == 4
    assert sealed({**config, "graph": {"a": 1, "b": (0.1, None)}}) == sealed(config)


def test_a_checkpoint_of_another_run_is_refused(path, tmp_path):
    fit(vae_mixture(), rounds=3, seed=1, run_dir=tmp_path / "other", checkpoints=Checkpoints(keep=2))
    last = Run(path).checkpoints[-1]
    shutil.rmtree(last)
    shutil.copytree(Run(tmp_path / "other").checkpoints[-1], last)
    with refused(CheckpointError, str(last), "another configuration"):
        Run(path).graph()


def test_checkpoints_are_found_by_name(path, tmp_path):
    run = Run(path)
    assert [one.name for one in run.checkpoints] == ["round-000002", "round-000003"]
    assert run.checkpoint() == run.checkpoint("round-000003") == run.checkpoints[-1]
    with refused(RunError, "round-00003", "Did you mean 'round-000003'?", "round-000002"):
        run.checkpoint("round-00003")
    for one in run.checkpoints:
        shutil.rmtree(one)
    with refused(RunError, str(path), "before one was written"):
        run.checkpoint()
    assert run.history["F"], "which needs none"


@pytest.mark.parametrize("name", ["status", "environment"])
@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"[" * 100_000, b"1" * 5000])
def test_what_is_no_object_of_json_is_refused(path, name, content):
    (path / f"{name}.json").write_bytes(content)
    with refused(RunError, f"{name}.json"):
        getattr(Run(path), name)
    (path / f"{name}.json").unlink()
    assert getattr(Run(path), name) == {}


def test_runs_beside_are_named(tmp_path):
    for name in ("first", "second"):
        fit(mixture(), rounds=1, run_dir=tmp_path / name)
    with refused(RunError, "Did you mean 'second'?"):
        Run(tmp_path / "secnod")
    with refused(RunError, "Runs beside it: first, second."):
        Run(tmp_path / "quite another")
    with refused(RunError, "Check the path."):
        Run(tmp_path / "first" / "checkpoints")
    with refused(RunError, "Check the path."):
        Run(tmp_path / "no" / "where")
