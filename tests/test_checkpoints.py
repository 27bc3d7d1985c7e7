"""Checkpoints: what is read is what was written, to the bit; whatever else lies there is refused, and runs nothing."""

import json
import os
import pickle
import tracemalloc
from collections import Counter
from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pgmgraph import checkpoints
from pgmgraph.checkpoints import Checkpoint, found, read, read_manifest, rounds_of, surplus, write
from pgmgraph.errors import CapabilityError, CheckpointError, OutputError
from pgmgraph.executors import ModuleState, OwnTerms
from pgmgraph.ledger import LedgerState
from pgmgraph.mail import Letters
from pgmgraph.messages import (
    Categorical,
    CategoricalPotential,
    Gaussian,
    GaussianPotential,
    MixturePotential,
    Point,
    PooledGaussianPotential,
)
from pgmgraph.snapshots import Snapshot
from tests.bits import bits_of
from tests.faults.damage import forge, seal
from tests.messages.strategies import messages
from tests.refusals import refused
from tests.test_atomic import names_in

FILES = ("manifest.json", "mail.pt", "vae.pt")
NEEDED = ("files", "rounds", "updates", "calls", "residuals", "terms", "guarantees", "beginning", "F", "progress")
EVERY_TYPE = {
    *(Point, Gaussian, GaussianPotential, Categorical, CategoricalPotential),
    *(MixturePotential, PooledGaussianPotential),
}


def state(seed=0):
    numbers = torch.Generator().manual_seed(seed)
    weight = torch.randn(3, 4, generator=numbers)
    moments = {0: {"step": torch.tensor(3.0), "exp_avg": weight.square()}}
    plain = {"none": None, "yes": True, "count": 2**70, "rate": 0.1, "tiny": 5e-324, "name": "é", "pair": (1, [2.5])}
    return {"weight": weight, "half": weight.bfloat16(), "optimiser": {"state": moments}, **plain}


def checkpoint(rounds=3, mail=None, values=None, seed=0):
    mean = torch.randn(5, 2, generator=torch.Generator().manual_seed(seed))
    letters = mail or Letters({"vae.z": Gaussian(mean, mean.square())}, {}, {}, {"vae": 0.1 + 0.2})
    modules = {
        "vae": ModuleState(state(seed) if values is None else values, rounds),
        "fixed": ModuleState(None, rounds),
    }
    terms = {"vae": OwnTerms({"log p(x|z)": -1 / 3, "-KL": -0.1}, 0.25, False), "fixed": None}
    return Checkpoint(
        snapshot=Snapshot(modules, letters, Counter({"vae": 2 * rounds}), rounds, beginning=1),
        known=LedgerState(terms, frozenset({"vae", "fixed"})),
        guarantees={"vae": "stochastic"},
        F=-1 / 3 - 0.1,
        progress={"config": "abc", "still": 2},
    )


def same(one, other):
    return bits_of(one) == bits_of(other)


def test_what_is_read_is_what_was_written(tmp_path):
    for given_ in (checkpoint(), replace(checkpoint(4), known=None, F=None)):
        path = write(tmp_path, given_)
        assert path == tmp_path / f"round-{given_.rounds:06d}"
        assert same(read(path), given_)
        assert not same(read(path), checkpoint(given_.rounds, seed=1)), "or it would say nothing"


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sent=messages())
def test_messages_of_every_kind_come_back_to_the_bit(tmp_path_factory, sent):
    by_name = {f"module-{number}.z": message for number, message in enumerate(sent)}
    assert {type(message) for message in sent} == EVERY_TYPE
    given_ = checkpoint(mail=Letters(by_name, {}, dict(reversed(by_name.items())), {}))
    again = read(write(tmp_path_factory.mktemp("checkpoints"), given_)).snapshot.mail
    assert same(again, given_.snapshot.mail)
    assert [type(one) for one in again.forward.values()] == [type(one) for one in sent]
    for one, other in zip(again.forward.values(), sent, strict=True):
        assert getattr(one, "scale", None) == getattr(other, "scale", None)


def test_tensors_keep_their_strides_and_what_they_share(tmp_path):
    base = torch.arange(24.0).reshape(4, 6)
    values = {"whole": base, "turned": base.T, "every other": base[:, ::2], "spread": torch.ones(1).expand(7)}
    again = read(write(tmp_path, checkpoint(values=values))).snapshot.modules["vae"].values
    for name, tensor in values.items():
        assert torch.equal(again[name], tensor)
        assert again[name].stride() == tensor.stride()
    again["whole"][0, 0] = -1.0
    assert again["turned"][0, 0] == again["every other"][0, 0] == -1.0


def test_what_is_written_is_not_held_in_memory_a_second_time(tmp_path):
    large = torch.zeros(2**20)  # torch's own memory is not traced, what Python holds is
    write(tmp_path, checkpoint(values={"large": torch.zeros(1)}))  # whatever is imported on the way
    tracemalloc.start()
    try:
        write(tmp_path / "large", checkpoint(values={"large": large}))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < large.nbytes / 8


def test_the_manifest_says_what_is_there(tmp_path):
    path = write(tmp_path, checkpoint())
    assert names_in(path) == sorted(FILES)
    manifest = read_manifest(path)
    assert (manifest["format"], manifest["rounds"], manifest["F"]) == (checkpoints.FORMAT, 3, -1 / 3 - 0.1)
    assert manifest["torch"] == torch.__version__
    assert manifest["files"].keys() == {"mail.pt", "vae.pt"}
    tensors = manifest["files"]["vae.pt"]["tensors"]
    assert tensors["/weight"] == "float32 [3, 4]"
    assert tensors["/half"] == "bfloat16 [3, 4]"
    assert tensors["/optimiser/state/0/step"] == "float32 []"
    assert manifest["files"]["mail.pt"]["tensors"]["/forward/vae.z/mean"] == "float32 [5, 2]"
    for name, stated in manifest["files"].items():
        assert stated["bytes"] == (path / name).stat().st_size


def test_any_file_loads_without_pgmgraph(tmp_path):
    path = write(tmp_path, checkpoint())
    assert torch.equal(torch.load(path / "vae.pt", weights_only=True)["weight"], state()["weight"])


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_lacks_something_is_refused_by_name(tmp_path, name):
    older, path = write(tmp_path, checkpoint(2)), write(tmp_path, checkpoint(3))
    content = (path / name).read_bytes()
    for length in (0, 1, len(content) // 2, len(content) - 1):
        (path / name).write_bytes(content[:length])
        with refused(CheckpointError, str(path / name), "Nothing was loaded", "Take round-000002") as caught:
            read(path)
        assert (caught.value.path, caught.value.others) == (path / name, (older,))
    (path / name).unlink()
    with refused(CheckpointError, f"Expected a file in {path / name}", "got none", "Take round-000002"):
        read(path)
    (path / name).mkdir()
    with refused(CheckpointError, f"that can be read in {path / name}", "Is a directory", "Take round-000002"):
        read(path)
    assert read(older).rounds == 2
    with refused(CheckpointError, "no older one"):
        read(tmp_path / "round-000001")


@pytest.mark.parametrize("name", FILES)
def test_a_single_bit_is_noticed_wherever_it_is(tmp_path, name):
    path = write(tmp_path, checkpoint())
    expected, content = bits_of(read(path)), (path / name).read_bytes()
    step = max(1, len(content) // 150)
    refusals = 0
    for place in [*range(0, len(content), step), len(content) - 1]:
        changed = bytearray(content)
        changed[place] ^= 1 << (place % 8)
        (path / name).write_bytes(changed)
        try:
            again = bits_of(read(path))
        except CheckpointError as error:
            refusals += str(path / name) in str(error)
        else:
            assert again == expected, "a blank of the manifest may become another blank, and no more"
    assert refusals > 140


def test_another_order_of_the_terms_is_noticed(tmp_path):
    """Their sum is F, to the last digit."""
    path = write(tmp_path, checkpoint())
    text = (path / "manifest.json").read_text()
    first, second = (f'    "{name}": {value!r}' for name, value in checkpoint().known.terms["vae"].values.items())
    assert f"{first},\n{second}" in text
    (path / "manifest.json").write_text(text.replace(f"{first},\n{second}", f"{second},\n{first}"))
    with refused(CheckpointError, str(path / "manifest.json"), "by its hash"):
        read(path)


def test_a_file_of_another_checkpoint_is_refused(tmp_path):
    path, other = write(tmp_path, checkpoint(3)), write(tmp_path, checkpoint(4, seed=1))
    for name in ("mail.pt", "vae.pt"):
        content = (path / name).read_bytes()
        assert len(content) == len((other / name).read_bytes()), "so that nothing but the hash tells them apart"
        (path / name).write_bytes((other / name).read_bytes())
        with refused(CheckpointError, str(path / name), "with the hash that manifest.json states", "got others"):
            read(path)
        (path / name).write_bytes(content)
    (path / "manifest.json").write_bytes((other / "manifest.json").read_bytes())
    with refused(CheckpointError, str(path / "manifest.json"), "the rounds that its folder is named for", "4"):
        read(path)


def test_a_checkpoint_under_the_name_of_another_is_refused(tmp_path):
    write(tmp_path, checkpoint(3)).rename(tmp_path / "round-000007")
    with refused(CheckpointError, "round-000007", "named for", "3"):
        read(tmp_path / "round-000007")
    (tmp_path / "round-000007").rename(tmp_path / "the best")
    assert read(tmp_path / "the best").rounds == 3


def test_another_format_is_refused_with_who_can_read_it(tmp_path):
    path = write(tmp_path, checkpoint())
    whole = read_manifest(path)
    for other in (checkpoints.FORMAT + 1, 0, "1", None):
        seal(path, {**whole, "format": other})
        with refused(CheckpointError, f"format {checkpoints.FORMAT}", repr(other), "environment.json"):
            read(path)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"1", b"null", b"\xff\xfe", b"[" * 100_000, b'{"format": 1}'])
def test_what_is_no_manifest_is_refused(tmp_path, content):
    path = write(tmp_path, checkpoint())
    (path / "manifest.json").write_bytes(content)
    with refused(CheckpointError, str(path / "manifest.json"), "Nothing was loaded"):
        read(path)


def test_what_is_no_checkpoint_is_refused_though_its_hashes_are_right(tmp_path):
    path = write(tmp_path, checkpoint())
    whole = json.loads((path / "manifest.json").read_text())
    for key in (
        "files",
        "rounds",
        "updates",
        "calls",
        "residuals",
        "terms",
        "guarantees",
        "beginning",
        "F",
        "progress",
    ):
        seal(path, {name: value for name, value in whole.items() if name != key})
        with refused(CheckpointError, str(path / "manifest.json")):
            read(path)
    seal(path, whole)
    for content in (b"", b"text", pickle.dumps({"weight": 1}, 2), (path / "vae.pt").read_bytes()):
        (path / "mail.pt").write_bytes(content)
        forge(path, "mail.pt")
        with refused(CheckpointError, str(path), "Nothing was loaded"):
            read(path)


class Hostile:
    """Runs a command when it is read by a reader that trusts it."""

    def __init__(self, mark):
        self._mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self._mark),)


def test_a_hostile_file_runs_nothing(tmp_path):
    mark = tmp_path / "was run"
    path = write(tmp_path / "checkpoints", checkpoint())
    for save in (torch.save, lambda state, file: file.write_bytes(pickle.dumps(state, 2))):
        save({"weight": Hostile(mark)}, path / "vae.pt")
        with refused(CheckpointError, str(path / "vae.pt")):
            read(path)
        forge(path, "vae.pt")
        with refused(CheckpointError, str(path), "what no checkpoint holds"):
            read(path)
        assert not mark.exists()
    pickle.loads((path / "vae.pt").read_bytes())
    assert mark.exists(), "or it was not hostile"


@pytest.mark.parametrize(
    ("wrong", "where"),
    [({"weights": {1, 2}}, "/weights"), ({"a": [0, {"b": object()}]}, "/a/1/b"), ({"a": {2.5: 1}}, "/a")],
)
def test_a_state_that_is_not_plain_is_refused(tmp_path, wrong, where):
    with refused(CapabilityError, "state of vae", f"at {where}", "`state_dict`") as caught:
        write(tmp_path, checkpoint(values=wrong))
    assert (caught.value.module, caught.value.method) == ("vae", "state_dict")
    assert names_in(tmp_path) == []


def test_a_checkpoint_is_never_written_over(tmp_path):
    path = write(tmp_path, checkpoint())
    with refused(OutputError, str(path), "taken"):
        write(tmp_path, checkpoint(seed=1))
    assert same(read(path), checkpoint())


def test_half_written_ones_and_other_things_are_no_checkpoints(tmp_path):
    for name in (".tmp-abc", "round-", "round-last", "round-000002-copy", "notes"):
        (tmp_path / name).mkdir()
    for rounds in (1_000_000, 2, 10):
        write(tmp_path, checkpoint(rounds))
    assert [rounds_of(path) for path in found(tmp_path)] == [2, 10, 1_000_000]
    assert found(tmp_path / "nowhere") == []


@given(st.lists(st.none() | st.floats(allow_nan=False), max_size=8), st.integers(1, 9))
def test_the_last_ones_and_the_best_are_no_surplus(tmp_path_factory, values, keep):
    there = [(tmp_path_factory.getbasetemp() / str(place), value) for place, value in enumerate(values)]
    doomed = surplus(there, keep)
    left = [(path, value) for path, value in there if path not in doomed]
    assert left[-keep:] == there[-keep:]
    known = [value for value in values if value is not None]
    assert len(left) <= keep + 1
    assert not known or max(known) in [value for _, value in left]
