"""Provenance: other data, arguments or graphs are told apart, and what is the same stays the same."""

import json
import sys
from functools import partial

import numpy as np
import pytest
import torch

import pgmgraph
from pgmgraph import ModelGraph, Observation, Point, Run, provenance
from pgmgraph.errors import RunError
from pgmgraph.learning import Learning
from pgmgraph.provenance import compare, describe, environment, resolved
from pgmgraph_modules.gmm import GMM
from tests.refusals import refused
from tests.test_fit import mixture, vae_mixture

fit = partial(pgmgraph.fit, report=False)
INTEGERS = (torch.uint8, torch.bool, torch.int16, torch.int64)
REALS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def values(n=50, d=3, dtype=torch.float32):
    return (100 * torch.rand(n, d, generator=torch.Generator().manual_seed(0))).to(dtype)


def hash_of(value, **options):
    return describe(Point(value, **options))["sha256"]


def test_what_data_are():
    described = describe(Point(values(50, 3).reshape(50, 3, 1)))
    assert (described["items"], described["event_shape"]) == (50, [3, 1])
    assert len(described["sha256"]) == 64
    assert json.loads(json.dumps(described)) == described


@pytest.mark.parametrize("dtype", INTEGERS + REALS)
def test_the_same_values_have_the_same_hash_however_they_lie(dtype):
    value = values(dtype=dtype)
    expected = hash_of(value)
    assert hash_of(value.clone()) == expected
    assert hash_of(value.T.contiguous().T) == expected
    assert hash_of(torch.stack([value, value], 2)[:, :, 1]) == expected
    one = torch.stack([value, value], 2)[:1, 0, 0]
    assert hash_of(one) == hash_of(one.clone())


def test_a_memory_map_has_the_hash_of_its_values(tmp_path):
    np.save(tmp_path / "values.npy", values().numpy())
    mapped = Observation(np.load(tmp_path / "values.npy", mmap_mode="r"))
    assert describe(mapped.point) == describe(Point(values()))


def test_sequences_are_part_of_what_is_learnt_from():
    whole, cut = Observation(values(6), sequences=[0] * 6), Observation(values(6), sequences=[0, 0, 0, 1, 1, 1])
    hashes = {describe(one.point, one.lengths)["sha256"] for one in (whole, cut, Observation(values(6)))}
    assert len(hashes) == 3


def test_whatever_differs_has_another_hash():
    value = values()
    others = [hash_of(value), hash_of(value, scale=0.5), hash_of(value.double()), hash_of(value.view(torch.int32))]
    others += [
        hash_of(value.reshape(50, 3, 1)),
        hash_of(value.reshape(25, 6)),
        hash_of(value[:-1]),
        hash_of(value.flip(0)),
    ]
    for row, column in ((0, 0), (17, 1), (49, 2)):
        changed = value.clone()
        changed[row, column] = torch.nextafter(changed[row, column], torch.tensor(torch.inf))
        others.append(hash_of(changed))
    for row in (0, 49):
        missing = torch.zeros(50, dtype=torch.bool)
        missing[row] = True
        others.append(hash_of(value, missing=missing))
    assert len(set(others)) == len(others)


@pytest.mark.parametrize("n", [5, 64, 1000, 1001])
def test_of_large_data_pieces_from_begin_to_end_are_hashed(monkeypatch, n):
    monkeypatch.setattr(provenance, "_HASHED_WHOLE", 1200)
    monkeypatch.setattr(provenance, "_PIECES", 10)
    value = values(n, 30)  # of 120 bytes a row, so a piece is a row
    expected = hash_of(value)
    seen = [row for row in range(n) if hash_of(value.index_fill(0, torch.tensor(row), -1.0)) != expected]
    if n * 120 <= 1200:
        assert seen == list(range(n))
    else:
        assert seen == list(range(0, n, n // 10))
        assert 10 <= len(seen) <= 11
    assert hash_of(values(n + 1, 30)) != expected


def test_of_large_rows_all_are_hashed(monkeypatch):
    monkeypatch.setattr(provenance, "_HASHED_WHOLE", 1000)
    value = values(6, 1000)
    for row in range(6):
        assert hash_of(value.index_fill(0, torch.tensor(row), -1.0)) != hash_of(value)


def by_hand(view, round):
    return ["gmm"]


class Alternating:
    """A schedule without a name of its own."""

    def __call__(self, view, round):
        return ["gmm"]


@pytest.mark.parametrize(
    ("schedule", "written"),
    [
        ("up_down", "up_down"),
        (["gmm", ("gmm",)], ["gmm", ["gmm"]]),
        (by_hand, {"import": f"{__name__}:by_hand"}),
        (Alternating(), {"object": f"<{__name__}.Alternating object>"}),
    ],
)
def test_a_schedule_is_written_so_that_it_is_known_again(schedule, written):
    graph = mixture()
    learning = Learning(graph, None, schedule, 0, [], [], False, True, None, "cpu")
    config = resolved(learning, {"schedule": schedule, "seed": 3})
    assert config["fit"] == {"schedule": written, "seed": 3}
    assert config["data"] == {"data": describe(graph.observations["data"].point)}
    assert json.loads(json.dumps(config)) == config


def test_only_what_decides_the_result_is_compared(tmp_path):
    fit(vae_mixture(), rounds=1, run_dir=tmp_path)
    run = Run(tmp_path)
    config = json.loads(json.dumps(run.config))
    compare(run, config)
    compare(run, {**config, "fit": {**config["fit"], "rounds": 9, "tol": 0.1, "strict": True, "device": "cuda"}})
    config["graph"]["modules"]["vae"]["lr"] = 0.5
    with refused(RunError, "graph.modules.vae.lr = 0.01", "got 0.5", str(tmp_path)):
        compare(run, config)
    del config["graph"]["modules"]["vae"]["lr"]
    with refused(RunError, "graph.modules.vae.lr = 0.01", "got None"):
        compare(run, config)


def test_the_environment_is_plain_and_says_with_what():
    found = environment()
    assert json.loads(json.dumps(found)) == found
    assert found["versions"]["torch"] == torch.__version__
    assert found["python"].split(".")[:2] == [str(part) for part in sys.version_info[:2]]
    assert found["threads"] == torch.get_num_threads()
    assert found["command"] == sys.argv


def test_data_of_any_type_can_be_learnt_from(tmp_path):
    data = Observation(values(40, 2).bfloat16())
    graph = ModelGraph(data=data, gmm=(gmm := GMM(2, starts=1)))
    graph.connect(data.value, gmm.x)
    assert fit(graph, rounds=1, run_dir=tmp_path).rounds == Run(tmp_path).read().rounds == 1
