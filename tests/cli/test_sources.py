"""Sources of data: what is assigned to what, and where it lies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pgmgraph import ModelGraph, Observation
from pgmgraph.cli.sources import absolute, assigned, labels_of, require_data, values_of
from pgmgraph.config import from_config
from pgmgraph.errors import ConfigError, DataFileError
from pgmgraph_modules.gmm import GMM
from tests.refusals import refused

EXAMPLE = "NAME=FILE"


def test_names_are_assigned_what_follows_the_first_sign() -> None:
    assert assigned(["a=b.npz#c=d", " e = f "], "--data", EXAMPLE) == {"a": "b.npz#c=d", "e": "f"}


@pytest.mark.parametrize("text", ["", "a", "=b", "a=", " = "])
def test_what_assigns_nothing_is_refused(text: str) -> None:
    with refused(ConfigError, "--data NAME=FILE"):
        assigned([text], "--data", EXAMPLE)


def test_a_name_that_is_assigned_twice_is_refused() -> None:
    with refused(ConfigError, "once for a", "b and c"):
        assigned(["a=b", "a=c"], "--data", EXAMPLE)


def test_a_source_is_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez(tmp_path / "all.npz", train=np.arange(6.0).reshape(3, 2), kind=np.array(["b", "a", "b"]))
    monkeypatch.chdir(tmp_path)
    source, labels = absolute("all.npz#train"), absolute("all.npz#kind", Path())
    monkeypatch.chdir("/")
    np.testing.assert_array_equal(np.asarray(values_of({"x": source})["x"]), [[0, 1], [2, 3], [4, 5]])
    assert labels_of({"gmm.c": labels})["gmm.c"].tolist() == [1, 0, 1]
    with pytest.raises(DataFileError):
        values_of({"x": absolute("all.npz#train")})


def test_observations_without_data_are_asked_for() -> None:
    config = {
        "observations": {"a": {"event_shape": [2]}},
        "modules": {"gmm": {"module": "gmm", "components": 2}},
        "wires": {"gmm.x": "a"},
    }
    graph = from_config(config)
    with refused(ConfigError, "data for a", "--data a=FILE"):
        require_data(graph, {})
    require_data(graph, {"a": 1})
    require_data(ModelGraph(a=Observation(np.ones((3, 2))), gmm=GMM(2)), {})


def test_a_folder_of_shards_is_one_observation(tmp_path: Path) -> None:
    values = np.arange(12.0).reshape(6, 2)
    for number in range(3):
        np.save(tmp_path / f"part-{number}.npy", values[2 * number : 2 * number + 2])
    [read] = values_of({"x": absolute("", tmp_path)}).values()
    np.testing.assert_array_equal(read, values)
